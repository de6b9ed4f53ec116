#!/usr/bin/env bash
# Is what a bare clone needs really here? Says what is missing and how to name another one.
set -euo pipefail
python=${PYTHON:-python3}

command -v "$python" >/dev/null || {
    echo "fastsched needs Python >= 3.11, and there is no '$python'. Name one: make PYTHON=/path/to/python3.12" >&2
    exit 1
}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "fastsched needs Python >= 3.11, and '$python' is $("$python" --version 2>&1). Name another: make PYTHON=python3.12" >&2
    exit 1
}
"$python" -c 'import ensurepip, venv' 2>/dev/null || {
    echo "'$python' cannot make virtual environments (on Debian and Ubuntu: apt install python3-venv)." >&2
    exit 1
}
"$python" -c 'import pathlib, sys, sysconfig as s; sys.exit(not pathlib.Path(s.get_path("include"), "Python.h").exists())' || {
    echo "The C headers of '$python' are missing (on Debian and Ubuntu: apt install python3-dev)." >&2
    exit 1
}
command -v "${CC:-cc}" >/dev/null || {
    echo "fastsched needs a C compiler, and there is no '${CC:-cc}' (Debian: apt install gcc; macOS: xcode-select --install)." >&2
    exit 1
}
