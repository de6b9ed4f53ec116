"""The task that carries out a random program: on a cluster, or in plain Python.

`perform` follows a program step by step and writes down what it sees; what it uses of fastsched it takes from a `Face`,
so that the same lines run on the workers and against the oracle.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from fastsched import Future, as_completed, fire_and_forget, get_client, rejoin, secede, wait, worker_client
from fastsched.errors import CancelledError
from tests.cluster.nested_programs import Launch, Step, Task, shared_task

__all__ = ["Box", "Face", "Oddity", "Root", "perform", "resolved", "seen", "set_face"]


class Oddity(Exception):
    """An exception with two arguments."""

    def __init__(self, text: str, number: int) -> None:
        super().__init__(text, number)
        self.number = number


class Root(BaseException):
    """Not an Exception."""


class Box:
    """A future in an attribute arrives as a future."""

    def __init__(self, future: Any) -> None:
        self.future = future


class Face:
    """What `perform` needs of fastsched."""

    future_type: type = Future
    wait = staticmethod(wait)
    as_completed = staticmethod(as_completed)
    fire_and_forget = staticmethod(fire_and_forget)
    get_client = staticmethod(get_client)
    secede = staticmethod(secede)
    rejoin = staticmethod(rejoin)
    sleep = staticmethod(time.sleep)

    def block(self) -> AbstractContextManager[Any]:
        """`worker_client`."""
        return worker_client()


_face: Face = Face()


def set_face(face: Face) -> Face:
    """Use this from now on; gives back what was used. For the oracle."""
    global _face
    before, _face = _face, face
    return before


def perform(task: Task, directory: str, *inputs: Any) -> Any:
    """Carry out a task."""
    return _Performance(task, directory, inputs).run()


def perform_sleepy(task: Task, directory: str, *inputs: Any) -> Any:
    """Another function, which may turn out to be coarse."""
    _face.sleep(task.millis / 1000.0)
    return _Performance(task, directory, inputs).run()


def perform_seed(seed: int, directory: str) -> Any:
    """Equal arguments, one key: whoever launches it."""
    return _Performance(shared_task(seed), directory, ()).run()


async def perform_async(task: Task, directory: str, *inputs: Any) -> Any:
    """In a thread with a running loop."""
    return _Performance(task, directory, inputs).run()


def _closure(future: Any) -> Callable[..., Any]:
    def perform_closure(task: Task, directory: str, *inputs: Any) -> Any:
        return _Performance(task, directory, (*inputs, future)).run()

    return perform_closure


class _Performance:
    """A task at work."""

    def __init__(self, task: Task, directory: str, inputs: Sequence[Any]) -> None:
        self.task = task
        self.directory = directory
        self.inputs = inputs
        self.futures: dict[str, Any] = {}
        self.log: list[Any] = [task.name]
        self.client: Any = None

    def run(self) -> Any:
        task = self.task
        if task.fails_first:
            self.attempt()
        if task.leaves_mark:
            (Path(self.directory) / f"mark-{task.name}").touch()
        if task.opening == "get_client":
            self.client = _face.get_client()
            return self.follow()
        with _face.block() as self.client, _face.block() if task.opening == "twice" else nullcontext():
            if task.opening != "late":
                return self.follow()
            for step in task.steps:
                self.step(step)
        return self.end()  # outside the block

    def follow(self) -> Any:
        for value in self.inputs:
            self.log.append(("input", self.look(value)))
        for step in self.task.steps:
            self.step(step)
        return self.end()

    def attempt(self) -> None:
        """Fail until there have been enough attempts."""
        path = Path(self.directory) / f"attempts-{self.task.name}"
        with path.open("a") as file:
            file.write("x")
        count = path.stat().st_size
        if count <= self.task.fails_first:
            raise ValueError(f"{self.task.name} fails at attempt {count}")

    def look(self, value: Any) -> Any:
        """What came in: changed in place, too, which must be seen by nobody else."""
        if isinstance(value, _face.future_type):
            return ("future", seen(self.client, lambda: value.result()))
        if isinstance(value, Box):
            return ("box", seen(self.client, lambda: value.future.result()))
        if isinstance(value, str) and value.startswith("key:"):
            future = self.client.attach(value[4:])
            return ("attached", seen(self.client, lambda: future.result()))
        if isinstance(value, np.ndarray):
            before = value.tolist()
            value += 1
            return ("array", before, value.tolist())
        before = resolved(self.client, value)
        if isinstance(value, list):
            value.append("changed")
        return before

    def step(self, step: Step) -> None:
        getattr(self, f"do_{step.what}")(step)

    def launch(self, name: str, launch: Launch) -> None:
        if isinstance(launch.task, int):
            self.futures[name] = self.client.submit(perform_seed, launch.task, self.directory)
            return
        function: Callable[..., Any] = FUNCTIONS.get(launch.kind, perform)
        arguments = []
        for way, what in launch.inputs:
            if way == "closure":
                function = _closure(self.futures[what])
            else:
                arguments.append(self.argument(way, what))
        self.futures[name] = self.client.submit(
            function,
            launch.task,
            self.directory,
            *arguments,
            key=f"key-{launch.task.name}" if launch.key else None,
            pure=launch.pure,
            retries=launch.retries,
            priority=launch.priority,
        )

    def argument(self, way: str, what: Any) -> Any:
        match way:
            case "value":
                return what
            case "list":
                return [0, [self.futures[what]]]
            case "dict":
                return {"a": self.futures[what], "b": (self.futures[what],)}
            case "box":
                return Box(self.futures[what])
            case "key":
                return f"key:{self.futures[what].key}"
            case "array":
                return np.arange(what)
            case "large":
                return [b"x" * what]
            case "future":
                return self.futures[what]
        raise AssertionError(way)

    def do_submit(self, step: Step) -> None:
        for name, launch in zip(step.names, step.launches, strict=True):
            self.launch(name, launch)

    def do_map(self, step: Step) -> None:
        tasks = [launch.task for launch in step.launches]
        futures = self.client.map(perform, tasks, [self.directory] * len(tasks), pure=step.way == "pure")
        self.futures.update(zip(step.names, futures, strict=True))

    def do_scatter(self, step: Step) -> None:
        (name,) = step.names
        self.futures[name] = self.client.scatter([self.task.name, 1], hash=False)[0]

    def do_result(self, step: Step) -> None:
        """The failure of a child is the task's own."""
        timeout = 60.0 if step.way == "timeout" else None
        for name in step.names:
            self.log.append(resolved(self.client, self.futures[name].result(timeout=timeout)))

    def do_look(self, step: Step) -> None:
        for name in step.names:
            future = self.futures[name]
            if step.way == "exception":
                self.log.append(seen(self.client, lambda future=future: told(future.exception())))
            else:
                self.log.append(seen(self.client, lambda future=future: future.result()))
            self.log.append(future.status)

    def do_gather(self, step: Step) -> None:
        futures = [self.futures[name] for name in step.names]
        shape: Any = {"list": futures, "dict": {"x": futures}, "tuple": (tuple(futures),)}[step.way or "list"]
        self.log.append(seen(self.client, lambda: self.client.gather(shape)))

    def do_skip(self, step: Step) -> None:
        futures = [self.futures[name] for name in step.names]
        self.log.append(seen(self.client, lambda: self.client.gather(futures, errors="skip")))

    def do_as_completed(self, step: Step) -> None:
        names = {self.futures[name]: name for name in step.names}
        found = [
            (names[future], future.status, seen(self.client, lambda future=future: future.result()))
            for future in _face.as_completed(list(names))
        ]
        self.log.append(sorted(found, key=repr))

    def do_wait(self, step: Step) -> None:
        done, others = _face.wait([self.futures[name] for name in step.names], return_when=step.way)
        if step.way == "FIRST_COMPLETED":
            self.log.append(len(done) >= 1 and len(done) + len(others) == len(set(step.names)))
        else:
            self.log.append((sorted(future.status for future in done), len(others)))

    def do_cancel(self, step: Step) -> None:
        for name in step.names:
            self.futures[name].cancel()
            self.log.append(self.futures[name].status)
            self.log.append(seen(self.client, lambda name=name: self.futures[name].result()))

    def do_forget(self, step: Step) -> None:
        for name in step.names:
            _face.fire_and_forget(self.futures.pop(name))

    def do_drop(self, step: Step) -> None:
        for name in step.names:
            del self.futures[name]

    def do_sleep(self, step: Step) -> None:
        _face.sleep(float(step.way))

    def do_secede(self, step: Step) -> None:
        _face.secede()

    def do_rejoin(self, step: Step) -> None:
        _face.rejoin()

    def end(self) -> Any:
        ending = self.task.ending
        name = self.task.name
        held = [self.futures[name] for name in ending.names]
        match ending.what:
            case "return":
                return tuple(self.log)
            case "hold":
                return {"log": tuple(self.log), "futures": held, "box": Box(held[0])}
            case "future":
                return held[0]
            case "raise":
                raise ValueError(f"{name} raises", len(self.log))
            case "odd":
                raise Oddity(name, 7)
            case "note":
                raise noted(KeyError(name), f"user: note of {name}", "user: second")
            case "cause":
                try:
                    raise KeyError(f"{name} inner")
                except KeyError as inner:
                    raise Oddity(f"{name} outer", 1) from inner
            case "context":
                try:
                    raise KeyError(f"{name} first")
                except KeyError:
                    raise ValueError(f"{name} second")  # noqa: B904  the context is what is looked at
            case "exit":
                raise SystemExit(name)
            case "interrupt":
                raise KeyboardInterrupt(name)
            case "base":
                raise Root(name)
            case "group":
                raise ExceptionGroup(name, [ValueError("a"), Oddity("b", 2)])
            case "big":
                return b"x" * 100_000
            case "lock":
                return Lock()
            case "array":
                return np.arange(len(self.log))
        raise AssertionError(ending.what)


FUNCTIONS = {"plain": perform, "sleepy": perform_sleepy, "async": perform_async}


def noted(error: BaseException, *notes: str) -> BaseException:
    """Not in the frame that raises it: that would hold itself, and all that it sees."""
    for note in notes:
        error.add_note(note)
    return error


def seen(client: Any, look: Callable[[], Any]) -> Any:
    """What comes of it, as plain data."""
    try:
        value = look()
    except BaseException as error:
        return told(error)
    return resolved(client, value)


def told(error: BaseException | None, depth: int = 0) -> Any:
    """An exception as plain data: its type, its arguments, what the user noted, and what hangs on it."""
    if error is None or depth > 5:
        return None
    kind = type(error).__name__
    if isinstance(error, CancelledError) or kind in ("SerializationError", "RemoteError"):
        return ("raised", kind)  # their texts name keys and workers
    notes = [note for note in getattr(error, "__notes__", ()) if note.startswith("user:")]
    inner = [told(one, depth + 1) for one in getattr(error, "exceptions", ())]
    cause, context = told(error.__cause__, depth + 1), told(error.__context__, depth + 1)
    return ("raised", kind, str(error), error.args if not inner else len(inner), notes, cause, context, inner)


def resolved(client: Any, value: Any) -> Any:
    """Plain data, with outcomes in the place of futures."""
    if isinstance(value, _face.future_type):
        return ("value of", seen(client, lambda: value.result()))
    if isinstance(value, Box):
        return ("box", resolved(client, value.future))
    if isinstance(value, np.ndarray):
        return ("array", value.tolist())
    if isinstance(value, list | tuple):
        return type(value)([resolved(client, entry) for entry in value])
    if isinstance(value, dict):
        return {name: resolved(client, entry) for name, entry in value.items()}
    if isinstance(value, bytes):
        return ("bytes", len(value))
    return value
