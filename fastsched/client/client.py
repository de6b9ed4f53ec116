"""`Client`: what a program submits through.

The face of the client's room: it checks and pickles in the caller's thread, so that bad input raises at the call,
then has the `session` carry it out. It never touches the machine.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar

from fastsched import _late
from fastsched._wait import Waiter
from fastsched.client import binding
from fastsched.client.asynchronous import AsyncFace, Nothing
from fastsched.client.calls import Calls, fids_of
from fastsched.client.checks import checked_integer, checked_key, data_key, map_keys, refuse_unsupported
from fastsched.client.cluster import ClusterFace
from fastsched.client.containers import SKIP, all_are_futures, fill, futures_in, futures_of, materialize
from fastsched.client.future import Future, countdown, to_wait_for
from fastsched.client.link import Link, Outside, Surroundings
from fastsched.client.outcome import exception_from
from fastsched.client.record import FutureRecord, Status
from fastsched.client.results import at_hand, loaded
from fastsched.client.session import Callback, Reply
from fastsched.closing import closes_elsewhere
from fastsched.config import Config
from fastsched.errors import CancelledError, ClosedError
from fastsched.phase import Phase
from fastsched.timing import Timeout, seconds
from fastsched.wire import payload
from fastsched.wire.messages import Frames, ScatterItem, TaskItem, Verb

__all__ = ["Client"]

T = TypeVar("T")

AT_ONCE = 64
"""So many tasks of a `map` are made before another thread, or a signal handler, gets a chance."""


class Client(ClusterFace, AsyncFace):
    """A connection to a cluster, through which tasks are submitted. Follows ``dask.distributed.Client``.

    Without an address it starts a `LocalCluster` on this machine and closes it with itself. Use it as a context
    manager, or call `close`; a program that ends without is tidied up after.

    Parameters
    ----------
    address : str, os.PathLike or LocalCluster, optional
        The path of the access file that ``fastsched-scheduler`` wrote, or a cluster; by default a new `LocalCluster`.
    timeout : float or str, optional
        Seconds to connect, and to wait for calls that wait for the scheduler.
    set_as_default : bool
        Whether `get_client` and unpickled futures find this client.
    name : str, optional
        How the scheduler calls this client.
    asynchronous : bool
        Only False; the asyncio face comes later.
    config : Config, optional
        Limits and policies; by default from the environment.
    reconnect : bool
        If the scheduler at `address` dies, look for another one in its place for `Config.reconnect_seconds`, and let
        futures wait meanwhile. Costs the memory of what was submitted, for as long as its future is held.
    **cluster_kwargs
        Arguments of `LocalCluster`, such as ``n_workers`` and ``threads_per_worker``.

    Raises
    ------
    TypeError
        For an argument that neither `Client` nor `LocalCluster` knows, named.
    AddressError, ConnectError, HandshakeError
        If the scheduler cannot be reached or does not let us in.

    Examples
    --------
    >>> from fastsched import Client
    >>> with Client(n_workers=1) as client:
    ...     client.submit(sum, [1, 2, 3]).result()
    6
    """

    def __init__(
        self,
        address: Any = None,
        *,
        timeout: Timeout = None,
        set_as_default: bool = True,
        name: str | None = None,
        asynchronous: bool = False,
        config: Config | None = None,
        reconnect: bool = False,
        **cluster_kwargs: Any,
    ) -> None:
        self.status = Phase.CONNECTING
        if asynchronous:
            raise NotImplementedError("asynchronous=True: the asyncio face is not there yet; futures can be awaited")
        limit = seconds(timeout)
        config = config or Config.from_environment()
        name = name or f"client-{os.urandom(4).hex()}"
        cluster: Any = None
        owned: Any = None  # the cluster, if it was started by this client
        if address is None:
            cluster = owned = _late.local_cluster()(config=config, **cluster_kwargs)
        elif cluster_kwargs:
            raise TypeError(f"Client() got unexpected arguments beside an address: {', '.join(sorted(cluster_kwargs))}")
        elif isinstance(address, (str, os.PathLike)):
            cluster = None
        elif hasattr(address, "link"):
            cluster = address
        else:
            raise TypeError(f"address must be the path of an access file or a cluster, not {address!r}")
        try:
            if cluster is not None:
                link = cluster.link(name)
            else:
                link = _late.remote_link()(os.fspath(address), config, limit, name, reconnect)
        except BaseException:
            if owned is not None:
                owned.close()
            raise
        self._set_up(link, Outside(), name, limit)
        self.cluster: Any = cluster
        self._owned = owned
        if set_as_default:
            binding.add_default(self)
        _late.close_at_exit(self)

    def _set_up(self, link: Link, surroundings: Surroundings, name: str, timeout: float | None) -> None:
        self.name = name
        self._link = link
        self._session = link.session
        self.release = link.session.release  # of a record; called by `Handle`, at any moment, in any thread
        self._surroundings = surroundings
        # Inside a task: run what this thread is about to wait for, as far as it has not begun. See `Surroundings`.
        self.run_children = surroundings.run_children
        self._timeout = timeout
        self.status = Phase.RUNNING

    # -- submitting ---------------------------------------------------------------------------------------------------

    def submit(
        self,
        func: Callable[..., T],
        *args: Any,
        key: str | None = None,
        workers: Any = None,
        resources: Any = None,
        retries: int | None = None,
        priority: int = 0,
        fifo_timeout: Any = None,
        allow_other_workers: bool = False,
        actor: bool = False,
        actors: bool = False,
        pure: bool = True,
        local: bool = True,
        **kwargs: Any,
    ) -> Future[T]:
        """Run ``func(*args, **kwargs)`` on the cluster.

        Futures in the arguments, directly or inside lists, tuples, sets and dicts, are waited for and arrive as
        values. Futures elsewhere (attributes, closures) arrive as futures.

        Parameters
        ----------
        func : callable
            Pickled at its first submission; later changes of its globals or closure are not seen.
        key : str, optional
            The task's name. Equal keys are one task. By default ``name-hash`` over function and arguments, or a
            random one if not `pure`.
        retries : int, optional
            How often the task runs again after an exception.
        priority : int
            Higher goes first.
        pure : bool
            Whether equal calls may share one result.
        local : bool
            Inside a task: whether this worker may keep the task to itself until somebody has time for it. False: it is
            sent to the scheduler at once.
        workers, resources, allow_other_workers, actor, actors
            Not there yet: anything but the default raises NotImplementedError.
        fifo_timeout
            Accepted for dask's sake, without effect: order is by priority and arrival.

        Returns
        -------
        Future

        Raises
        ------
        TypeError
            `func` is not callable, `key` not a string.
        SerializationError
            The function or an argument cannot be pickled.
        ClosedError
            The client is closed, or a future among the arguments belongs to another client.
        """
        if workers or resources or allow_other_workers or actor or actors:
            refuse_unsupported(
                workers=workers,
                resources=resources,
                allow_other_workers=allow_other_workers,
                actor=actor,
                actors=actors,
            )
        session = self._session
        session.ensure_open()
        if not callable(func):
            raise TypeError(f"the first argument of submit must be callable, not {type(func).__name__}")
        calls = Calls(self, session, func, None, priority, retries, self._surroundings.parent())
        future: Future[T] = calls.submit(None if key is None else checked_key(key), args, kwargs, pure)
        if not local:
            self._surroundings.hand_over((future.record,))
        return future

    def map(
        self,
        func: Callable[..., T],
        *iterables: Iterable[Any],
        key: str | list[str] | None = None,
        workers: Any = None,
        retries: int | None = None,
        resources: Any = None,
        priority: int = 0,
        allow_other_workers: bool = False,
        fifo_timeout: Any = None,
        actor: bool = False,
        actors: bool = False,
        pure: bool = True,
        batch_size: int | None = None,
        local: bool = True,
        **kwargs: Any,
    ) -> list[Future[T]]:
        """`submit` for each tuple of ``zip(*iterables)``, in one go.

        Parameters
        ----------
        func : callable
            The function.
        *iterables : iterables
            One for each positional argument; the shortest ends it.
        key : str or list of str, optional
            A prefix for the keys, or all of them.
        batch_size : int, optional
            Hand the tasks over in portions of this size, so that the first start before the last are pickled.
        retries, priority, pure, local, **kwargs
            As in `submit`, for each task.

        Returns
        -------
        list of Future
            In the order of the inputs.
        """
        refuse_unsupported(
            workers=workers, resources=resources, allow_other_workers=allow_other_workers, actor=actor, actors=actors
        )
        session = self._session
        session.ensure_open()
        if not callable(func):
            raise TypeError(f"the first argument of map must be callable, not {type(func).__name__}")
        if not iterables:
            raise TypeError("map needs at least one iterable")
        arguments = list(zip(*iterables))  # noqa: B905  as the builtin: the shortest ends it
        prefix, names = map_keys(key, len(arguments))
        size = len(arguments) if batch_size is None else checked_integer("batch_size", batch_size)
        if size < 1 and arguments:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        calls = Calls(self, session, func, prefix, priority, retries, self._surroundings.parent())
        futures: list[Future[T]] = []
        for start in range(0, len(arguments), max(size, 1)):
            items: list[TaskItem] = []
            for first in range(start, min(start + size, len(arguments)), AT_ONCE):
                part = slice(first, min(first + AT_ONCE, start + size))
                made = calls.tasks(None if names is None else names[part], arguments[part], kwargs, pure)
                items += made[0]
                futures += made[1]
            records = [future.record for future in futures[start:]]
            session.submit(session.machine.submit_many, records, items, calls.function)
            if not local:
                self._surroundings.hand_over(records)
        return futures

    def scatter(
        self,
        data: Any,
        workers: Any = None,
        broadcast: bool = False,
        direct: bool | None = None,
        hash: bool = True,
        timeout: Timeout = None,
    ) -> Any:
        """Put values into the cluster and return futures of them.

        Parameters
        ----------
        data : list, tuple, set, dict, range, iterator or object
            Each element of a container, or the object itself, becomes one future; the container's shape is kept (a
            range or an iterator becomes a list). The keys of a dict become the futures' keys.
        workers : str or iterable of str, optional
            Names or addresses of the workers to hold it; by default any.
        broadcast : bool
            Put it on all workers (of `workers`).
        direct
            Accepted for dask's sake, without effect.
        hash : bool
            Whether equal values share one key.
        timeout : float or str, optional
            How long to wait until it is there.

        Raises
        ------
        ValueError
            No worker has this name or address.
        TimeoutError
            It was not there in time: for instance there is no worker.
        SerializationError
            A value cannot be pickled.
        """
        session = self._session
        session.ensure_open()
        limit = seconds(timeout) if timeout is not None else self._timeout
        if isinstance(data, dict):
            names, values = [checked_key(name) for name in data], list(data.values())
        else:
            data = list(data) if isinstance(data, range) else materialize(data)
            values = list(data) if type(data) in (list, tuple, set, frozenset) else [data]
            names = [data_key(value, hash) for value in values]
        if broadcast:
            self._link.wait_ready(limit)
        targets = tuple(self.names_of(workers)) if workers else ()
        futures: list[Future[Any]] = []
        items = []
        for name, value in zip(names, values, strict=True):
            dumped = payload.dumps(value, f"the value to scatter as {name!r}")
            pins = fids_of(dumped.futures, self)
            record = session.new_record(name)
            items.append(ScatterItem(record.fid, name, payload.type_name(value), dumped.frames, pins))
            futures.append(Future(record, self))
        session.submit(session.machine.scatter, [f.record for f in futures], items, targets, bool(broadcast))
        if self.asynchronous:
            return self.once_ended(futures, limit, True, partial(self._scattered, data, futures))
        self.wait_for(futures, limit, first_error=True)
        return self._scattered(data, futures)

    def _scattered(self, data: Any, futures: list[Future[Any]]) -> Any:
        for future in futures:
            if future.record.status is not Status.FINISHED:
                raise self.exception_of(future.record)
        if isinstance(data, dict):
            return dict(zip(data, futures, strict=True))
        if type(data) in (list, tuple, set, frozenset):
            return type(data)(futures)
        return futures[0]

    # -- results ------------------------------------------------------------------------------------------------------

    def gather(
        self, futures: Any, errors: str = "raise", direct: bool | None = None, asynchronous: bool | None = None
    ) -> Any:
        """The values of futures, in the shape in which they are given.

        Parameters
        ----------
        futures : Future, or list, tuple, set, dict, iterator of them, nested
            What to wait for.
        errors : {"raise", "skip"}
            Raise the first failure, at once; or leave failed futures out.
        direct
            Accepted for dask's sake, without effect.
        asynchronous : bool, optional
            True: give back something to await. By default so in a coroutine task, see `asynchronous`.

        Raises
        ------
        Exception
            What a task raised (``errors="raise"``).
        ValueError
            For another value of `errors`.
        """
        if errors not in ("raise", "skip"):
            raise ValueError(f"errors must be 'raise' or 'skip', not {errors!r}")
        data = materialize(futures)
        if self.asynchronous if asynchronous is None else asynchronous:
            gather = partial(self.gather, data, errors, asynchronous=False)
            return self.once_ended(futures_in(data), None, errors == "raise", gather)
        if errors == "raise" and all_are_futures(data):
            fids_of(data, self)
            return self.values(data, None)
        wanted = futures_in(data)
        fids_of(wanted, self)
        if errors == "raise":
            values = dict(zip(map(id, wanted), self.values(wanted, None), strict=True))
        else:
            self.wait_for(wanted, None)
            good = [future for future in wanted if future.record.status is Status.FINISHED]
            values = dict(zip(map(id, good), self.values(good, None), strict=True))
        return fill(data, lambda future: values.get(id(future), SKIP))

    def wait_for(
        self, futures: list[Future[Any]], timeout: float | None, first_error: bool = False, first: bool = False
    ) -> None:
        """Block until the futures have ended.

        Parameters
        ----------
        futures : list of Future
            Of this client.
        timeout : float or None
            Seconds.
        first_error, first : bool
            Come back at the first failure; at the first end of any.

        Raises
        ------
        TimeoutError
            After `timeout`.
        ClosedError
            If one of them was released.
        """
        for future in futures:
            if future.record.released and future.record.status in (Status.PENDING, Status.CANCELLED):
                raise ClosedError(f"the future {future.key!r} was released")
        pending = to_wait_for(futures, first_error, first)
        if not pending:
            return
        records = [future.record for future in pending]
        self.run_children(records, timeout, until_error=first_error, most=1 if first else 0)
        if all(future.record.settled for future in pending):
            return
        waiting = countdown(pending, first_error, first)  # of those, too, that have ended in this thread
        try:
            if waiting.over:
                return
            if not self.wait_on(waiting, timeout):
                late = [future.key for future in pending if not future.record.settled] or [pending[0].key]
                raise TimeoutError(f"{len(late)} futures are not done after {timeout} s, the first is {late[0]!r}")
        finally:
            waiting.leave(future.record for future in pending)

    def values(self, futures: list[Future[Any]], timeout: float | None) -> list[Any]:
        """Wait for the futures and load their values; raises the first failure."""
        found = at_hand(futures)
        if found is not None:
            return loaded(futures, found, self)
        self.wait_for(futures, timeout, first_error=True)
        for future in futures:
            if future.record.status in (Status.ERROR, Status.CANCELLED):
                raise self.exception_of(future.record)
        found = [future.record.frames or () for future in futures]  # looked at once: a cancel takes it away
        away = [
            (place, self._session.fetch(future.record))
            for place, (future, frames) in enumerate(zip(futures, found, strict=True))
            if not frames
        ]
        for place, reply in away:
            found[place] = self._fetched(futures[place].record, reply, timeout)
        return loaded(futures, found, self)

    def _fetched(self, record: FutureRecord, reply: Reply, timeout: float | None) -> Frames:
        """Wait for a large value."""
        if not reply.over and not self.wait_on(reply, timeout):
            raise TimeoutError(f"the value of {record.key!r} did not arrive in {timeout} s")
        if not reply.ok:
            raise self.exception_of(record)
        frames: Frames = reply.value
        return frames

    def wait_on(self, waiter: Waiter, timeout: float | None) -> bool:
        """Have this thread wait (inside a task its slot is lent meanwhile); False after `timeout` seconds.

        Raises
        ------
        ClosedError
            In a forked child.
        """
        if self._session.forked:
            self._session.ensure_open()
        return self._surroundings.wait(self._session, waiter, timeout)

    def exception_of(self, record: FutureRecord) -> BaseException:
        """The exception of a record that ended without a value."""
        if record.error is None:
            return CancelledError(f"the future {record.key!r} was released")
        with binding.bound_to(self):
            return exception_from(record.error, record.key)

    # -- holding ------------------------------------------------------------------------------------------------------

    def attach(self, key: str) -> Future[Any]:
        """A future of this client for a task that somebody submitted under `key`, wherever that is known.

        It ends as cancelled if nobody has such a task (any more).
        """
        session = self._session
        session.ensure_open()
        record = session.new_record(checked_key(key))
        future: Future[Any] = Future(record, self)
        session.submit(session.machine.want, record)
        return future

    def add_callback(self, future: Future[T], fn: Callable[[Future[T]], Any]) -> None:
        """Have ``fn(future)`` called in the callback thread once the future has ended."""
        if not callable(fn):
            raise TypeError(f"a callback must be callable, not {type(fn).__name__}")
        future.record.watch(Callback(self._session, future, fn))

    def keep(self, futures: Iterable[Future[Any]]) -> None:
        """Have the scheduler hold these tasks until they are done, whatever happens to the futures."""
        session = self._session
        session.ensure_open()
        self._surroundings.parent()  # a task that runs in vain hears of it here
        session.post(session.machine.keep, [future.record.fid for future in futures])

    def cancel(
        self,
        futures: Any,
        asynchronous: bool | None = None,
        force: bool = False,
        reason: str | None = None,
        msg: str | None = None,
    ) -> Any:
        """Cancel tasks, for everybody who waits for them.

        Parameters
        ----------
        futures : Future or container of futures
            What to cancel. A queued task never runs. A running one goes on until it submits or waits, which raises
            CancelledError; what it has launched goes with it. Its result is thrown away.
        reason, msg : str, optional
            Becomes part of the `CancelledError`.
        asynchronous, force
            Accepted for dask's sake, without effect.
        """
        session = self._session
        if not (session.ended or session.forked):
            wanted = futures_of(futures, "cancel")
            fids_of(wanted, self)
            text = " ".join(part for part in (reason, msg) if part)
            session.post(session.machine.cancel, [future.record.fid for future in wanted], text)
        return Nothing() if self.asynchronous else None

    # -- the end -------------------------------------------------------------------------------------------------------

    def close(self, timeout: Timeout = None) -> None:
        """Give up all futures, leave the cluster, and close it if it was started by this client. Twice is fine."""
        limit = seconds(timeout)
        if self.status is Phase.CLOSED or closes_elsewhere(self.close, limit):
            return
        self.status = Phase.CLOSED
        binding.remove_default(self)
        if self._session.forked:
            return
        try:
            self._link.close(limit)
        finally:
            if self._owned is not None:
                self._owned.close(limit)

    def shutdown(self) -> None:
        """Stop the scheduler and its workers, for everybody, then close this client."""
        if self.cluster is not None:
            self.cluster.close()
        elif self.status is not Phase.CLOSED:
            self._session.call(Verb.SHUTDOWN, (), None, self._timeout)
        self.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        where = "" if self.cluster is None else f" cluster={self.cluster!r}"
        return f"<Client: {self.name!r} {self.status}{where}>"

    def __reduce__(self) -> Any:
        raise TypeError("a Client cannot be pickled; inside a task use worker_client() or get_client()")
