"""Build the compiled modules, with the compiler directives set here once: every ``.pyx`` under ``fastsched/``, and the
Python modules that ``fastsched/_compiled.py`` lists.

Three flavours, each in a build directory of its own so that none overwrites another:

release                what ``pip install`` builds: no bounds checks, and ``assert`` in a ``.pyx`` costs nothing
``FASTSCHED_DEBUG=1``  bounds checks, None checks and every internal ``assert`` (``make debug``)
``FASTSCHED_TRACE=1``  line tracing for coverage and profilers

A flavour flips checks, never meaning: ``wraparound`` and ``cdivision`` are the same in all of them. What must be
verified in every flavour therefore says ``raise AssertionError(...)``, not ``assert``.
"""

import os
import runpy
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


# A Python module means the same compiled as it does interpreted.
PYTHON_DIRECTIVES = {"language_level": 3, "annotation_typing": False, "binding": True, "linetrace": TRACE}
PYTHON_DIRECTIVES["nonecheck"] = DEBUG  # an attribute of None is an error there, and a crash in a release
PYTHON_MACROS = [("CYTHON_TRACE_NOGIL", "1")] if TRACE else []
PYTHON_FLAGS = [] if sys.platform == "win32" else ["-O1" if DEBUG else "-O2"]


def cython_modules() -> list[Extension]:
    """One extension per ``.pyx``, named by its place in the package."""
    return [
        Extension(".".join(path.with_suffix("").parts), [str(path)], define_macros=MACROS, extra_compile_args=FLAGS)
        for path in sorted(Path("fastsched").rglob("*.pyx"))
    ]


def python_modules() -> list[Extension]:
    """One extension per module of the list; its types, if it has some, stand in the ``.pxd`` beside it."""
    names = runpy.run_path("fastsched/_compiled.py")["MODULES"]
    return [
        Extension(
            f"fastsched.{name.replace('/', '.')}",
            [f"fastsched/{name}.py"],
            define_macros=PYTHON_MACROS,
            extra_compile_args=PYTHON_FLAGS,
        )
        for name in names
    ]


def compiled() -> list[Extension]:
    """All of them, as C."""
    where = {"build_dir": f"{BUILD}/cython", "nthreads": 0 if sys.platform == "win32" else os.cpu_count() or 1}
    return [
        *cythonize(cython_modules(), compiler_directives=DIRECTIVES, **where),
        *cythonize(python_modules(), compiler_directives=PYTHON_DIRECTIVES, **where),
    ]


if __name__ == "__main__":  # processes that translate in parallel import this file
    setup(
        ext_modules=compiled(),
        options={"build": {"build_base": BUILD}, "build_ext": {"parallel": os.cpu_count() or 1}},
    )
