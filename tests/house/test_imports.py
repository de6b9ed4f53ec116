"""Each module imports alone in an interpreter that has imported nothing of the package, and without a warning."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

from tests.house.source import Tree

ROOT = Path(__file__).parents[2]

# One bare interpreter forks a child for every module: as good as a fresh one, ten times as fast.
IMPORTER = dedent("""\
    import json, os, sys

    failures = {}
    for name in json.load(sys.stdin):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            said = ""
            try:
                __import__(name)
            except BaseException as error:
                said = f"{type(error).__name__}: {error}"
            os.write(writer, said.encode()[:4000])
            os._exit(0)
        os.close(writer)
        with open(reader) as pipe:
            said = pipe.read()
        status = os.waitpid(child, 0)[1]
        if said or status:
            failures[name] = said or f"wait status {status}"
    json.dump(failures, sys.stdout)
    """)


def failures(modules: list[str], where: Path) -> dict[str, str]:
    """Which of these modules cannot be imported alone, and why."""
    command = [sys.executable, "-W", "error", "-c", IMPORTER]
    run = subprocess.run(command, input=json.dumps(modules), cwd=where, capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(run.stdout)
    return found


def test_each_module_imports_alone() -> None:
    tree = Tree(ROOT / "fastsched")
    modules = sorted({source.module for source in tree if source.path.endswith((".py", ".pyx"))})
    assert failures(modules, ROOT) == {}


def test_a_knot_and_a_warning_are_seen(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("from two import b\na = 1\n")
    (tmp_path / "two.py").write_text("from one import a\nb = 1\n")
    (tmp_path / "warns.py").write_text("import warnings\nwarnings.warn('old', DeprecationWarning)\n")
    (tmp_path / "fine.py").write_text("")
    found = failures(["one", "two", "warns", "fine"], tmp_path)
    assert set(found) == {"one", "two", "warns"}
    assert "circular import" in found["one"]


def modules_loaded_by(statement: str, where: Path = ROOT) -> set[str]:
    """The modules that a fresh interpreter holds after this statement."""
    command = [sys.executable, "-c", f"import sys\n{statement}\nprint(*sys.modules)"]
    run = subprocess.run(command, cwd=where, capture_output=True, text=True, check=True)
    return set(run.stdout.split())


# What takes a millisecond or more to import, and how early somebody else has to wait for it. Each list holds the one
# before it: what a worker may not load, nobody loads before the workers are there.
NEVER_AT_START = {"click", "distributed", "numpy"}
NOT_IN_A_WORKER = NEVER_AT_START | {
    "ctypes", "datetime", "difflib", "email", "importlib.metadata", "ipaddress", "json", "multiprocessing", "pathlib",
    "shutil", "tempfile", "urllib", "fastsched.embedded", "fastsched.local", "fastsched.net.access",
    "fastsched.scheduler.machine", "fastsched.scheduler.server",
}  # fmt: skip
NOT_BEFORE_THE_HELPER = NOT_IN_A_WORKER - {"fastsched.local"} | {
    "_hashlib", "ast", "asyncio", "cloudpickle", "dataclasses", "dis", "hashlib", "inspect", "platform", "random",
    "selectors", "socket", "ssl", "subprocess", "uuid", "uvloop", "fastsched.nested", "fastsched.worker.server",
}  # fmt: skip
FROM_ELSEWHERE_BEFORE_THE_HELPER = 70  # modules; 61 with Python 3.11


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = modules_loaded_by("import fastsched")
    assert loaded & (NOT_BEFORE_THE_HELPER | {"logging", "pickle", "threading", "fastsched.client"}) == set()


def test_what_the_fork_helper_does_not_need_waits_until_it_is_started() -> None:
    loaded = modules_loaded_by("from fastsched import Client, LocalCluster")
    assert "fastsched.spawn.supervisor" in loaded
    assert loaded & NOT_BEFORE_THE_HELPER == set()
    others = {name for name in loaded - modules_loaded_by("pass") if not name.startswith("fastsched")}
    assert len(others) <= FROM_ELSEWHERE_BEFORE_THE_HELPER


def test_the_program_with_the_scheduler_loads_no_library_but_the_loop() -> None:
    assert modules_loaded_by("import fastsched.local, fastsched.embedded") & NEVER_AT_START == set()


def test_a_worker_loads_nothing_that_it_does_not_need() -> None:
    loaded = modules_loaded_by("import fastsched.spawn.helper, fastsched.entry")
    assert "cloudpickle" in loaded  # it comes with the helper, once for all workers
    assert loaded & NOT_IN_A_WORKER == set()


def test_the_fork_helper_loads_nothing_heavy() -> None:
    loaded = modules_loaded_by("import fastsched.spawn.supervisor, fastsched.spawn.helper")
    assert loaded & {"asyncio", "numpy", "uvloop", "msgpack", "cloudpickle", "threading"} == set()
