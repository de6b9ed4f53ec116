#!/usr/bin/env bash
# Wheels for this platform, each tested after it is built (`make wheels`; configuration: [tool.cibuildwheel] in pyproject.toml).
# Linux wheels are built in containers, so docker or podman must be here.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/python -m pip --quiet --disable-pip-version-check install 'cibuildwheel>=3,<5'
exec .venv/bin/python -m cibuildwheel --output-dir wheelhouse "$@"
