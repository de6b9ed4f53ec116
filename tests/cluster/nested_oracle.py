"""What nested tasks mean, in plain Python: every task is run when it is submitted, by a call.

Values, arguments and exceptions are copied as pickle would; that is all that a cluster adds.
"""

from __future__ import annotations

import copy
import itertools
import pickle
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import AbstractContextManager, nullcontext
from types import CoroutineType
from typing import Any

from fastsched.errors import CancelledError, SerializationError
from tests.cluster.nested_performance import Face, driven, set_face

__all__ = ["expected"]

_futures: dict[int, OracleFuture] = {}
_numbers = itertools.count()


def _found(number: int) -> OracleFuture:
    return _futures[number]


class OracleFuture:
    """A task that has ended."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.number = next(_numbers)
        self.status = "pending"
        self.value = b""
        self.error: BaseException | None = None
        _futures[self.number] = self

    def result(self, timeout: float | None = None) -> Any:
        """Its value."""
        if self.error is not None:
            raise copied(self.error)
        return pickle.loads(self.value)

    def exception(self) -> BaseException | None:
        """What it raised."""
        if isinstance(self.error, CancelledError):
            raise self.error
        return None if self.error is None else copied(self.error)

    def cancel(self) -> None:
        """It had not been looked at."""
        self.status, self.error = "cancelled", CancelledError(self.key)

    def __await__(self) -> Generator[Any, None, Any]:
        return self.result()
        yield  # never

    def __reduce__(self) -> Any:
        return _found, (self.number,)


def copied(error: BaseException) -> BaseException:
    """The same exception, without what Python hangs on it where it is raised."""
    new = copy.copy(error)
    if hasattr(error, "__notes__"):
        new.__notes__ = list(error.__notes__)
    new.__cause__ = None if error.__cause__ is None else copied(error.__cause__)
    new.__context__ = None if error.__context__ is None else copied(error.__context__)
    new.__suppress_context__ = error.__suppress_context__
    return new


class OracleClient:
    """A client whose tasks run at once."""

    def __init__(self) -> None:
        self.by_key: dict[str, OracleFuture] = {}

    def submit(self, function: Callable[..., Any], *args: Any, key: str | None = None, **options: Any) -> OracleFuture:
        """Run it."""
        future = OracleFuture(key or f"oracle-{next(_numbers)}")
        self.by_key[future.key] = future
        pickled = pickle.dumps(args)
        for attempt in range((options.get("retries") or 0), -1, -1):
            try:
                arguments = [self.substituted(argument) for argument in pickle.loads(pickled)]
                result = function(*arguments)
                if isinstance(result, CoroutineType):
                    result = driven(result)
                future.value, future.status = _pickled(result), "finished"
                break
            except BaseException as error:
                if not attempt or isinstance(error, SerializationError):
                    future.error, future.status = error, "error"
                    break
        return future

    def substituted(self, argument: Any) -> Any:
        """Futures in containers arrive as values."""
        if isinstance(argument, OracleFuture):
            return argument.result()
        if isinstance(argument, list | tuple) and not hasattr(argument, "_fields"):
            return type(argument)([self.substituted(entry) for entry in argument])
        if isinstance(argument, dict):
            return {name: self.substituted(entry) for name, entry in argument.items()}
        return argument

    def map(self, function: Callable[..., Any], *iterables: Any, pure: bool = True) -> list[OracleFuture]:
        """`submit` for each."""
        return [self.submit(function, *args) for args in zip(*iterables, strict=True)]

    def scatter(self, data: list[Any], hash: bool = True) -> list[OracleFuture]:
        """Values."""
        futures = []
        for value in data:
            future = OracleFuture(f"data-{next(_numbers)}")
            future.value, future.status = pickle.dumps(value), "finished"
            futures.append(future)
        return futures

    def attach(self, key: str) -> OracleFuture:
        """By its key."""
        return self.by_key[key]

    def gather(self, futures: Any, errors: str = "raise") -> Any:
        """Values in the place of futures."""
        if isinstance(futures, OracleFuture):
            return futures.result()
        if isinstance(futures, dict):
            return {name: self.gather(entry, errors) for name, entry in futures.items()}
        kept = [one for one in futures if errors == "raise" or one.status == "finished"]
        return type(futures)([self.gather(one, errors) for one in kept])


def _pickled(value: Any) -> bytes:
    try:
        return pickle.dumps(value)
    except TypeError as error:
        raise SerializationError(str(error)) from None


class OracleFace(Face):
    """Everything has ended already."""

    future_type = OracleFuture

    def __init__(self) -> None:
        self.client = OracleClient()

    def get_client(self) -> OracleClient:  # type: ignore[override]
        return self.client

    def block(self, inline: bool = True) -> AbstractContextManager[Any]:
        return nullcontext(self.client)

    def wait(self, futures: list[OracleFuture], until: str, seconds: float | None = None) -> Any:
        return set(futures), set()

    def as_completed(self, futures: list[OracleFuture]) -> Iterator[OracleFuture]:  # type: ignore[override]
        return iter(futures)

    def fire_and_forget(self, future: OracleFuture) -> None:  # type: ignore[override]
        """It has run."""

    def sleep(self, seconds: float) -> None:  # type: ignore[override]
        """Nobody else is there."""

    async def iterated(self, futures: list[OracleFuture]) -> AsyncIterator[OracleFuture]:  # type: ignore[override]
        for future in futures:
            yield future

    async def in_thread(self, work: Callable[[], Any]) -> Any:  # type: ignore[override]
        return work()

    async def slept(self, seconds: float) -> None:  # type: ignore[override]
        """Nobody else is there."""

    def secede(self) -> None:  # type: ignore[override]
        """Nobody counts."""

    def rejoin(self) -> None:  # type: ignore[override]
        """Nobody counts."""


def expected(use: Callable[[OracleClient], Any]) -> Any:
    """What `use` makes of a client under which everything runs as plain Python."""
    face = OracleFace()
    before = set_face(face)
    try:
        return use(face.client)
    finally:
        set_face(before)
        _futures.clear()
