#!/usr/bin/env bash
# The documentation, every warning an error (`make docs`). The pages are in docs/_build/html.
set -euo pipefail
cd "$(dirname "$0")/.."
exec .venv/bin/python -m sphinx --quiet --fail-on-warning --keep-going --builder html docs docs/_build/html
