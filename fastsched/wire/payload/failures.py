"""Exceptions to frames and back.

One concern: an exception arrives as what it was raised as: its type, arguments, attributes and notes, the traceback
of the place where it was raised, its cause and context, and the members of a group each with theirs. Whether it
unpickles is tried before it is sent; what does not is sent as text, and raised as `RemoteError`.

Called by the worker's executor (out) and the client's shell (in).
"""

from __future__ import annotations

import traceback
from typing import Any, NamedTuple

from fastsched.errors import RemoteError
from fastsched.wire.messages import Frames
from fastsched.wire.payload.pickling import pickled_in_one, plainly, unpickled
from fastsched.wire.payload.tracebacks import Place, rebuild, summary, users_part

__all__ = ["dumps_exception", "loads_exception"]

TEXT = 16 << 10  # characters of a formatted traceback; of a longer one the beginning and the end are kept
LINKS = 100  # exceptions of one chain
NOBODY = -1


class Link(NamedTuple):
    """One exception of a chain. Others are named by their place in it."""

    pickle: bytes | None  # None: does not pickle, or not back
    text: str  # what stands in for it then
    places: tuple[Place, ...]
    cause: int
    context: int
    suppress_context: bool
    members: tuple[int, ...]  # of an exception group


def dumps_exception(exc: BaseException) -> tuple[Frames | None, str]:
    """Pickle an exception with everything that belongs to it.

    Returns
    -------
    frames : Frames or None
        For `loads_exception`. None: it cannot be pickled, or what was pickled does not unpickle.
    text : str
        The formatted traceback.
    """
    text = _formatted(exc)
    chain = _Chain()
    chain.add(exc)
    if chain.links[0].pickle is None:
        return None, text
    return plainly(tuple(map(tuple, chain.links))), text


def loads_exception(frames: Frames | None, text: str = "", note: str = "") -> BaseException:
    """Unpickle an exception.

    Parameters
    ----------
    frames, text
        As `dumps_exception` made them.
    note : str
        Added to the exception's notes, unless empty.

    Returns
    -------
    BaseException
        A `RemoteError` with the text if there are no frames or they cannot be unpickled here.
    """
    exc: BaseException
    if frames is None:
        exc = RemoteError(text)
    else:
        try:
            exc = _linked([Link(*link) for link in unpickled(frames)])
        except Exception as error:  # noqa: BLE001  the user's class may raise what it likes
            exc = RemoteError(f"{text}\n(it cannot be unpickled here: {type(error).__name__}: {error})")
    if note:
        exc.add_note(note)
    return exc


class _Chain:
    """The exceptions that hang together with one, each once."""

    def __init__(self) -> None:
        self.links: list[Link] = []
        self.places: dict[int, int] = {}

    def add(self, exc: BaseException | None) -> int:
        """The place of this exception in the chain."""
        if exc is None:
            return NOBODY
        place = self.places.get(id(exc))
        if place is not None:
            return place
        place = len(self.links)
        if place == LINKS:
            return NOBODY
        self.places[id(exc)] = place
        shown = summary(users_part(exc.__traceback__))
        link = Link(_pickled_exception(exc), "", shown, NOBODY, NOBODY, exc.__suppress_context__, ())
        if link.pickle is None:
            link = link._replace(text="".join(traceback.format_exception_only(exc)).strip())
        self.links.append(link)
        members = exc.exceptions if isinstance(exc, BaseExceptionGroup) and link.pickle is not None else ()
        self.links[place] = link._replace(
            cause=self.add(exc.__cause__),
            context=self.add(exc.__context__),
            members=tuple(map(self.add, members)),
        )
        return place


class _Linker:
    """Makes the exceptions of a chain. A class and not a recursive closure: that would be a cycle, and hold them."""

    def __init__(self, links: list[Link]) -> None:
        self.links = links
        self.made: dict[int, BaseException] = {}

    def make(self, place: int, exc: BaseException | None = None) -> BaseException | None:
        """The exception at this place, with the others where they belong; `exc`: it is there already."""
        if place == NOBODY or place in self.made:
            return self.made.get(place)
        link = self.links[place]
        if exc is None:
            exc = RemoteError(link.text) if link.pickle is None else unpickled((link.pickle,))
        if not isinstance(exc, BaseException):
            raise TypeError(f"an exception became a {type(exc).__name__}")
        self.made[place] = exc
        exc.__traceback__ = rebuild(link.places)
        for member, inner in zip(link.members, getattr(exc, "exceptions", ()), strict=False):
            self.make(member, inner)
        exc.__cause__ = self.make(link.cause)
        exc.__context__ = self.make(link.context)
        exc.__suppress_context__ = link.suppress_context
        return exc


def _linked(links: list[Link]) -> BaseException:
    """The first exception of a chain, with the others where they belong."""
    first = _Linker(links).make(0)
    assert first is not None
    return first


def _pickled_exception(exc: BaseException) -> bytes | None:
    """A pickle that is known to become an exception of the same type again; None if there is none."""
    return _tried(exc, type(exc)) or _tried(_Plain(exc), type(exc))


def _tried(obj: Any, kind: type) -> bytes | None:
    try:
        data = pickled_in_one(obj, "the exception")
        return data if type(unpickled((data,))) is kind else None
    except Exception:  # noqa: BLE001  the user's class may raise what it likes
        return None


class _Plain:
    """Pickles an exception as its builtin base class would, without its own class's ideas of how to make one.

    Python makes an exception again by calling its class with `args`, which fails for each class whose ``__init__``
    wants something else than it passes on.
    """

    def __init__(self, exc: BaseException) -> None:
        self.exc = exc

    def __reduce__(self) -> Any:
        base = _builtin_base(type(self.exc))
        parts: Any = base.__reduce__(self.exc)
        return remake, (type(self.exc), *parts[1:])


def remake(kind: type[BaseException], arguments: tuple[Any, ...], state: Any = None) -> BaseException:
    """An exception of this class, without a call of its ``__init__``."""
    base: Any = _builtin_base(kind)
    exc: BaseException = base.__new__(kind, *arguments)
    base.__init__(exc, *arguments)
    if state is not None:
        exc.__setstate__(state)
    return exc


def _builtin_base(kind: type[BaseException]) -> type[BaseException]:
    return next(base for base in kind.__mro__ if base.__module__ == "builtins")


def _formatted(exc: BaseException) -> str:
    try:
        text = "".join(traceback.format_exception(type(exc), exc, users_part(exc.__traceback__)))
    except Exception as error:  # noqa: BLE001  an exception whose own parts raise
        text = f"{type(exc).__qualname__} (and formatting it raised {type(error).__qualname__})\n"
    if len(text) > TEXT:
        text = f"{text[: TEXT // 4]}\n[...]\n{text[-TEXT * 3 // 4 :]}"
    return text
