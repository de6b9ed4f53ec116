"""Names of tasks and data.

One concern: the key of a pure call, equal for equal calls in every process of the cluster, whatever its hash seed: a
hash of the function's identity (`payload.functions`) and of the arguments' *values* (docs/wire.md has the rules,
`tokens` does it). Called by the client's shell. Imports payload, for the identities of functions among the arguments.
"""

from __future__ import annotations

import functools
import marshal
import operator
import os
from _blake2 import blake2b  # hashlib's; but that loads OpenSSL too, before any worker is started
from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any

from fastsched.wire.payload.futures import flat, is_future, plain, scalar, scalars_and_futures
from fastsched.wire.tokens import NotDeterministic, plain_token, token

__all__ = ["data_key", "function_name", "task_key", "unique_key"]

HASH_BYTES = 16
RANDOM = 256  # so many random keys are drawn at once
NAME = 50  # characters of a function's name in a key

# After the function's id; so the ways to write arguments down can never be taken for each other.
_PLAIN = b"\0"
_FUTURES = b"\1"
_NESTED = b"\2"
_NAMED = b"\3"
_PLAIN_NAMED = b"\4"
_CONTAINERS = b"\5"
_NAMED_FUTURES = b"\6"

_blank = blake2b(digest_size=HASH_BYTES)  # a copy of it comes faster than a new one
_marshal = marshal.dumps

_random: list[str] = []  # drawn and not used, as hexadecimal digits
os.register_at_fork(after_in_child=_random.clear)  # the parent will use them


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
    sequences = _sequences(args)
    if sequences and not kwargs:
        data = fn_id + _PLAIN + _marshal(args, 2)
    elif sequences and flat(kwargs.values()):
        data = fn_id + _PLAIN_NAMED + _marshal((args, sorted(kwargs.items())), 2)
    elif not kwargs and _with_futures(args):
        data = fn_id + _FUTURES + plain_token(args)
    elif _with_futures(args) and _with_futures(kwargs.values()):
        data = fn_id + _NAMED_FUTURES + plain_token((args, kwargs))
    elif plain(args) and (not kwargs or plain(kwargs)):
        data = fn_id + _CONTAINERS + plain_token((args, kwargs))
    else:
        try:
            data = fn_id + (_NAMED + token((args, kwargs)) if kwargs else _NESTED + token(args))
        except NotDeterministic:
            return unique_key(name)
    return _key(name, data)


def _key(name: str, data: bytes) -> str:
    hashed = _blank.copy()
    hashed.update(data)
    return f"{name}-{hashed.hexdigest()}"


def _sequences(args: tuple[Any, ...]) -> bool:
    """Whether these are scalars, and lists and tuples of scalars."""
    for arg in args:
        if not scalar(arg):
            kind = type(arg)
            if (kind is not list and kind is not tuple) or not flat(arg):
                return False
    return True


def _with_futures(values: Iterable[Any]) -> bool:
    """Whether these are scalars and futures, and lists and tuples of them."""
    for value in values:
        if not (scalar(value) or is_future(value)):
            kind = type(value)
            if (kind is not list and kind is not tuple) or not scalars_and_futures(value):
                return False
    return True


def unique_key(name: str) -> str:
    """A key that no other task has: ``name-<32 random hexadecimal digits>``."""
    try:
        unused = _random.pop()
    except IndexError:
        # many at once: a system call for each would be half the cost of the key
        data, digits = os.urandom(HASH_BYTES * RANDOM).hex(), 2 * HASH_BYTES
        pieces = [data[start : start + digits] for start in range(0, len(data), digits)]
        unused = pieces.pop()
        _random.extend(pieces)
    return f"{name}-{unused}"


def data_key(type_name: str, value: Any) -> str:
    """The key of a value that is scattered by content: ``int-<hash>``, as in dask.distributed."""
    try:
        data = token(value)
    except NotDeterministic:
        return unique_key(type_name)
    return _key(type_name, data)


def function_name(fn: Callable[..., Any]) -> str:
    """What to call a function in a key, after dask's ``funcname``: that of the function inside a partial, "lambda"."""
    if type(fn) is FunctionType:
        known = fn.__name__
        if known != "<lambda>":
            return known if len(known) <= NAME else known[:NAME]
    while isinstance(fn, functools.partial):
        fn = fn.func
    if isinstance(fn, operator.methodcaller):
        return str(fn.__reduce__()[1][0])[:NAME]
    name = getattr(fn, "__name__", None) or type(fn).__name__
    return "lambda" if name == "<lambda>" else str(name)[:NAME]
