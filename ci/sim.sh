#!/usr/bin/env bash
# Any number of seeds of the simulation, on all cores (`make sim SEEDS=1000000`). Those that fail are listed.
set -euo pipefail
cd "$(dirname "$0")/.."
exec .venv/bin/python -m tests.sim "$@"
