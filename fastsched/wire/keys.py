"""Names of tasks and data.

One concern: the key of a pure call, equal for equal calls in every process of the cluster, whatever its hash seed: a
hash of the function's identity (`payload.functions`) and of the arguments' *values* (docs/wire.md has the rules,
`tokens` does it). Called by the client's shell. Imports payload, for the identities of functions among the arguments.
"""

from __future__ import annotations

import functools
import hashlib
import marshal
import operator
import os
from collections.abc import Callable
from typing import Any

from fastsched.wire.payload.futures import SCALARS, is_future
from fastsched.wire.tokens import NotDeterministic, token

__all__ = ["data_key", "function_name", "task_key", "unique_key"]

HASH_BYTES = 16
NAME = 50  # characters of a function's name in a key

# After the function's id; so the ways to write arguments down can never be taken for each other.
_PLAIN = b"\0"
_FUTURES = b"\1"
_NESTED = b"\2"
_NAMED = b"\3"

_SEQUENCES = frozenset((list, tuple))

_blake2b = hashlib.blake2b
_marshal = marshal.dumps


def task_key(name: str, fn_id: bytes, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """The key of a pure call.

    Parameters
    ----------
    name : str
        What it begins with.
    fn_id : bytes
        The function's identity.
    args, kwargs
        The arguments.

    Returns
    -------
    str
        ``name-<32 hexadecimal digits>``. A random key if an argument has no value that could be hashed (it cannot be
        pickled, for one).
    """
    # marshal's version 2 writes equal values equally, and has no memory of objects met before
    if not kwargs and _plain(args):
        data = fn_id + _PLAIN + _marshal(args, 2)
    elif not kwargs and all([type(arg) in SCALARS or is_future(arg) for arg in args]):  # noqa: C419  half the time
        data = fn_id + _FUTURES + _marshal([arg if type(arg) in SCALARS else (arg.key,) for arg in args], 2)
    else:
        try:
            data = fn_id + (_NAMED + token((args, kwargs)) if kwargs else _NESTED + token(args))
        except NotDeterministic:
            return unique_key(name)
    return f"{name}-{_blake2b(data, digest_size=HASH_BYTES).hexdigest()}"


def _plain(args: tuple[Any, ...]) -> bool:
    """Whether these are scalars, and lists and tuples of scalars."""
    others = set(map(type, args)) - SCALARS
    if not others:
        return True
    if not others <= _SEQUENCES:
        return False
    return all(SCALARS.issuperset(map(type, arg)) for arg in args if type(arg) in _SEQUENCES)


def unique_key(name: str) -> str:
    """A key that no other task has: ``name-<32 random hexadecimal digits>``."""
    return f"{name}-{os.urandom(HASH_BYTES).hex()}"


def data_key(type_name: str, value: Any) -> str:
    """The key of a value that is scattered by content: ``int-<hash>``, as in dask.distributed."""
    try:
        data = token(value)
    except NotDeterministic:
        return unique_key(type_name)
    return f"{type_name}-{_blake2b(data, digest_size=HASH_BYTES).hexdigest()}"


def function_name(fn: Callable[..., Any]) -> str:
    """What to call a function in a key, after dask's ``funcname``: that of the function inside a partial, "lambda"."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    if isinstance(fn, operator.methodcaller):
        return str(fn.__reduce__()[1][0])[:NAME]
    name = getattr(fn, "__name__", None) or type(fn).__name__
    return "lambda" if name == "<lambda>" else str(name)[:NAME]
