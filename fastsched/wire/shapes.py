"""The annotations of `messages`, compiled into checks.

One concern: does a decoded value have the shape that its annotation promises? For each message type one function is
generated from the annotations of its fields and items (as `dataclasses` and `NamedTuple` generate theirs), when the
first message of that type arrives: so `messages` stays the only place where a shape is written down, and an item
costs a row of comparisons instead of a walk over types.

Understood are ``int`` (of 64 bits), ``str``, ``bytes``, ``bool``, `Any` (plain data of limited depth), `Frames`,
``Annotated[type, "condition on {0}"]``, named tuples, ``tuple[X, ...]``, ``tuple[X, Y]`` and ``X | None``. Called by
`codec`.
"""

from __future__ import annotations

from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Protocol, Union, get_args, get_origin, get_type_hints

from fastsched.wire.messages import Buffer, Frames

__all__ = ["Checker", "batches", "checker", "holds_plain_data"]

INTEGER = "-0x8000000000000000 <= {0} <= 0x7FFFFFFFFFFFFFFF"
PLAIN = frozenset((NoneType, bool, int, float, str, bytes))


class Checker(Protocol):
    """Whether a value has the shape."""

    def __call__(self, value: Any, depth: int, /) -> bool:
        """`depth`: how deep plain data may nest."""


@cache
def batches(kind: type) -> tuple[int, ...]:
    """The positions of a message's fields that are batches: items or numbers that say the same in two messages."""
    found = []
    for index, hint in enumerate(_hints(kind).values()):
        if hint != Frames and get_origin(hint) is tuple and get_args(hint)[-1] is Ellipsis:
            element = get_args(hint)[0]
            if _is_item(element) or get_origin(element) is tuple or _bare(element) is int:
                found.append(index)
    return tuple(found)


@cache
def holds_plain_data(kind: type) -> bool:
    """Whether a field of a message is plain data, in which maps may stand."""
    return any(hint is Any or Any in get_args(hint) for hint in _hints(kind).values())


@cache
def checker(kind: type) -> Checker:
    """The check of one message or item type."""
    return _Source(kind).compile()


def is_frames(value: Any) -> bool:
    """Whether this is a pickled value: at least the pickle, all pieces bytes or buffers."""
    if type(value) is not tuple or not value:
        return False
    for piece in value:  # noqa: SIM110  a generator would double the time
        if type(piece) is not bytes and type(piece) is not Buffer:
            return False
    return True


def is_plain(value: Any, depth: int) -> bool:
    """Whether this is plain data that nests at most `depth` deep."""
    kind = type(value)
    if kind in PLAIN:
        return True
    if depth <= 0:
        return False
    if kind is tuple:
        return all(is_plain(element, depth - 1) for element in value)
    return kind is dict and all(type(key) is str and is_plain(element, depth - 1) for key, element in value.items())


class _Source:
    """The source of one checker, and the names that it uses."""

    def __init__(self, kind: type) -> None:
        self.kind = kind
        self.names: dict[str, Any] = {"is_frames": is_frames, "is_plain": is_plain}
        self.lines: list[str] = []

    def compile(self) -> Checker:
        self.lines.append("def check(value, depth):")
        self.lines.append("    if type(value) is not tuple: return False")
        self.tuple(_hints(self.kind), "value", "    ")
        self.lines.append("    return True")
        source = "\n".join(self.lines)
        exec(compile(source, f"<the shape of {self.kind.__name__}>", "exec"), self.names)
        result: Checker = self.names["check"]
        return result

    def tuple(self, hints: dict[str, Any], name: str, indent: str) -> None:
        """Each element of a tuple of fixed length."""
        variables = [f"{name}_{field}" for field in hints]
        self.lines.append(f"{indent}if len({name}) != {len(variables)}: return False")
        self.lines.append(f"{indent}{', '.join(variables)}, = {name}")
        deferred = []
        conditions = []
        for variable, hint in zip(variables, hints.values(), strict=True):
            condition = self.condition(hint, variable)
            if condition is None:
                deferred.append((hint, variable))
            else:
                conditions.append(condition)
        conditions += [f"type({variable}) is tuple" for _, variable in deferred]
        self.lines.append(f"{indent}if not ({' and '.join(conditions)}): return False")
        for hint, variable in deferred:
            self.each(get_args(hint)[0], variable, indent)

    def each(self, element: Any, name: str, indent: str) -> None:
        """Each element of a tuple of any length."""
        item = name + "_"
        self.lines.append(f"{indent}for {item} in {name}:")
        indent += "    "
        if _is_item(element):
            hints = _hints(element)
        elif get_origin(element) is tuple and Ellipsis not in get_args(element):
            hints = {f"f{index}": hint for index, hint in enumerate(get_args(element))}
        else:
            condition = self.condition(element, item)
            if condition is None:
                raise TypeError(f"a batch of {element} is more than this compiler knows")
            self.lines.append(f"{indent}if not ({condition}): return False")
            return
        self.lines.append(f"{indent}if type({item}) is not tuple: return False")
        self.tuple(hints, item, indent)

    def condition(self, hint: Any, name: str) -> str | None:
        """An expression that is true if the value called `name` is right; None if it needs a loop."""
        if hint == Frames:
            return f"is_frames({name})"
        if hint is Any:
            return f"is_plain({name}, depth)"
        origin = get_origin(hint)
        if origin is tuple and get_args(hint)[-1] is Ellipsis:
            return None
        if origin is Annotated:
            bare, test = get_args(hint)
            return f"type({name}) is {bare.__name__} and {test.format(name)}"
        if origin in (Union, UnionType):
            (inner,) = (arg for arg in get_args(hint) if arg is not NoneType)
            return f"({name} is None or {self.condition(inner, name)})"
        if hint is int:
            return f"type({name}) is int and {INTEGER.format(name)}"
        if hint in (str, bytes, bool):
            return f"type({name}) is {hint.__name__}"
        if _is_item(hint):
            self.names[f"check_{hint.__name__}"] = checker(hint)
            return f"check_{hint.__name__}({name}, depth)"
        raise TypeError(f"an annotation that this compiler does not know: {hint}")


def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _is_item(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, tuple) and hasattr(hint, "_fields")


def _bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint
