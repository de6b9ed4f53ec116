"""The package keeps the rules of the house; and each rule, shown a small bad package, says so."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from tests.house import checks, rules
from tests.house.checks import CHECKS, Check
from tests.house.source import Tree

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def package() -> Tree:
    return Tree(ROOT / "fastsched")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_package_keeps_the_rule(package: Tree, check: Check) -> None:
    complaints = check(package)
    assert not complaints, "\n".join(["", *complaints])


def test_no_allowance_outlives_its_use(package: Tree) -> None:
    assert checks.exceptions_are_needed(package) == []


def test_the_reader_sees_the_compiled_core(package: Tree) -> None:
    core = [source for source in package if source.matches("_core*") and source.path.endswith((".pyx", ".pxi"))]
    assert sum(len(source.functions) for source in core) > 20


# (rule, a small package that breaks it, what the complaint says)
BAD = [
    (checks.every_file_has_a_floor, {"misc.py": ""}, "misc.py: on no floor"),
    (
        checks.imports_point_down,
        {"errors.py": "import fastsched.local", "local.py": ""},
        "GROUND imports fastsched.local",
    ),
    (
        checks.imports_point_down,
        {"worker/machine.py": "from fastsched.net import stream", "net/stream.py": ""},
        "worker/machine.py:1: MACHINE imports fastsched.net.stream, which is SHELL",
    ),
    (
        checks.imports_point_down,
        {"worker/machine.py": "from ..net.stream import Stream", "net/stream.py": ""},
        "MACHINE imports fastsched.net.stream",
    ),
    (
        checks.imports_point_down,
        {"wire/codec.pyx": "from fastsched.client cimport machine", "client/machine.pxd": ""},
        "wire/codec.pyx:1: GROUND imports fastsched.client.machine",
    ),
    (
        checks.roles_do_not_know_each_other,
        {"worker/server.py": "from fastsched.client.client import Client", "client/client.py": ""},
        "worker/server.py:1: imports fastsched.client.client",
    ),
    (
        checks.roles_do_not_know_each_other,
        {"net/stream.py": "import fastsched.scheduler.server", "scheduler/server.py": ""},
        "net/stream.py:1: imports fastsched.scheduler.server",
    ),
    (checks.modules_have_one_home, {"worker/server.py": "import uvloop"}, "its home is net/loop.py"),
    (
        checks.modules_have_one_home,
        {"worker/store.py": "from pickle import loads"},
        "its home is wire/payload/pickling.py",
    ),
    (checks.modules_have_one_home, {"_core.pyx": "import pickle"}, "_core.pyx:1: imports pickle"),
    (checks.modules_have_one_home, {"client/session.py": "import socket as s"}, "its home is net/* spawn/*"),
    (checks.machines_are_pure, {"worker/machine.py": "import time"}, "worker/machine.py:1: a machine imports time"),
    (
        checks.machines_are_pure,
        {"worker/store.py": "from concurrent.futures import Future"},
        "imports concurrent.futures",
    ),
    (checks.machines_are_pure, {"scheduler/placing.pyx": "from libc.time cimport time"}, "imports libc.time"),
    (
        checks.randomness_is_seeded,
        {"net/a.py": "import random\nx = random.random()"},
        "net/a.py:2: calls random.random",
    ),
    (checks.randomness_is_seeded, {"net/a.py": "from random import choice"}, "net/a.py:1: imports choice from random"),
    (checks.the_wire_does_no_io, {"wire/codec.py": "import asyncio"}, "the wire imports asyncio"),
    (checks.imports_stand_at_the_top, {"local.py": "def f():\n    import json"}, "local.py:2: f() imports json"),
    (
        checks.imports_stand_at_the_top,
        {"_core.pyx": "cdef int f():\n    import json\n"},
        "_core.pyx:2: f() imports json",
    ),
    (
        checks.imports_name_their_module,
        {"local.py": "import importlib\nimportlib.import_module('x')"},
        "local.py:2: calls",
    ),
    (checks.imports_name_their_module, {"_core.pyx": "x = __import__('time')"}, "_core.pyx:1: calls __import__"),
    (
        checks.modules_form_no_knot,
        {"wire/a.py": "from fastsched.wire import b", "wire/b.py": "from fastsched.wire.a import x"},
        "knot: fastsched.wire.a -> fastsched.wire.b -> fastsched.wire.a",
    ),
    (
        checks.rooms_form_no_knot,
        {"wire/a.py": "import fastsched.net.a", "net/a.py": "import fastsched.wire.b", "wire/b.py": ""},
        "knot: net -> wire -> net",
    ),
    (
        checks.clocks_are_monotonic,
        {"net/stream.py": "import time\nstart = time.time()"},
        "net/stream.py:2: time.time()",
    ),
    (checks.clocks_are_monotonic, {"_core.pyx": "import time\nx = time.time()"}, "_core.pyx:2: time.time()"),
    (checks.nobody_reaches_inside, {"local.py": "def f(peer):\n    return peer._outbox"}, "reaches into peer._outbox"),
    (checks.nobody_reaches_inside, {"local.py": "class A:\n    def f(self):\n        self.b._c()"}, "self.b._c"),
    (checks.nobody_reaches_inside, {"_core.pyx": "cdef void f(Row row):\n    row._state = 1"}, "row._state"),
    (checks.nothing_is_swallowed, {"local.py": "try:\n    f()\nexcept Exception:\n    pass"}, "local.py:3"),
    (checks.nothing_is_swallowed, {"_core.pyx": "try:\n    f()\nexcept:\n    pass"}, "_core.pyx:3"),
    (checks.states_have_names, {"local.py": "x = f.state == 'ready'"}, "f.state == 'ready'"),
    (checks.states_have_names, {"_core.pyx": "x = f.kind != 'run'"}, ".kind != 'run'"),
    (checks.every_module_says_what_it_is_for, {"local.py": "x = 1"}, "local.py: has no docstring"),
    (checks.every_module_says_what_it_is_for, {"_core.pyx": "# a comment"}, "_core.pyx: has no docstring"),
    (checks.files_are_in_proportion, {"local.py": "x = 1\n" * 601}, "local.py: 601 lines"),
    (checks.functions_are_in_proportion, {"local.py": "def f():\n" + "    x = 1\n" * 60}, "f has 61 lines"),
    (
        checks.functions_are_in_proportion,
        {"_core.pyx": "cdef int f() except -1:\n" + "    x = 1\n" * 60},
        "f has 61 lines",
    ),
    (checks.functions_are_in_proportion, {"net/a.py": "def f(a, b, c, d, e, f, g, h, i): ..."}, "f takes 9"),
    (
        checks.functions_are_in_proportion,
        {"_core.pyx": "cdef int f(self, int a, b, c, d, e,\n    f, g, long[::1] h, i=0) noexcept nogil:\n    pass"},
        "f takes 9",
    ),
]


def bad_tree(tmp_path: Path, files: dict[str, str]) -> Tree:
    for name, text in files.items():
        path = tmp_path / "fastsched" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Tree(tmp_path / "fastsched")


@pytest.mark.parametrize(
    ("check", "files", "complaint"), BAD, ids=[f"{row[0].__name__}-{next(iter(row[1]))}" for row in BAD]
)
def test_a_broken_rule_is_seen(tmp_path: Path, check: Check, files: dict[str, str], complaint: str) -> None:
    assert any(complaint in said for said in check(bad_tree(tmp_path, files))), check(bad_tree(tmp_path, files))


def test_every_rule_is_shown_a_bad_sample() -> None:
    assert {check.__name__ for check in CHECKS} == {check.__name__ for check, _, _ in BAD}


def test_a_good_package_is_not_complained_about(tmp_path: Path) -> None:
    good = {
        "errors.py": '"""Errors."""',
        "wire/messages.py": '"""Words."""\nimport re\n\nfrom fastsched.errors import X',
        "net/loop.py": '"""Loop."""\nimport socket\nimport time\n\nimport uvloop\n\nnow = time.monotonic()',
        "worker/machine.py": dedent('''\
            """A machine."""
            from random import Random
            from typing import TYPE_CHECKING

            from fastsched.wire.messages import Run
            if TYPE_CHECKING:
                from fastsched.worker.store import Store


            class M:
                def __eq__(self, other): return self._rows == other._rows

                def f(self, row, *rest, **more):
                    """A text about sleep, time.time() and row._state.

                    It may be long.
                    """
                    if row.state == State.READY: return row._replace(x=1)
                    try:
                        return self._rows
                    except KeyError:
                        pass
            '''),
        "worker/store.py": '"""A store."""\nfrom fastsched.worker.machine import M',
        "_core.pxd": "# The schema.\ncdef class Core:\n    cdef int f(self, int a, b, c, d, e, g, h, i, j)",
        "_core.pyx": dedent('''\
            """The core."""
            from libc.stdint cimport int64_t

            cdef class Core:
                cdef int f(self, int64_t a) except -1:
                    """A text about time.time() and row._state."""
                    self._rows = a  # not row._state
                    return sizeof(int) * (<int> a)
            '''),
    }
    tree = bad_tree(tmp_path, good)
    assert [said for check in CHECKS for said in check(tree)] == []


@pytest.mark.parametrize(
    ("allowances", "key"),
    [
        (rules.FILES_ALLOWED, "files"),
        (rules.FUNCTIONS_ALLOWED, "functions"),
        (rules.PARAMETERS_ALLOWED, "parameters"),
        (rules.IMPURE_ALLOWED, "impure"),
    ],
)
def test_allowances_are_few_and_say_why(allowances: dict[object, str], key: str) -> None:
    assert len(allowances) <= 8, f"a rule with so many exceptions is wrong: {key}"
    assert all(len(reason) > 15 for reason in allowances.values())
