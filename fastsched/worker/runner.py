"""One task from pickled function and inputs to pickled result, in the calling thread.

One concern: unpickle, call, pickle, and turn whatever goes wrong on the way into an `ErrorItem`: nothing that a task
does, not even SystemExit or KeyboardInterrupt, ends the thread that runs it. Called by `executor` in its threads;
knows no lock, no queue and no socket. May import: payload (the only pickle), messages, and its own room's records.
"""

from __future__ import annotations

import asyncio
import traceback
from contextvars import Context
from types import CoroutineType
from typing import Any

from fastsched._wait import monotonic
from fastsched.config import Config
from fastsched.errors import SerializationError
from fastsched.wire import payload
from fastsched.wire.messages import Buffer, ErrorItem, ErrorKind, Frames
from fastsched.wire.payload.calls import loads_call
from fastsched.wire.payload.pickling import frames_and_futures, loads, type_name
from fastsched.worker.jobs import Function, Job
from fastsched.worker.store import Value

__all__ = ["Outcome", "could_not_start", "dropped_before", "raised", "returned", "run_function", "run_job"]

FRAME_OVERHEAD, MESSAGE_OVERHEAD = 5, 100
"""Bytes that the wire adds to a frame inside a message, and to a message, at the most."""

MOST_LINKS = 32
"""So many exceptions behind a task's own are looked at; they may go round in a circle."""


class Outcome:
    """What became of a job.

    Attributes
    ----------
    end : Value or ErrorItem or None
        The pickled result, or what went wrong; None: `result` is a coroutine, which is to be run.
    micros : int
        Run time in microseconds.
    pins : tuple of str
        Keys of the futures inside the result.
    result
        The object itself, until whoever reports the outcome drops it, not before: futures inside it are released with
        it, and the scheduler must hear of the value that pins them first.
    """

    __slots__ = ("end", "micros", "pins", "result")

    def __init__(
        self, end: Value | ErrorItem | None, micros: int = 0, pins: tuple[str, ...] = (), result: Any = None
    ) -> None:
        self.end = end
        self.micros = micros
        self.pins = pins
        self.result = result


def run_job(job: Job, worker: str, config: Config) -> Outcome:
    """Run the task; returns in any case. `worker`: its name, for errors; `config`: how large a result may be."""
    try:
        call = job.function.call or _load(job.function)
        inputs = [loads(value.frames) for value in job.values] if job.values else ()
        args, kwargs = loads_call(job.args, inputs)
    except BaseException as error:  # noqa: BLE001  unpickling runs the user's code
        return _unusable(job, worker, "the function or the arguments of task", error)
    del inputs
    began = monotonic()
    try:
        result = Context().run(call, *args, **kwargs)
    except BaseException as error:  # noqa: BLE001  a task's SystemExit or KeyboardInterrupt is its own
        return raised(job, worker, error, _micros_since(began), 1)
    if type(result) is CoroutineType:
        return Outcome(None, 0, (), result)
    return returned(job, worker, config, result, _micros_since(began))


def returned(job: Job, worker: str, config: Config, result: Any, micros: int) -> Outcome:
    """The task's own result."""
    try:
        frames, futures = frames_and_futures(result, "it")
        value = Value(frames, type_name(result))
        _ensure_it_can_travel(value, config)
        pins = tuple([future.key for future in futures]) if futures else ()
        return Outcome(value, micros, pins, result)
    except BaseException as error:  # noqa: BLE001  pickling runs the user's code
        return _unusable(job, worker, f"the result (a {type(result).__qualname__}) of task", error)


def _micros_since(began: float) -> int:
    return int(1e6 * (monotonic() - began))


def _load(function: Function) -> Any:
    """Unpickle a function once. It keeps its id: a task that submits it again meets the tasks of others.

    One that holds futures is unpickled for each task: kept, it would keep them as long as this worker knows it.
    """
    futures: list[Any] = []
    with payload.collecting(futures):
        call = payload.functions.load(function.fn, function.frames)
    if not futures:
        function.call = call
    return call


def _ensure_it_can_travel(value: Value, config: Config) -> None:
    """A value that no message can carry would be found out when somebody wants it: too late."""
    frames = value.frames
    if len(frames) == 1 and value.nbytes <= config.message_bytes:
        return
    buffers = sum([isinstance(frame, Buffer) for frame in frames])
    inside = sum([len(frame) + FRAME_OVERHEAD for frame in frames if not isinstance(frame, Buffer)])
    for name, size, most in (
        ("message_bytes", value.nbytes, config.message_bytes),
        ("message_buffers", buffers, config.message_buffers),
        ("control_bytes", inside + MESSAGE_OVERHEAD, config.control_bytes),
    ):
        if size > most:
            raise SerializationError(f"{size:,} is over the limit {name} of {most:,}")


def raised(job: Job, worker: str, error: BaseException, micros: int, frames: int) -> Outcome:
    """The task's own exception; the traceback begins with the task's first frame, after so many `frames` of ours."""
    for _ in range(frames):
        if error.__traceback__ is not None:
            error.__traceback__ = error.__traceback__.tb_next
    pickled, text = payload.dumps_exception(error)
    _let_frames_go(error)
    return Outcome(ErrorItem(ErrorKind.TASK, pickled, job.key, worker, job.attempt, text), micros)


def _let_frames_go(error: BaseException) -> None:
    """Frames that hold the exception that holds them (asyncio makes such, too) keep futures until gc comes by."""
    chain: list[BaseException | None] = [error]
    for _ in range(MOST_LINKS):
        if not chain:
            return
        link = chain.pop()
        if link is not None:
            traceback.clear_frames(link.__traceback__)
            chain += (link.__cause__, link.__context__)


def _unusable(job: Job, worker: str, what: str, error: BaseException) -> Outcome:
    """Something could not be pickled or unpickled."""
    reason = "".join(traceback.format_exception_only(error)).strip()  # not str(error): that is the user's code too
    text = f"{what} {job.key!r} on worker {worker!r}: {reason}"
    return Outcome(ErrorItem(ErrorKind.SERIALIZATION, None, job.key, worker, job.attempt, text))


def dropped_before(job: Job, worker: str) -> Outcome:
    """It was dropped between its start and the first step of its thread."""
    text = f"nobody wants task {job.key!r} any more"
    return Outcome(ErrorItem(ErrorKind.CANCELLED, None, job.key, worker, job.attempt, text))


def could_not_start(job: Job, worker: str, error: BaseException) -> ErrorItem:
    """There is no thread to run the job."""
    raised = RuntimeError(f"worker {worker!r} cannot start a thread for task {job.key!r}: {error}")
    frames, text = payload.dumps_exception(raised)
    return ErrorItem(ErrorKind.TASK, frames, job.key, worker, job.attempt, text)


def run_function(frames: Frames, worker: str, config: Config) -> tuple[bool, Frames]:
    """Call a pickled ``(function, args, kwargs)`` of `Client.run`; (False, the pickled exception) if it raised."""
    try:
        function, args, kwargs = payload.loads_function_call(frames)
        result = Context().run(function, *args, **kwargs)
        if type(result) is CoroutineType:
            result = Context().run(asyncio.run, result)
        returned = payload.dumps(result, f"what the function returned on worker {worker!r}").frames
        _ensure_it_can_travel(Value(returned), config)
        return True, returned
    except BaseException as error:  # noqa: BLE001  as for a task
        pickled, text = payload.dumps_exception(error)
        if pickled is None:
            pickled, _ = payload.dumps_exception(RuntimeError(text))
        return False, pickled or ()
