#!/usr/bin/env bash
# ruff (rules and format), cython-lint, mypy over the public face (`make lint`). Runs them all, fails if one did.
set -uo pipefail
cd "$(dirname "$0")/.."
PATH=$PWD/.venv/bin:$PATH # cython-lint calls pycodestyle by name
failed=0
check() {
    echo "lint: $*"
    "$@" || failed=1
}

check ruff check .
check ruff format --check .
check cython-lint fastsched
check mypy
exit "$failed"
