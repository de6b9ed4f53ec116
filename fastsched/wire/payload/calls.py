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
    plain,
    replace_futures,
    resolving,
    scalar,
    scalars_and_futures,
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
    if scalars_and_futures(args) and (not kwargs or flat(kwargs.values())):
        return _with_futures(args, kwargs)
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


def _with_futures(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Frames, list[Any], list[Any]]:
    """A call whose arguments are scalars and futures: most calls of a chain or a tree.

    Instead of placeholders, which pickle one by one through Python, there is a third part: for each argument the index
    of the dependency, or None.
    """
    places: dict[str, int] = {}
    futures: list[Any] = []
    spots: list[int | None] = []
    values: list[Any] = []
    for arg in args:
        if scalar(arg):
            spots.append(None)
            values.append(arg)
            continue
        key = arg.key
        spot = places.get(key)
        if spot is None:
            spot = places[key] = len(futures)
            futures.append(arg)
        spots.append(spot)
        values.append(None)
    return plainly((values, kwargs, spots)), futures, []


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
            args, kwargs, *spots = unpickled(frames)
        else:
            with resolving(inputs):
                args, kwargs, *spots = unpickled(frames)
        if spots:
            if not inputs:
                raise ValueError(OUTSIDE)
            found = [arg if spot is None else inputs[spot] for arg, spot in zip(args, spots[0], strict=True)]
            return tuple(found), kwargs
        return args, kwargs
    except Exception as error:
        text = f"the arguments of {what} cannot be unpickled here: {type(error).__name__}: {error}"
        raise SerializationError(text) from error


def dumps_function_call(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Frames:
    """Pickle a function with its arguments, for `Client.run`. Raises SerializationError."""
    return pickled((fn, args, dict(kwargs)), f"the call of {getattr(fn, '__name__', fn)!r}")


def loads_function_call(frames: Frames) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    """What `dumps_function_call` pickled. Raises SerializationError."""
    return loads(frames, "the function to run and its arguments")  # type: ignore[no-any-return]
