"""Values written down so that equal ones look equal.

One concern: bytes that depend on a value and on nothing else: not on the process, its hash seed, the order of a set
or in which a dict was filled, or which equal parts happen to be one object. Pickle promises none of that. So
containers are walked, scalars go through marshal (exact types: 1, True and 1.0 differ), arrays count by dtype, shape
and content, functions and classes by identity, futures by key, and every other object by what its own
``__reduce_ex__`` gives, walked in turn.

Each container becomes a digest of its parts' tokens (a Merkle tree), so shared parts cost nothing and do not matter.
Only
if there is a cycle, parts are numbered as they are met, as pickle does. Called by `keys`.
"""

from __future__ import annotations

import copyreg
import hashlib
import marshal
import sys
from collections import OrderedDict
from collections.abc import Iterable
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from fastsched.wire import payload
from fastsched.wire.payload.futures import SCALARS
from fastsched.wire.payload.pickling import PROTOCOL, PickleBuffer

__all__ = ["NotDeterministic", "token"]

DIGEST = 16

_blake2b = hashlib.blake2b


class NotDeterministic(Exception):  # noqa: N818
    """This has no value that could be written down: it cannot be pickled, or its own code raised."""


class _Cycle(Exception):  # noqa: N818
    """A container or object holds itself."""


def token(value: Any) -> bytes:
    """Bytes that are equal for equal values and differ for others.

    Raises
    ------
    NotDeterministic
        There are none.
    """
    try:
        try:
            return _Writer(numbered=False).token(value)
        except _Cycle:
            return _Writer(numbered=True).token(value)
    except Exception as error:
        raise NotDeterministic(f"{type(error).__name__}: {error}") from error


class _Writer:
    """Tokens of one value and its parts.

    Parameters
    ----------
    numbered : bool
        Parts that were met before are written as their number. Then a set or the keys of a dict that are no scalars
        count in the order in which they stand, and it matters whether equal parts are the same object.
    """

    def __init__(self, numbered: bool) -> None:
        self.numbered = numbered
        self.known: dict[int, bytes | None] = {}  # by id(); None: being written
        self.alive: list[Any] = []  # what was made on the way: an id() must not come back as another's

    def token(self, value: Any) -> bytes:
        """A scalar as it is, anything else as a digest."""
        kind = type(value)
        if kind in SCALARS:
            return marshal.dumps(value, 2)
        place = id(value)
        if place in self.known:
            found = self.known[place]
            if found is None:
                raise _Cycle
            return found
        self.known[place] = b"^%d;" % len(self.known) if self.numbered else None
        result = b"#" + _blake2b(self.written(kind, value), digest_size=DIGEST).digest()
        if not self.numbered:
            self.known[place] = result
        return result

    def written(self, kind: type, value: Any) -> bytes:
        """The value, by its parts' tokens."""
        if kind is tuple or kind is list:
            tag = b"(" if kind is tuple else b"["
            if SCALARS.issuperset(map(type, value)):
                return tag + b"s" + marshal.dumps(value, 2)
            return tag + self.sequence(value)
        if kind is dict:
            return b"{" + self.mapping(value)
        if kind is set or kind is frozenset:
            tokens = [self.token(element) for element in value]
            if not self.numbered or SCALARS.issuperset(map(type, value)):
                tokens.sort()
            return (b"S" if kind is set else b"Z") + b"".join(tokens)
        if kind is FunctionType or isinstance(value, type) or _is_function(value):
            fn_id, _ = payload.functions.pickle_function(value)
            return b"f" + fn_id
        if kind is bytearray:
            return b"y" + bytes(value)
        if payload.is_future(value):
            return b"F" + self.token(value.key)
        if kind is ModuleType:
            return b"m" + self.token(value.__name__)
        if kind is PickleBuffer:
            return b"b" + _digest(value.raw())
        numpy = sys.modules.get("numpy")
        if numpy is not None and kind is numpy.ndarray:
            return b"a" + self.array(numpy, value)
        return self.reduced(kind, value)

    def sequence(self, values: Iterable[Any]) -> bytes:
        return b"".join([self.token(value) for value in values])

    def mapping(self, value: dict[Any, Any]) -> bytes:
        """Order-free: sorted by the keys' tokens."""
        if self.numbered and not SCALARS.issuperset(map(type, value)):
            return b"".join([self.token(key) + self.token(part) for key, part in value.items()])
        pairs = sorted([(self.token(key), part) for key, part in value.items()], key=lambda pair: pair[0])
        return b"".join([key + self.token(part) for key, part in pairs])

    def array(self, numpy: Any, value: Any) -> bytes:
        """Dtype, shape, and the elements in C order."""
        dtype = value.dtype
        head = self.token(dtype.str if dtype.isbuiltin == 1 else dtype) + marshal.dumps(value.shape, 2)
        if dtype.hasobject:
            elements = value.tolist()
            self.alive.append(elements)
            return head + self.token(elements)
        if not value.nbytes:
            return head
        return head + _digest(numpy.ascontiguousarray(value).reshape(-1).view(numpy.uint8))

    def reduced(self, kind: type, value: Any) -> bytes:
        """Any other object: the class, and what pickle would be told to make it again."""
        if hasattr(kind, "__dask_tokenize__"):
            parts = value.__dask_tokenize__()
            self.alive.append(parts)
            return b"d" + self.token(kind) + self.token(parts)
        reduce = copyreg.dispatch_table.get(kind)
        parts = value.__reduce_ex__(PROTOCOL) if reduce is None else reduce(value)
        self.alive.append(parts)
        if isinstance(parts, str):
            return b"g" + self.token(kind) + self.token(parts)
        made, arguments, state, elements, items, setter = (*parts, None, None, None, None)[:6]
        if elements is not None:
            elements = list(elements)
        if items is not None:
            items = list(items) if isinstance(value, OrderedDict) else dict(items)
        self.alive += (elements, items)
        return b"r" + self.sequence((made, arguments, state, elements, items, setter))


def _is_function(value: Any) -> bool:
    """Whether this is a function of a compiled module (a bound method of a compiled class is not)."""
    return type(value) is BuiltinFunctionType and isinstance(value.__self__, ModuleType)


def _digest(buffer: Any) -> bytes:
    return _blake2b(buffer, digest_size=DIGEST).digest()
