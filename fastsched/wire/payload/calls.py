"""The arguments of a call, pickled.

One concern: ``(args, kwargs)`` to frames, with placeholders for the futures that the call depends on, and back with
their values. Called by the client's shell (out) and the worker's executor (in).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from fastsched.errors import SerializationError
from fastsched.wire.messages import Frames
from fastsched.wire.payload.futures import (
    OUTSIDE,
    collecting,
    flat,
    is_future,
    plain,
    replace_futures,
    resolving,
    scalar,
)
from fastsched.wire.payload.pickling import loads, pickled, plainly, unpickled

__all__ = ["dumps_call", "dumps_function_call", "loads_call", "loads_function_call"]


def dumps_call(args: tuple[Any, ...], kwargs: dict[str, Any], what: str) -> tuple[Frames, list[Any], list[Any]]:
    """Pickle the arguments of a call.

    Parameters
    ----------
    args, kwargs
        Pickled as they are now: large buffers are copied, so that changing an argument after the call changes nothing.
    what : str
        The task, for an error message.

    Returns
    -------
    frames : Frames
        For `loads_call`.
    dependencies : list of futures
        Those in nested containers, each key once: `loads_call` wants their values in this order.
    pins : list of futures
        Those elsewhere (attributes, closures): they arrive as futures, and must be kept alive until then.

    Raises
    ------
    SerializationError
        An argument cannot be pickled.
    """
    if _plain(args) and (not kwargs or _plain(kwargs.values())):
        return plainly((args, kwargs)), [], []
    apart = _Apart()
    found = apart.taken((*args, *kwargs.values()) if kwargs else args, False)
    if found is not None:
        return plainly((found[0], tuple(kwargs), found[1])), apart.futures, []
    try:
        call, dependencies = replace_futures((args, kwargs))
    except RecursionError as error:
        raise SerializationError(f"the arguments of {what} are nested too deep") from error
    pins: list[Any] = []
    with collecting(pins):
        frames = pickled(call, f"the arguments of {what}", snapshot=True)
    return frames, dependencies, pins


def _plain(arguments: Iterable[Any]) -> bool:
    for argument in arguments:  # noqa: SIM110  as in `futures.flat`
        if not plain(argument):
            return False
    return True


class _Apart:
    """Takes the futures out of arguments that are scalars, futures, and lists and tuples of these: most calls.

    Placeholders would pickle one by one, through Python. Instead it is said beside the arguments where the futures
    were: for each argument its *spot*, which is None, the index of a dependency, or a list or tuple of spots.
    """

    __slots__ = ("_known", "_places", "futures")

    def __init__(self) -> None:
        self.futures: list[Any] = []
        self._places: dict[str, int] = {}  # by key
        self._known: set[int] = set()  # containers with futures: one that is there twice must arrive as one

    def taken(self, parts: Iterable[Any], inside: bool) -> tuple[list[Any], list[Any]] | None:
        """The parts without futures, and their spots; None if something else is among them."""
        values: list[Any] = []
        spots: list[Any] = []
        for part in parts:
            kind = type(part)
            if scalar(part):
                values.append(part)
                spots.append(None)
            elif is_future(part):
                values.append(None)
                spots.append(self.index(part))
            elif inside or (kind is not list and kind is not tuple) or id(part) in self._known:
                return None
            elif flat(part):
                values.append(part)
                spots.append(None)
            else:
                self._known.add(id(part))
                found = self.taken(part, True)
                if found is None:
                    return None
                values.append(found[0])
                spots.append(found[1] if kind is list else tuple(found[1]))
        return values, spots

    def index(self, future: Any) -> int:
        """Which dependency this is."""
        key = future.key
        index = self._places.get(key)
        if index is None:
            index = self._places[key] = len(self.futures)
            self.futures.append(future)
        return index


def _put_back(values: Sequence[Any], spots: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
    """The parts with the values of the dependencies in their spots."""
    parts = []
    for place, spot in enumerate(spots):
        if spot is None:
            parts.append(values[place])
        elif type(spot) is int:
            parts.append(inputs[spot])
        else:
            found = _put_back(values[place], spot, inputs)
            parts.append(found if type(spot) is list else tuple(found))
    return parts


def loads_call(
    frames: Frames, inputs: Sequence[Any] = (), what: str = "the call"
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Unpickle the arguments of a call.

    Parameters
    ----------
    frames : Frames
        As `dumps_call` made them. Large buffers are copied: the task may run more than once.
    inputs : sequence
        The values of the dependencies.
    what : str
        The task, for an error message.

    Raises
    ------
    SerializationError
        They cannot be unpickled here.
    """
    try:
        if not inputs:
            parts = unpickled(frames)
        else:
            with resolving(inputs):
                parts = unpickled(frames)
        if len(parts) == 2:
            args, kwargs = parts
            return args, kwargs
        values, names, spots = parts
        if not inputs:
            raise ValueError(OUTSIDE)
        found = _put_back(values, spots, inputs)
        if not names:
            return tuple(found), {}
        first = len(found) - len(names)
        return tuple(found[:first]), dict(zip(names, found[first:], strict=True))
    except Exception as error:
        text = f"the arguments of {what} cannot be unpickled here: {type(error).__name__}: {error}"
        raise SerializationError(text) from error


def dumps_function_call(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Frames:
    """Pickle a function with its arguments, for `Client.run`. Raises SerializationError."""
    return pickled((fn, args, dict(kwargs)), f"the call of {getattr(fn, '__name__', fn)!r}")


def loads_function_call(frames: Frames) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    """What `dumps_function_call` pickled. Raises SerializationError."""
    return loads(frames, "the function to run and its arguments")  # type: ignore[no-any-return]
