"""The rules of the house, as data. `checks` applies them, `test_rules` holds the tree to them.

Paths are relative to ``fastsched/``. An exception is one line with its reason; a rule that needs many is wrong and is
changed here.
"""

from __future__ import annotations

from enum import IntEnum


class Floor(IntEnum):
    """Who may import whom: imports point down, or stay on their floor."""

    GROUND = 0  # bytes, errors, defaults, the compiled core
    MACHINE = 1  # pure: no clock, socket, thread, pickle
    SHELL = 2  # owns sockets, clocks and threads, and holds machines
    FACE = 3  # what a user imports or starts


# The first pattern that matches says on which floor a file stands. In the rooms of scheduler and worker what is not
# named here is a machine, and must be pure; most of the client's room is what a user holds.
FLOORS = (
    ("__init__.py", Floor.FACE),
    ("nested.*", Floor.FACE),
    ("entry.py", Floor.FACE),
    ("embedded.py", Floor.FACE),
    ("local.py", Floor.FACE),
    ("cli/*", Floor.FACE),
    ("_late.py", Floor.FACE),
    ("net/*", Floor.SHELL),
    ("spawn/*", Floor.SHELL),
    ("closing.py", Floor.SHELL),
    ("*/server.*", Floor.SHELL),
    ("scheduler/turns.*", Floor.SHELL),
    ("worker/coroutines.py", Floor.SHELL),
    ("worker/desk.*", Floor.SHELL),
    ("worker/drops.*", Floor.SHELL),
    ("worker/waits.*", Floor.SHELL),
    ("worker/executor.*", Floor.SHELL),
    ("worker/process.py", Floor.SHELL),
    ("worker/relays.*", Floor.SHELL),
    ("worker/readers.py", Floor.SHELL),
    ("worker/reporting.*", Floor.SHELL),
    ("worker/runner.*", Floor.SHELL),
    ("worker/side.py", Floor.SHELL),
    ("worker/context.*", Floor.SHELL),
    ("scheduler/*", Floor.MACHINE),
    ("worker/*", Floor.MACHINE),
    ("client/__init__.py", Floor.MACHINE),
    ("client/machine.py", Floor.MACHINE),
    ("client/outcome.py", Floor.MACHINE),
    ("client/recipes.py", Floor.MACHINE),
    ("client/record.py", Floor.MACHINE),
    ("client/*", Floor.SHELL),
    ("_core*", Floor.GROUND),
    ("_compiled.py", Floor.GROUND),
    ("_version.py", Floor.GROUND),
    ("_wait.*", Floor.GROUND),
    ("wire/*", Floor.GROUND),
    ("errors.py", Floor.GROUND),
    ("config.py", Floor.GROUND),
    ("timing.py", Floor.GROUND),
    ("page.*", Floor.GROUND),
    ("resources.py", Floor.GROUND),
    ("phase.py", Floor.GROUND),
)

# Roles do not know each other; messages join them. Only these files see a role from outside.
ROLES = ("scheduler", "worker", "client")
SEES_ROLES = ("__init__.py", "embedded.py", "entry.py", "nested.*", "local.py", "cli/*", "_late.py")

# May be imported by everybody although it stands on top, and may import inside functions, to save start-up time.
LATE = "_late.py"

# Importing by a name in a text hides an import from these rules.
IMPORTS_BY_NAME = (LATE, "spawn/helper.py")

# A module of somebody else's that has one home here.
HOMES = {
    "uvloop": ("net/loop.py",),
    "pickle": ("wire/payload/pickling.py",),
    "cloudpickle": (LATE,),
    "socket": ("net/*", "spawn/*"),
    "click": ("cli/*",),
}

# What would make a machine depend on when or where it runs. Time and randomness are arguments.
IMPURE = (
    "asyncio",
    "cloudpickle",
    "concurrent",
    "datetime",
    "libc.time",
    "multiprocessing",
    "pickle",
    "posix.time",
    "secrets",
    "select",
    "selectors",
    "signal",
    "socket",
    "ssl",
    "subprocess",
    "threading",
    "time",
    "uvloop",
)
IMPURE_ALLOWED = {
    ("client/record.py", "threading"): "the lock that a user's thread waits on stands in the record that settles it",
}

# Random numbers come from a seed: of the module `random` only this is used.
SEEDED = "Random"

# The wire's rooms know bytes and objects, not where they come from.
WIRE_MAY_NOT = ("asyncio", "random", "select", "selectors", "signal", "socket", "ssl", "subprocess", "time", "uvloop")

# Wall clocks jump; durations are differences of time.monotonic() or time.perf_counter().
WALL_CLOCKS = (
    "time.time",
    "time.time_ns",
    "datetime.now",
    "datetime.datetime.now",
    "datetime.utcnow",
    "datetime.today",
)

# Private names of the standard library that are documented for use.
REACHES_ALLOWED = {"os._exit", "sys._getframe", "sys._current_frames"}

LINES_PER_FILE = 600
LINES_PER_FUNCTION = 60  # without the docstring
PARAMETERS = 8  # without self, cls, *args and **kwargs

# "path" or "path::function": reason.
FILES_ALLOWED: dict[str, str] = {}
FUNCTIONS_ALLOWED: dict[str, str] = {}
PARAMETERS_ALLOWED: dict[str, str] = {
    "client/client.py::__init__": "the arguments are dask.distributed's, so that a program moves by changing an import",
    "client/client.py::submit": "the arguments are dask.distributed's",
    "client/client.py::map": "the arguments are dask.distributed's",
    "local.py::__init__": "the arguments are dask.distributed's",
    "cli/*::main": "one parameter per option of the executable",
}
