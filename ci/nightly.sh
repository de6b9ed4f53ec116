#!/usr/bin/env bash
# What takes too long for every commit: ten minutes of all kinds of work, many deaths, many seeds (`make nightly`).
# All steps run; the exit code is the first failing step's.
set -uo pipefail
cd "$(dirname "$0")/.."
result=0

step() {
    local code=0
    printf '\n== %s\n' "$*"
    "$@" </dev/null || code=$?
    [ "$code" -eq 0 ] || printf '== FAILED (%d): %s\n' "$code" "$*"
    [ "$result" -ne 0 ] || result=$code
}

step .venv/bin/python benchmarks/soak.py "$@"
step .venv/bin/python benchmarks/detection.py --rounds 100
step env FASTSCHED_TEST_DEATHS=2000 FASTSCHED_TEST_KILLS=1000 .venv/bin/python -m pytest -o timeout=1800 \
    tests/cluster/test_crashes.py tests/cluster/test_murder.py
step env FASTSCHED_TEST_STOP_SECONDS=10 .venv/bin/python -m pytest tests/cluster/test_silence.py
step .venv/bin/python -m tests.sim --seeds 100000 --first 10000
exit "$result"
