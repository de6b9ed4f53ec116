"""A future as the payload sees one: a class attribute, a key, and a ``__reduce__`` that notes it."""

from __future__ import annotations

from typing import Any

from fastsched.wire import payload


class FakeFuture:
    """Equal only to itself, as the client's futures are."""

    __fastsched_future__ = True

    def __init__(self, key: str) -> None:
        self.key = key

    def __reduce__(self) -> Any:
        payload.note_future(self)
        return payload.load_future, (self.key,)

    def __repr__(self) -> str:
        return f"FakeFuture({self.key!r})"


class Holder:
    """An object with attributes: futures in it stay futures."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)
