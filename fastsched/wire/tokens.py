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
import itertools
import marshal
import sys
from _blake2 import blake2b  # hashlib's; but that loads OpenSSL too, before any worker is started
from collections import OrderedDict
from collections.abc import Iterable
from enum import Enum
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from fastsched.wire import payload
from fastsched.wire.payload.futures import SCALARS, flat, scalar
from fastsched.wire.payload.pickling import PROTOCOL, PickleBuffer

__all__ = ["NotDeterministic", "plain_token", "token"]

DIGEST = 16
PLAIN_KINDS = "biufcmMSUO"  # dtypes whose name says everything

_marshal = marshal.dumps  # its version 2 writes equal scalars equally, and has no memory of objects met before


class NotDeterministic(Exception):  # noqa: N818
    """This has no value that could be written down: it cannot be pickled, or its own code raised."""


class Order(Enum):
    """In which order the tokens of the parts count."""

    AS_IT_IS = 1
    NONE = 2
    NONE_OF_PAIRS = 3


class _Cycle(Exception):  # noqa: N818
    """A container or object holds itself."""


def token(value: Any) -> bytes:
    """Bytes that are equal for equal values and differ for others.

    Raises
    ------
    NotDeterministic
        There are none.
    """
    noted: list[Any] = []  # by pickling; that is nobody's business here
    try:
        with payload.collecting(noted):
            try:
                return _Writer(numbered=False).token(value)
            except _Cycle:
                return _Writer(numbered=True).token(value)
    except Exception as error:
        raise NotDeterministic(f"{type(error).__name__}: {error}") from error


def plain_token(value: Any) -> bytes:
    """A shorter way to the same end for what is `plain`, or would be but for futures; it writes other bytes."""
    return _marshal(_ordered(value), 2)


def _ordered(value: Any) -> Any:
    """The value in lists and tuples alone, with dicts and sets in an order that depends on what is in them.

    These, and futures, become a tuple that begins with an ellipsis: as that is not plain, no tuple of the user's does.
    """
    if scalar(value):
        return value
    kind = type(value)
    if kind is dict:
        pairs = [(plain_token(key), _ordered(item)) for key, item in value.items()]
        pairs.sort(key=_first)
        return ..., "dict", pairs
    if kind is list or kind is tuple:
        if flat(value):
            return value
        parts = [_ordered(part) for part in value]
        return parts if kind is list else tuple(parts)
    if kind is set or kind is frozenset:
        return ..., kind.__name__, sorted([plain_token(element) for element in value])
    return ..., value.key


class _Open:
    """A container or object whose parts are being written."""

    __slots__ = ("order", "parts", "place", "tag", "tokens")

    def __init__(self, tag: bytes, parts: Iterable[Any] = (), order: Order = Order.AS_IT_IS) -> None:
        self.tag = tag
        self.parts = iter(parts)
        self.order = order
        self.tokens: list[bytes] = []
        self.place = 0  # id() of the object

    def closed(self) -> bytes:
        """The token of the whole."""
        tokens = self.tokens
        if self.order is Order.NONE:
            tokens.sort()
        elif self.order is Order.NONE_OF_PAIRS:
            tokens = [key + value for key, value in sorted(zip(tokens[::2], tokens[1::2], strict=True))]
        return _leaf(self.tag + b"".join(tokens))


class _Writer:
    """Tokens of one value and its parts. Not recursive: values may be deep.

    Parameters
    ----------
    numbered : bool
        Parts that were met before are written as their number. Then a set, or a dict whose keys are no scalars, counts
        in the order in which it stands, and it matters whether equal parts are the same object.
    """

    def __init__(self, numbered: bool) -> None:
        self.numbered = numbered
        self.known: dict[int, bytes | None] = {}  # tokens by id(); None: being written
        self.alive: list[Any] = []  # what was made on the way: an id() must not come back as another's

    def token(self, value: Any) -> bytes:
        """A scalar as it is, anything else as a digest."""
        if type(value) in SCALARS:
            return _marshal(value, 2)
        known = self.known
        stack = [_Open(b"", (value,))]
        while True:
            top = stack[-1]
            tokens = top.tokens
            for part in top.parts:
                if type(part) in SCALARS:
                    tokens.append(_marshal(part, 2))
                    continue
                place = id(part)
                if place not in known:
                    opened = self.opened(type(part), part)
                    if isinstance(opened, _Open):
                        opened.place = place
                        known[place] = b"^%d;" % len(known) if self.numbered else None
                        stack.append(opened)
                        break
                    known[place] = opened
                found = known[place]
                if found is None:
                    raise _Cycle
                tokens.append(found)
            else:
                stack.pop()
                if not stack:
                    return tokens[0]
                closed = top.closed()
                if not self.numbered:
                    known[top.place] = closed
                top = stack[-1]
                top.tokens.append(closed)

    def opened(self, kind: type, value: Any) -> _Open | bytes:
        """What it is, and its parts; or at once its token, if it has none that need a look of their own.

        A token begins with a byte that marshal does not use, and its length follows from what it begins with.
        """
        if kind is tuple or kind is list:
            tag = b"(" if kind is tuple else b"["
            return _leaf(tag + b"s" + _marshal(value, 2)) if _flat(value) else _Open(tag, value)
        if kind is dict:
            return self.mapping(value)
        if kind is set or kind is frozenset:
            tag = b"S" if kind is set else b"Z"
            if _flat(value):
                return _leaf(tag + b"s" + b"".join(sorted([_marshal(element, 2) for element in value])))
            return _Open(tag, value, Order.AS_IT_IS if self.numbered else Order.NONE)
        if payload.is_future(value):
            return b"@" + _marshal(value.key, 2)
        if kind is FunctionType or isinstance(value, type) or _is_function(value):
            fn_id, _ = payload.functions.pickle_function(value)
            return b"!" + fn_id
        if kind is ModuleType:
            return b"%" + _marshal(value.__name__, 2)
        if kind is bytearray:
            return _leaf(b"y" + bytes(value))
        if kind is PickleBuffer:
            return b"&" + _digest(value.raw())
        numpy = sys.modules.get("numpy")
        if numpy is not None and kind is numpy.ndarray:
            return self.array(numpy, value)
        return self.reduced(kind, value)

    def mapping(self, value: dict[Any, Any]) -> _Open | bytes:
        if not _flat(value):
            order = Order.AS_IT_IS if self.numbered else Order.NONE_OF_PAIRS
            return _Open(b"{", itertools.chain.from_iterable(value.items()), order)
        items = sorted(value.items(), key=_by_key)
        if _flat(value.values()):
            return _leaf(b"{s" + _marshal(items, 2))
        return _Open(b"{", itertools.chain.from_iterable(items))

    def array(self, numpy: Any, value: Any) -> _Open:
        """Dtype, shape, and the elements in C order."""
        dtype = value.dtype
        known = dtype.kind in PLAIN_KINDS and not dtype.metadata
        head = (dtype.str if known else dtype, value.shape)
        self.alive.append(head)
        if dtype.hasobject:
            elements = value.tolist()
            self.alive.append(elements)
            return _Open(b"o", (*head, elements))
        if not value.nbytes:
            return _Open(b"a", head)
        flat = numpy.ascontiguousarray(value).reshape(-1)
        return _Open(b"a" + _digest(flat.view(numpy.uint8)), head)

    def reduced(self, kind: type, value: Any) -> _Open:
        """Any other object: what pickle would be told to make it again."""
        if hasattr(kind, "__dask_tokenize__"):
            parts = value.__dask_tokenize__()
            self.alive.append(parts)
            return _Open(b"d", (kind, parts))
        reduce = copyreg.dispatch_table.get(kind)
        parts = value.__reduce_ex__(PROTOCOL) if reduce is None else reduce(value)
        self.alive.append(parts)
        if isinstance(parts, str):
            return _Open(b"g", (kind, parts))
        made, arguments, state, elements, items, setter = (*parts, None, None, None, None)[:6]
        if elements is not None:
            elements = list(elements)
        if items is not None:
            items = list(items) if isinstance(value, OrderedDict) else dict(items)
        self.alive += (elements, items)
        return _Open(b"r", (made, arguments, state, elements, items, setter))


def _leaf(data: bytes) -> bytes:
    return b"#" + _digest(data)


def _flat(values: Iterable[Any]) -> bool:
    return SCALARS.issuperset(map(type, values))


def _first(pair: tuple[bytes, Any]) -> bytes:
    return pair[0]


def _by_key(item: tuple[Any, Any]) -> bytes:
    return _marshal(item[0], 2)


def _is_function(value: Any) -> bool:
    """Whether this is a function of a compiled module (a bound method of a compiled class is not)."""
    return type(value) is BuiltinFunctionType and isinstance(value.__self__, ModuleType)


def _digest(buffer: Any) -> bytes:
    return blake2b(buffer, digest_size=DIGEST).digest()
