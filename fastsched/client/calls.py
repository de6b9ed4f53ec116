"""A call of `submit` or `map` on its way to becoming tasks.

One concern: what each task is made of, the item that travels and the record that stays. Everything that the tasks of
one call share is looked up once. Compiled: what stands here is done for every task. Called by `client`, in the
caller's thread; nothing here is seen by others before the session gets it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from fastsched.client.checks import checked_count, checked_integer, checked_retries
from fastsched.client.future import Future
from fastsched.client.session import Session
from fastsched.errors import ClosedError
from fastsched.phase import Phase
from fastsched.wire import payload
from fastsched.wire.items import make
from fastsched.wire.keys import function_name, task_key, unique_key
from fastsched.wire.messages import TaskItem
from fastsched.wire.payload.calls import dumps_call

if TYPE_CHECKING:
    from fastsched.client.client import Client

__all__ = ["Calls", "fids_of"]

_functions = payload.functions


class Calls:
    """Makes the tasks of one call of `submit` or `map`.

    Parameters
    ----------
    client : Client
        Whose tasks they are.
    session : Session
        The client's.
    func : callable
        The function of all of them.
    name : str or None
        What the keys begin with, by default the function's name.
    priority, retries
        As the user gave them.
    parent : int
        Task id of the running task, 0 outside.

    Attributes
    ----------
    function : Frames
        The pickled function.

    Raises
    ------
    SerializationError
        The function cannot be pickled.
    TypeError, ValueError
        `priority` or `retries` is no such number.
    ClosedError
        The function holds a future of another client.
    """

    __slots__ = ("_client", "_fn", "_held", "_name", "_parent", "_priority", "_retries", "_session", "function")

    def __init__(
        self,
        client: Client,
        session: Session,
        func: Callable[..., Any],
        name: str | None,
        priority: int,
        retries: int | None,
        parent: int,
    ) -> None:
        self._client = client
        self._session = session
        # futures in the function itself: in its closure, or in what it is a method or partial of
        self._fn, self.function, held = _functions.identified(func)
        self._name = function_name(func) if name is None else name
        self._held = fids_of(held, client) if held else ()
        self._priority = checked_integer("priority", priority) if priority or type(priority) is not int else 0
        self._retries = 0 if retries is None else checked_retries(retries)
        self._parent = parent

    def task(
        self, key: str | None, args: tuple[Any, ...], kwargs: dict[str, Any], pure: bool
    ) -> tuple[TaskItem, Future[Any]]:
        """What is sent of one task, and its future.

        Parameters
        ----------
        key : str or None
            None: made from the call, or at random if it is not `pure`.

        Raises
        ------
        SerializationError
            An argument cannot be pickled.
        ClosedError
            A future among them is not this client's, or was released.
        ValueError
            There are too many futures among them.
        """
        if key is None:
            key = task_key(self._name, self._fn, args, kwargs) if pure else unique_key(self._name)
        frames, dependencies, pins = dumps_call(args, kwargs, key)
        needed: tuple[int, ...] = ()
        pinned = self._held
        if dependencies:
            checked_count(dependencies, self._session.config)
            needed = fids_of(dependencies, self._client)
        if pins:
            pinned += fids_of(pins, self._client)
        record = self._session.new_record(key)
        fields = (record.fid, key, self._fn, frames, needed, pinned, self._priority, self._retries, self._parent)
        return make(TaskItem, fields), Future(record, self._client)

    def submit(self, key: str | None, args: tuple[Any, ...], kwargs: dict[str, Any], pure: bool) -> Future[Any]:
        """Make one `task` and submit it.

        Raises
        ------
        SerializationError, ClosedError, ValueError
            As `task`.
        """
        item, future = self.task(key, args, kwargs, pure)
        session = self._session
        session.submit(session.machine.submit, future.record, item, self.function)
        return future

    def tasks(
        self, keys: list[str] | None, arguments: list[tuple[Any, ...]], kwargs: dict[str, Any], pure: bool
    ) -> tuple[list[TaskItem], list[Future[Any]]]:
        """`task` for each of several calls."""
        items: list[TaskItem] = []
        futures: list[Future[Any]] = []
        for index, args in enumerate(arguments):
            item, future = self.task(None if keys is None else keys[index], args, kwargs, pure)
            items.append(item)
            futures.append(future)
        return items, futures


def fids_of(futures: Iterable[Any], client: Client) -> tuple[int, ...]:
    """The fids of futures, which must be of `client` and not released; `ClosedError` otherwise."""
    fids = []
    for future in futures:
        if future.client is not client:
            state = "a closed client" if future.client.status is Phase.CLOSED else "another client"
            raise ClosedError(f"the future {future.key!r} belongs to {state}")
        record = future.record
        if record.released:
            raise ClosedError(f"the future {future.key!r} was released")
        fids.append(record.fid)
    return tuple(fids)
