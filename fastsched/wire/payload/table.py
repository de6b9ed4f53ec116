"""Functions and their identities.

One concern: a function's frames and the content hash by which it goes. A function is pickled once; afterwards the
pickle is used again as long as everything that it took along is still the same (`captures`), so that a notebook in
which a global has changed sends the function anew. A function that arrived under an id keeps that id: a client and
the tasks that it started mean the same function.

Called by the client's shell (out) and the worker's executor (in).
"""

from __future__ import annotations

import weakref
from _blake2 import blake2b  # hashlib's; but that loads OpenSSL too, before any worker is started
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, TypeAlias

from fastsched.wire.messages import Buffer, Frames
from fastsched.wire.payload.captures import Watch, captured, unchanged
from fastsched.wire.payload.futures import collecting, note_future
from fastsched.wire.payload.pickling import loads, pickled

__all__ = ["FunctionTable", "load_function"]

ID_BYTES = 8


Sent: TypeAlias = tuple[bytes, Frames, tuple[Any, ...]]  # id, pickle (empty: not in this process yet), futures


class _Known:
    """A function that was pickled or that arrived."""

    __slots__ = ("ref", "sent", "watches")

    def __init__(self, ref: Any, sent: Sent, watches: list[Watch]) -> None:
        self.ref = ref
        self.sent = sent
        self.watches = watches


class FunctionTable:
    """What this process knows of functions. Safe from any thread."""

    def __init__(self) -> None:
        self._known: dict[int, _Known] = {}  # by id() of the function

    def __len__(self) -> int:
        return len(self._known)

    def pickle_function(self, fn: Callable[..., Any]) -> tuple[bytes, Frames]:
        """The id of a function and its frames.

        Futures that the function holds (in a closure, as attributes, in a partial) are noted: see `futures.collecting`.

        Raises
        ------
        SerializationError
            It cannot be pickled.
        """
        fn_id, frames, futures = self.identified(fn)
        for future in futures:
            note_future(future)
        return fn_id, frames

    def identified(self, fn: Callable[..., Any]) -> Sent:
        """The id of a function, its frames, and the futures that it holds.

        Raises
        ------
        SerializationError
            It cannot be pickled.
        """
        known = self._known.get(id(fn))
        if known is not None and known.ref() is fn and unchanged(known.watches):
            if not known.sent[1]:  # it arrived, and is sent on for the first time
                frames, futures = _pickled(fn)
                known.sent = (known.sent[0], frames, known.sent[2] or futures)
            return known.sent
        # the watches first: what changes while it is being pickled must be seen as a change
        watches = captured(fn) if _may_be_kept(fn) else None
        frames, futures = _pickled(fn)
        sent = _identity(frames), frames, futures
        if watches is not None:
            self._remember(fn, sent, watches)
        return sent

    def register(
        self, fn_id: bytes, fn: Callable[..., Any], frames: Frames = (), futures: list[Any] | None = None
    ) -> None:
        """A function arrived under this id, and goes by it from now on.

        Parameters
        ----------
        fn_id : bytes
            The id.
        fn : callable
            The function. Kept weakly.
        frames : Frames
            As it arrived. Empty: it is pickled again when it is sent on.
        futures : list of futures, optional
            Those that it holds.
        """
        known = self._known.get(id(fn))
        if _may_be_kept(fn) and (known is None or known.ref() is not fn):
            self._remember(fn, (fn_id, frames, tuple(futures or ())), [])

    def load(self, fn_id: bytes, frames: Frames) -> Callable[..., Any]:
        """Unpickle a function and register it; the futures that it holds are noted. Raises SerializationError."""
        futures: list[Any] = []
        with collecting(futures):
            fn = load_function(frames)
        self.register(fn_id, fn, frames, futures)
        for future in futures:
            note_future(future)
        return fn

    def _remember(self, fn: Callable[..., Any], sent: Sent, watches: list[Watch]) -> None:
        key, entries = id(fn), self._known
        ref = weakref.ref(fn, lambda _: entries.pop(key, None))
        entries[key] = _Known(ref, sent, watches)


def load_function(frames: Frames) -> Callable[..., Any]:
    """Unpickle a function.

    Raises
    ------
    SerializationError
        It cannot be unpickled here.
    """
    return loads(frames, "the function")  # type: ignore[no-any-return]


def _pickled(fn: Callable[..., Any]) -> tuple[Frames, tuple[Any, ...]]:
    """The frames of a function, and the futures that it holds."""
    futures: list[Any] = []
    with collecting(futures):
        frames = pickled(fn, f"the function {_name(fn)}")
    return frames, tuple(futures)


def _identity(frames: Frames) -> bytes:
    digest = blake2b(digest_size=ID_BYTES)
    for frame in frames:
        digest.update(frame.view if isinstance(frame, Buffer) else frame)
    return digest.digest()


def _may_be_kept(fn: Callable[..., Any]) -> bool:
    """Functions and classes have an identity; partials, bound methods and callable objects are values, which change."""
    kind = type(fn)
    if kind is FunctionType or isinstance(fn, type):
        return True
    return kind is BuiltinFunctionType and isinstance(fn.__self__, ModuleType)  # type: ignore[attr-defined]


def _name(fn: Callable[..., Any]) -> str:
    return getattr(fn, "__qualname__", None) or type(fn).__qualname__
