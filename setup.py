"""Build the compiled modules: every ``.pyx`` under ``fastsched/``, with the compiler directives set here once.

Three flavours, each in a build directory of its own so that none overwrites another:

release                what ``pip install`` builds: no bounds checks, and ``assert`` in a ``.pyx`` costs nothing
``FASTSCHED_DEBUG=1``  bounds checks, None checks and every internal ``assert`` (``make debug``)
``FASTSCHED_TRACE=1``  line tracing for coverage and profilers

A flavour flips checks, never meaning: ``wraparound`` and ``cdivision`` are the same in all of them. What must be
verified in every flavour therefore says ``raise AssertionError(...)``, not ``assert``.
"""

import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

DEBUG = os.environ.get("FASTSCHED_DEBUG") == "1"
TRACE = os.environ.get("FASTSCHED_TRACE") == "1"
FLAVOUR = "debug" if DEBUG else "trace" if TRACE else "release"
BUILD = f"build/{FLAVOUR}"

DIRECTIVES = {
    "language_level": 3,
    "embedsignature": True,
    "wraparound": False,
    "cdivision": True,
    "boundscheck": DEBUG,
    "initializedcheck": DEBUG,
    "nonecheck": DEBUG,
    "linetrace": TRACE,
}

# CYTHON_WITHOUT_ASSERTIONS removes `assert` from the C code; FASTSCHED_DEBUG is for `_core.build()` and for `#if` in C.
MACROS = [("FASTSCHED_DEBUG", str(int(DEBUG)))]
MACROS += [("CYTHON_TRACE_NOGIL", "1")] if TRACE else []
MACROS += [] if DEBUG else [("CYTHON_WITHOUT_ASSERTIONS", "1")]

FLAGS = [] if sys.platform == "win32" else ["-O1", "-g"] if DEBUG else ["-O3"]


def extensions() -> list[Extension]:
    """One extension per ``.pyx``, named by its place in the package."""
    return [
        Extension(".".join(path.with_suffix("").parts), [str(path)], define_macros=MACROS, extra_compile_args=FLAGS)
        for path in sorted(Path("fastsched").rglob("*.pyx"))
    ]


setup(
    ext_modules=cythonize(extensions(), build_dir=f"{BUILD}/cython", compiler_directives=DIRECTIVES),
    options={"build": {"build_base": BUILD}},
)
