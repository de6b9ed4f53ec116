"""The task that carries out a random program: on a cluster, or in plain Python.

`perform` follows a program step by step and writes down what it sees; what it uses of fastsched it takes from a `Face`,
so that the same lines run on the workers and against the oracle. The steps are coroutines: in a coroutine task they
await what others wait for; elsewhere they are driven to their end in one go, since what they await has ended.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from fastsched import Future, as_completed, fire_and_forget, get_client, rejoin, secede, wait, worker_client
from fastsched.errors import CancelledError
from tests.cluster.nested_programs import Launch, Step, Task, shared_task

__all__ = ["Box", "Face", "Oddity", "Root", "driven", "outcomes", "perform", "set_face"]


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
    as_completed = staticmethod(as_completed)
    fire_and_forget = staticmethod(fire_and_forget)
    get_client = staticmethod(get_client)
    secede = staticmethod(secede)
    rejoin = staticmethod(rejoin)
    sleep = staticmethod(time.sleep)

    def block(self, inline: bool = True) -> AbstractContextManager[Any]:
        """`worker_client`."""
        return worker_client(inline=inline)

    def in_thread(self, work: Callable[[], Any]) -> Awaitable[Any]:
        """In a coroutine: what comes of it in a thread of its own."""
        return asyncio.to_thread(work)

    def wait(self, futures: list[Any], until: str, seconds: float | None = None) -> Any:
        """`wait`."""
        return wait(futures, seconds, until)

    def iterated(self, futures: list[Any]) -> AsyncIterator[Any]:
        """In a coroutine: as they end."""
        return as_completed(futures)

    def slept(self, seconds: float) -> Awaitable[Any]:
        """In a coroutine."""
        return asyncio.sleep(seconds)


_face: Face = Face()


def set_face(face: Face) -> Face:
    """Use this from now on; gives back what was used. For the oracle."""
    global _face
    before, _face = _face, face
    return before


def driven(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What comes of a coroutine that awaits nothing, or only what has ended."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("something in it has not ended")


def perform(task: Task, directory: str, *inputs: Any) -> Any:
    """Carry out a task."""
    return driven(_Performance(task, directory, inputs).run())


def perform_sleepy(task: Task, directory: str, *inputs: Any) -> Any:
    """Another function, which may turn out to be coarse."""
    _face.sleep(task.millis / 1000.0)
    return driven(_Performance(task, directory, inputs).run())


def perform_seed(seed: int, directory: str) -> Any:
    """Equal arguments, one key: whoever launches it."""
    return driven(_Performance(shared_task(seed), directory, ()).run())


async def perform_async(task: Task, directory: str, *inputs: Any) -> Any:
    """Await what others wait for."""
    return await _Performance(task, directory, inputs, _Awaiting()).run()


def _closure(future: Any) -> Callable[..., Any]:
    def perform_closure(task: Task, directory: str, *inputs: Any) -> Any:
        return driven(_Performance(task, directory, (*inputs, future)).run())

    return perform_closure


class _Waiting:
    """How a thread waits."""

    async def value(self, future: Any, limited: bool = False) -> Any:
        """Of one."""
        return future.result(timeout=60.0 if limited else None)

    async def exception(self, future: Any) -> Any:
        """Of one."""
        return future.exception()

    async def gathered(self, client: Any, futures: Any, errors: str = "raise") -> Any:
        """Of many."""
        return client.gather(futures, errors=errors)

    async def waited(self, futures: list[Any], until: str) -> Any:
        """`wait`."""
        return _face.wait(futures, until)

    async def completed(self, futures: list[Any]) -> list[Any]:
        """In the order in which they end."""
        return list(_face.as_completed(futures))

    async def scattered(self, client: Any, data: list[Any]) -> list[Any]:
        """Futures of values."""
        return client.scatter(data, hash=False)

    async def sleep(self, seconds: float) -> None:
        """For others to go on."""
        _face.sleep(seconds)

    async def in_threads(self, works: list[Callable[[], Any]]) -> list[Any]:
        """What comes of each, in a thread of its own."""
        with _face.block(), ThreadPoolExecutor() as pool:  # in a block: who waits for a thread lends no slot otherwise
            return list(pool.map(lambda work: work(), works))


class _Awaiting(_Waiting):
    """How a coroutine does."""

    async def value(self, future: Any, limited: bool = False) -> Any:
        if limited:  # not by asyncio.wait_for: what it raises holds itself, and all that its frames see, until gc comes
            await settled(_face.wait([future], "ALL_COMPLETED", 60.0))
        return await future

    async def exception(self, future: Any) -> Any:
        await self.waited([future], "ALL_COMPLETED")
        return future.exception()

    async def gathered(self, client: Any, futures: Any, errors: str = "raise") -> Any:
        return await settled(client.gather(futures, errors=errors))

    async def waited(self, futures: list[Any], until: str) -> Any:
        return await settled(_face.wait(futures, until))

    async def completed(self, futures: list[Any]) -> list[Any]:
        return [future async for future in _face.iterated(futures)]

    async def scattered(self, client: Any, data: list[Any]) -> list[Any]:
        return await settled(client.scatter(data, hash=False))

    async def sleep(self, seconds: float) -> None:
        await _face.slept(seconds)

    async def in_threads(self, works: list[Callable[[], Any]]) -> list[Any]:
        return [await _face.in_thread(work) for work in works]


async def settled(value: Any) -> Any:
    """What is awaited on a cluster is there in plain Python."""
    return await value if isinstance(value, Awaitable) else value


class _Performance:
    """A task at work."""

    def __init__(self, task: Task, directory: str, inputs: Sequence[Any], ways: _Waiting | None = None) -> None:
        self.ways = ways or _Waiting()
        self.task = task
        self.directory = directory
        self.inputs = inputs
        self.futures: dict[str, Any] = {}
        self.log: list[Any] = [task.name]
        self.client: Any = None

    async def run(self) -> Any:
        task = self.task
        if task.fails_first:
            self.attempt()
        if task.leaves_mark:
            (Path(self.directory) / f"mark-{task.name}").touch()
        if task.opening == "get_client":
            self.client = _face.get_client()
            return await self.follow()
        inline = task.opening != "elsewhere"
        with _face.block(inline) as self.client, _face.block() if task.opening == "twice" else nullcontext():
            if task.opening != "late":
                return await self.follow()
            for step in task.steps:
                await self.step(step)
        return self.end()  # outside the block

    async def follow(self) -> Any:
        for value in self.inputs:
            self.log.append(("input", await self.look(value)))
        for step in self.task.steps:
            await self.step(step)
        return self.end()

    def attempt(self) -> None:
        """Fail until there have been enough attempts."""
        path = Path(self.directory) / f"attempts-{self.task.name}"
        with path.open("a") as file:
            file.write("x")
        count = path.stat().st_size
        if count <= self.task.fails_first:
            raise ValueError(f"{self.task.name} fails at attempt {count}")

    async def look(self, value: Any) -> Any:
        """What came in: changed in place, too, which must be seen by nobody else."""
        if isinstance(value, _face.future_type):
            return ("future", await self.seen(self.ways.value(value)))
        if isinstance(value, Box):
            return ("box", await self.seen(self.ways.value(value.future)))
        if isinstance(value, str) and value.startswith("key:"):
            future = self.client.attach(value[4:])
            return ("attached", await self.seen(self.ways.value(future)))
        if isinstance(value, np.ndarray):
            before = value.tolist()
            value += 1
            return ("array", before, value.tolist())
        before = await resolved(self.ways, value)
        if isinstance(value, list):
            value.append("changed")
        return before

    async def seen(self, outcome: Awaitable[Any]) -> Any:
        return await seen(self.ways, outcome)

    async def complaint(self, future: Any) -> Any:
        return told(await self.ways.exception(future))

    async def step(self, step: Step) -> None:
        await getattr(self, f"do_{step.what}")(step)

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
            local=launch.local,
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

    async def do_submit(self, step: Step) -> None:
        for name, launch in zip(step.names, step.launches, strict=True):
            self.launch(name, launch)

    async def do_threads(self, step: Step) -> None:
        directory = self.directory

        def work(task: Task) -> Any:
            client = _face.get_client()
            return driven(outcomes([client.submit(perform, task, directory)], 60.0))

        self.log += await self.ways.in_threads([partial(work, launch.task) for launch in step.launches])

    async def do_map(self, step: Step) -> None:
        tasks = [launch.task for launch in step.launches]
        futures = self.client.map(perform, tasks, [self.directory] * len(tasks), pure=step.way == "pure")
        self.futures.update(zip(step.names, futures, strict=True))

    async def do_scatter(self, step: Step) -> None:
        (name,) = step.names
        self.futures[name] = (await self.ways.scattered(self.client, [self.task.name, 1]))[0]

    async def do_result(self, step: Step) -> None:
        """The failure of a child is the task's own."""
        for name in step.names:
            value = await self.ways.value(self.futures[name], step.way == "timeout")
            self.log.append(await resolved(self.ways, value))

    async def do_look(self, step: Step) -> None:
        for name in step.names:
            future = self.futures[name]
            if step.way == "exception":
                self.log.append(await self.seen(self.complaint(future)))
            else:
                self.log.append(await self.seen(self.ways.value(future)))
            self.log.append(future.status)

    async def do_gather(self, step: Step) -> None:
        futures = [self.futures[name] for name in step.names]
        shape: Any = {"list": futures, "dict": {"x": futures}, "tuple": (tuple(futures),)}[step.way or "list"]
        self.log.append(await self.seen(self.ways.gathered(self.client, shape)))

    async def do_skip(self, step: Step) -> None:
        futures = [self.futures[name] for name in step.names]
        self.log.append(await self.seen(self.ways.gathered(self.client, futures, "skip")))

    async def do_as_completed(self, step: Step) -> None:
        names = {self.futures[name]: name for name in step.names}
        found = [
            (names[future], future.status, await self.seen(self.ways.value(future)))
            for future in await self.ways.completed(list(names))
        ]
        self.log.append(sorted(found, key=repr))

    async def do_wait(self, step: Step) -> None:
        done, others = await self.ways.waited([self.futures[name] for name in step.names], step.way)
        if step.way == "FIRST_COMPLETED":
            self.log.append(len(done) >= 1 and len(done) + len(others) == len(set(step.names)))
        else:
            self.log.append((sorted(future.status for future in done), len(others)))

    async def do_cancel(self, step: Step) -> None:
        for name in step.names:
            self.futures[name].cancel()
            self.log.append(self.futures[name].status)
            self.log.append(await self.seen(self.ways.value(self.futures[name])))

    async def do_forget(self, step: Step) -> None:
        for name in step.names:
            _face.fire_and_forget(self.futures.pop(name))

    async def do_drop(self, step: Step) -> None:
        for name in step.names:
            del self.futures[name]

    async def do_sleep(self, step: Step) -> None:
        await self.ways.sleep(float(step.way))

    async def do_secede(self, step: Step) -> None:
        _face.secede()

    async def do_rejoin(self, step: Step) -> None:
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


async def seen(ways: _Waiting, outcome: Awaitable[Any]) -> Any:
    """What comes of it, as plain data."""
    try:
        value = await outcome
    except BaseException as error:
        return told(error)
    return await resolved(ways, value)


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


async def resolved(ways: _Waiting, value: Any) -> Any:
    """Plain data, with outcomes in the place of futures."""
    if isinstance(value, _face.future_type):
        return ("value of", await seen(ways, ways.value(value)))
    if isinstance(value, Box):
        return ("box", await resolved(ways, value.future))
    if isinstance(value, np.ndarray):
        return ("array", value.tolist())
    if isinstance(value, list | tuple):
        return type(value)([await resolved(ways, entry) for entry in value])
    if isinstance(value, dict):
        return {name: await resolved(ways, entry) for name, entry in value.items()}
    if isinstance(value, bytes):
        return ("bytes", len(value))
    return value


async def outcomes(futures: Sequence[Any], seconds: float) -> list[Any]:
    """For the program that has launched them: what became of them."""
    ways = _Waiting()

    async def end(future: Any) -> Any:
        return await resolved(ways, future.result(timeout=seconds))

    return [await seen(ways, end(future)) for future in futures]
