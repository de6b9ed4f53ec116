#!/usr/bin/env bash
# The benchmark suites (`make bench`). `--smoke` runs each of them for a moment: do they still work? Figures need a quiet machine.
set -euo pipefail
cd "$(dirname "$0")/.."
options=()
if [ "${1:-}" = --smoke ]; then
    shift
    options=(--benchmark-min-rounds=1 --benchmark-max-time=0.02 --benchmark-warmup=off --benchmark-columns=median,rounds)
fi
exec .venv/bin/python -m pytest benchmarks "${options[@]}" "$@"
