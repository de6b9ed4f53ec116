#!/usr/bin/env bash
# All tests, or those that the arguments name (`make test`).
set -euo pipefail
cd "$(dirname "$0")/.."
exec .venv/bin/python -m pytest "$@"
