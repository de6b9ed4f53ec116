#!/usr/bin/env bash
# The benchmark suites (`make bench`). `--smoke` runs each of them for a moment: do they still work? Figures need quiet.
# After that comes the gate, whose figures do not.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" = --smoke ]; then
    shift
    .venv/bin/python -m pytest benchmarks --benchmark-min-rounds=1 --benchmark-max-time=0.02 --benchmark-warmup=off \
        --benchmark-columns=median,rounds "$@"
    exec .venv/bin/python benchmarks/gate.py
fi
exec .venv/bin/python -m pytest benchmarks "$@"
