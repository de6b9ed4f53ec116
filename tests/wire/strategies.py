"""Messages made from their annotations: at random (`messages`), and one full example of each (`example`)."""

from __future__ import annotations

from itertools import repeat
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from fastsched.wire.catalogue import MESSAGES
from fastsched.wire.messages import Buffer, Frames, FunctionId, Kind, Natural, Request, Standing

INT64 = 2**63

texts = st.text(st.characters(exclude_categories=()), max_size=8)  # surrogates too: a file name may hold them
pieces = st.binary(max_size=40) | st.binary(max_size=40).map(lambda data: Buffer(bytearray(data)))
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-INT64, INT64 - 1)
    | st.floats(allow_nan=False)
    | texts
    | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
SPECIAL = {
    Natural: st.integers(0, INT64 - 1),
    FunctionId: st.binary(min_size=8, max_size=8),
    Kind: st.integers(1, 8),
    Request: st.integers(1, 5),
    Standing: st.integers(1, 4),
}
BARE = {int: st.integers(-INT64, INT64 - 1), str: texts, bytes: st.binary(max_size=40), bool: st.booleans()}


def hints(kind: type) -> dict[str, Any]:
    """The annotations of a message or item, in order."""
    return get_type_hints(kind, include_extras=True)


def is_item(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, tuple) and hasattr(hint, "_fields")


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Values that fit an annotation."""
    if hint is Any:
        return plain
    if hint == Frames:
        return st.lists(pieces, min_size=1, max_size=3).map(tuple)
    if get_origin(hint) is Annotated:
        return SPECIAL[hint]
    if get_origin(hint) is tuple:
        inner = get_args(hint)
        if inner[-1] is Ellipsis:
            return st.lists(values(inner[0]), max_size=3).map(tuple)
        return st.tuples(*map(values, inner))
    if get_origin(hint) in (Union, UnionType):
        return st.one_of(*(st.none() if part is NoneType else values(part) for part in get_args(hint)))
    if is_item(hint):
        return st.tuples(*map(values, hints(hint).values())).map(hint._make)
    return BARE[hint]


messages = st.sampled_from(list(MESSAGES.values())).flatmap(values)


def example(hint: Any) -> Any:
    """A value with something in every place, as it looks after decoding: items are plain tuples."""
    if hint is Any:
        return ("plain", {"data": 1.5})
    if hint == Frames:
        return (b"pickle", Buffer(b"buffer"))
    if hint == FunctionId:
        return b"12345678"
    if get_origin(hint) is Annotated:
        return 3
    if get_origin(hint) is tuple:
        inner = get_args(hint)
        return (example(inner[0]),) * 2 if inner[-1] is Ellipsis else tuple(map(example, inner))
    if get_origin(hint) in (Union, UnionType):
        return example(next(part for part in get_args(hint) if part is not NoneType))
    if is_item(hint):
        return tuple(map(example, hints(hint).values()))
    return {int: -3, str: "text", bytes: b"bytes", bool: True}[hint]


def without_buffers(value: Any) -> Any:
    """The same with small bytes instead of buffers, so that it is one piece on the wire."""
    if isinstance(value, Buffer):
        return b"small"
    return tuple(map(without_buffers, value)) if isinstance(value, tuple) else value


def fits(hint: Any, value: Any, depth: int = 32) -> bool:
    """Whether a value fits an annotation: what `shapes` compiles, written as plainly as can be."""
    if hint is Any:
        if type(value) in (tuple, dict):
            parts = value if type(value) is tuple else value.values()
            keys = () if type(value) is tuple else value.keys()
            return (
                depth > 0
                and all(type(key) is str for key in keys)
                and all(fits(Any, part, depth - 1) for part in parts)
            )
        return value is None or type(value) in (bool, int, float, str, bytes)
    if hint == Frames:
        return type(value) is tuple and len(value) > 0 and all(type(piece) in (bytes, Buffer) for piece in value)
    if hint == FunctionId:
        return type(value) is bytes and len(value) == 8
    if get_origin(hint) is Annotated:
        low, high = {Natural: (0, INT64 - 1), Kind: (1, 8), Request: (1, 5), Standing: (1, 4)}[hint]
        return type(value) is int and low <= value <= high
    if get_origin(hint) is tuple:
        inner = get_args(hint)
        if type(value) is not tuple:
            return False
        if inner[-1] is Ellipsis:
            return all(fits(inner[0], element, depth) for element in value)
        return len(value) == len(inner) and all(map(fits, inner, value, repeat(depth)))
    if get_origin(hint) in (Union, UnionType):
        return any(value is None if part is NoneType else fits(part, value, depth) for part in get_args(hint))
    if is_item(hint):
        kinds = tuple(hints(hint).values())
        return type(value) is tuple and len(value) == len(kinds) and all(map(fits, kinds, value, repeat(depth)))
    if hint is int:
        return type(value) is int and -INT64 <= value < INT64
    return type(value) is hint
