#!/usr/bin/env bash
# All tests with the oldest dependencies that pyproject.toml allows, in an environment of their own (`make lowest`).
set -euo pipefail
cd "$(dirname "$0")/.."
python=build/lowest/bin/python

.venv/bin/python -m venv build/lowest
.venv/bin/python ci/requirements.py --lowest >build/lowest/constraints.txt
.venv/bin/python ci/requirements.py test >build/lowest/test.txt
"$python" -m pip --quiet --disable-pip-version-check install \
    --requirement build/lowest/test.txt --constraint build/lowest/constraints.txt \
    --editable . --config-settings editable_mode=compat
exec "$python" -m pytest "$@"
