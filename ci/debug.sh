#!/usr/bin/env bash
# The core's tests on the debug build: bounds checks and every internal assertion (`make debug`).
# The build and a copy of the tests live in build/debug/site, so that the release build in fastsched/ stays as it is.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$PWD/.venv/bin/python
site=build/debug/site

rm -rf "$site"
echo "debug: building into $site"
FASTSCHED_DEBUG=1 "$python" -m pip --quiet --disable-pip-version-check install --no-deps --target "$site" .
cp -r tests docs pyproject.toml "$site"
cd "$site"
"$python" -c 'from fastsched._core import build; assert build()["debug"], "this is not a debug build"'
[ "$#" -gt 0 ] || set -- tests/core tests/sim
export SIM_SEEDS="${SIM_SEEDS:-500}"  # the release build runs thousands
exec "$python" -m pytest "$@"
