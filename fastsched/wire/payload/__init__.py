"""Python objects to frames and back: the only room that pickles.

Values, arguments, functions and exceptions each have their way through pickle; what they share is in `pickling`, the
one file that imports pickle. This room knows futures only as objects whose class says ``__fastsched_future__ = True``
and that have a `key`.
"""

from __future__ import annotations

from fastsched.wire.payload.calls import dumps_call, dumps_function_call, loads_call, loads_function_call
from fastsched.wire.payload.failures import dumps_exception, loads_exception
from fastsched.wire.payload.futures import collecting, is_future, load_future, note_future, set_future_loader
from fastsched.wire.payload.pickling import Payload, dumps, loads, nbytes, type_name
from fastsched.wire.payload.table import FunctionTable, load_function

__all__ = [
    "FunctionTable",
    "Payload",
    "collecting",
    "dumps",
    "dumps_call",
    "dumps_exception",
    "dumps_function_call",
    "functions",
    "is_future",
    "load_function",
    "load_future",
    "loads",
    "loads_call",
    "loads_exception",
    "loads_function_call",
    "nbytes",
    "note_future",
    "set_future_loader",
    "type_name",
]

functions = FunctionTable()
"""The identities of this process's functions. There is one: what a function is called does not depend on who asks."""
