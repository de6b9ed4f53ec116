"""The one file that pickles.

One concern: objects to frames and frames to objects. Plain pickle where that is true on the other side too: what it
sends by reference must be there under that name. That is never so for ``__main__`` (a worker has another one), so
bytes that name it are thrown away and cloudpickle sends the thing itself; so it does for lambdas, local functions and
whatever else plain pickle refuses. Buffers of protocol 5 (numpy arrays, for one) are kept apart, and uncopied if they
are large.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Sequence
from pickle import PickleBuffer
from typing import Any, NamedTuple

from fastsched.config import Config
from fastsched.errors import SerializationError
from fastsched.wire.items import make
from fastsched.wire.messages import Buffer, Frames
from fastsched.wire.payload import byvalue
from fastsched.wire.payload.culprit import culprit
from fastsched.wire.payload.futures import SCALARS, collecting, plain

__all__ = [
    "PROTOCOL",
    "Payload",
    "PickleBuffer",
    "dumps",
    "frames_and_futures",
    "frames_of",
    "loads",
    "nbytes",
    "pickled",
    "pickled_in_one",
    "plainly",
    "type_name",
    "unpickled",
]

PROTOCOL = 5
ATTACH_BYTES = Config().attach_bytes
MAIN = b"_main__"  # also the end of "__mp_main__", as the main module is called in a spawned process

_dumps = pickle.dumps
_loads = pickle.loads
_NAMES = {kind: kind.__qualname__ for kind in SCALARS | {list, tuple, dict, set}}  # the frequent ones; see `type_name`


class Payload(NamedTuple):
    """A pickled value."""

    frames: Frames
    futures: tuple[Any, ...]  # those inside it, each once: to be kept alive as long as the value


def dumps(obj: Any, what: str = "a value", snapshot: bool = False) -> Payload:
    """Pickle a value.

    Parameters
    ----------
    obj : object
        The value.
    what : str
        What to call it in an error message.
    snapshot : bool
        Copy large buffers too, so that changing the value later does not change the frames.

    Raises
    ------
    SerializationError
        It cannot be pickled. Names `what` and the part of it that is to blame.
    """
    return make(Payload, frames_and_futures(obj, what, snapshot))


def frames_and_futures(obj: Any, what: str, snapshot: bool = False) -> tuple[Frames, tuple[Any, ...]]:
    """The fields of the `Payload` that `dumps` returns."""
    if plain(obj):
        return plainly(obj), ()
    futures: list[Any] = []
    with collecting(futures):
        frames = pickled(obj, what, snapshot)
    return frames, tuple(futures)


def loads(frames: Frames, what: str = "a value", own: bool = False) -> Any:
    """Unpickle a value.

    Parameters
    ----------
    frames : Frames
        As `dumps` made them.
    what : str
        What to call it in an error message.
    own : bool
        The frames are used for nothing else: the value may keep large buffers instead of copying them.

    Raises
    ------
    SerializationError
        It cannot be unpickled here.
    """
    try:
        return unpickled(frames, own)
    except Exception as error:
        raise SerializationError(f"{what} cannot be unpickled here: {type(error).__name__}: {error}") from error


def plainly(obj: Any) -> Frames:
    """Frames of an object that is known to need nothing but plain pickle, and has no buffers."""
    data = _dumps(obj, PROTOCOL)
    return (data,) if len(data) < ATTACH_BYTES else (Buffer(data),)


def pickled(obj: Any, what: str, snapshot: bool = False) -> Frames:
    """Frames of any object. Raises SerializationError."""
    buffers: list[PickleBuffer] = []
    data = pickled_in_one(obj, what, buffers)
    try:
        return frames_of(data, buffers, snapshot)
    except BufferError as error:
        raise SerializationError(f"cannot pickle {what}: {error}") from error


def pickled_in_one(obj: Any, what: str, buffers: list[PickleBuffer] | None = None) -> bytes:
    """The pickle of any object, with its buffers inside unless there is a list for them. Raises SerializationError."""
    keep = None if buffers is None else buffers.append
    if type(obj).__module__ != "__main__" and not _by_value_modules():
        try:
            data = _dumps(obj, PROTOCOL, buffer_callback=keep)
        except Exception:  # noqa: BLE001  whatever it is, cloudpickle has the last word
            data = MAIN
        if MAIN not in data:
            return data
        if buffers:
            buffers.clear()
    try:
        return byvalue.dumps(obj, PROTOCOL, keep)
    except Exception as error:
        where = culprit(obj, _fails)
        raise SerializationError(f"cannot pickle {what}{where}: {type(error).__name__}: {error}") from error


def unpickled(frames: Frames, own: bool = False) -> Any:
    """The object. Raises whatever unpickling raises."""
    first = frames[0]
    data = first if type(first) is bytes else first.view  # type: ignore[union-attr]
    if len(frames) == 1:
        return _loads(data)
    return _loads(data, buffers=[_writable(frame, own) for frame in frames[1:]])


def frames_of(data: bytes, buffers: Sequence[PickleBuffer], snapshot: bool = False) -> Frames:
    """Small pieces as bytes, large ones as they are."""
    pieces: list[bytes | Buffer] = [data if len(data) < ATTACH_BYTES else Buffer(data)]
    for buffer in buffers:
        view = buffer.raw()
        if view.nbytes < ATTACH_BYTES:
            pieces.append(bytes(view))
        else:
            pieces.append(Buffer(bytes(view) if snapshot else view))
    return tuple(pieces)


def nbytes(frames: Frames) -> int:
    """How large a pickled value is."""
    return len(frames[0]) if len(frames) == 1 else sum(map(len, frames))


def type_name(value: Any) -> str:
    """The name of a value's type as a user writes it: ``int``, ``numpy.ndarray``."""
    kind = type(value)
    name = _NAMES.get(kind)
    if name is not None:
        return name
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def _writable(frame: bytes | Buffer, own: bool) -> bytearray | memoryview:
    """A buffer that the value may change: pickle itself makes those read-only that were so."""
    if isinstance(frame, bytes):
        return bytearray(frame)
    return frame.view if own and not frame.view.readonly else bytearray(frame.view)


def _fails(obj: Any) -> bool:
    """Whether even cloudpickle refuses it."""
    try:
        byvalue.dumps(obj, PROTOCOL)
    except Exception:  # noqa: BLE001  that is the question
        return True
    return False


def _by_value_modules() -> bool:
    """Whether the user told cloudpickle to send some modules' contents along."""
    cloudpickle = sys.modules.get("cloudpickle")
    return cloudpickle is not None and bool(cloudpickle.list_registry_pickle_by_value())
