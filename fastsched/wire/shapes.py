"""The annotations of `messages`, compiled for the reader.

One concern: what must stand in each place of a message. `messages` is the only place where that is written down; here
each kind becomes a tree of `Shape`, when a decoder that may read it is first made, and `reader` walks that tree along
the bytes.

Understood are ``int`` (of 64 bits), ``str``, ``bytes``, ``bool``, `Any` (plain data of limited depth), `Frames`,
``Annotated[int, "low <= {0} <= high"]``, ``Annotated[bytes, "len({0}) == number"]``, named tuples, ``tuple[X, ...]``,
``tuple[X, Y]`` and ``X | None``. Called by `codec`.
"""

from __future__ import annotations

import re
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from fastsched.wire.messages import Frames
from fastsched.wire.reader import Op, Shape

__all__ = ["batches", "shape"]

INT64 = 1 << 63
BETWEEN = re.compile(r"(\w+) <= \{0\} <= (\w+)")
LENGTH = re.compile(r"len\(\{0\}\) == (\d+)")
SIMPLE = {str: Op.TEXT, bytes: Op.RAW, bool: Op.TRUTH, Any: Op.PLAIN, Frames: Op.FRAMES}


@cache
def batches(kind: type) -> tuple[int, ...]:
    """The positions of a message's fields that are batches: items or numbers that say the same in two messages."""
    found = []
    for index, hint in enumerate(kind.__annotations__.values()):
        if hint != Frames and get_origin(hint) is tuple and get_args(hint)[-1] is Ellipsis:
            element = get_args(hint)[0]
            if _is_item(element) or get_origin(element) is tuple or _bare(element) is int:
                found.append(index)
    return tuple(found)


@cache
def shape(kind: type) -> Shape:
    """The shape of the fields of a message or item.

    Raises
    ------
    TypeError
        There is no shape for one of its annotations.
    """
    return Shape(Op.FIXED, [_part(hint) for hint in kind.__annotations__.values()])


def _part(hint: Any, optional: bool = False) -> Shape:
    """A new one for each place: the reader remembers what stood there last. `optional`: None may stand there too."""
    if hint in SIMPLE:
        return Shape(SIMPLE[hint], optional=optional)
    if hint is int:
        return Shape(Op.INTEGER, low=-INT64, high=INT64 - 1, optional=optional)
    if _is_item(hint):
        return Shape(Op.FIXED, shape(hint).parts, optional=optional)
    origin, parts = get_origin(hint), get_args(hint)
    if origin is tuple and parts[-1] is Ellipsis:
        return Shape(Op.BATCH, [_part(parts[0])], optional=optional)
    if origin is tuple:
        return Shape(Op.FIXED, [_part(part) for part in parts], optional=optional)
    if origin in (Union, UnionType) and len(parts) == 2 and NoneType in parts:
        (inner,) = (part for part in parts if part is not NoneType)
        return _part(inner, optional=True)
    if origin is Annotated:
        bare, condition = parts
        if bare is int and (limits := BETWEEN.fullmatch(condition)):
            return Shape(Op.INTEGER, low=int(limits[1], 0), high=int(limits[2], 0), optional=optional)
        if bare is bytes and (length := LENGTH.fullmatch(condition)):
            return Shape(Op.RAW, high=int(length[1]), optional=optional)
    raise TypeError(f"an annotation without a shape: {hint}")


def _is_item(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, tuple) and hasattr(hint, "_fields")


def _bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint
