"""`Client`: what a program submits through.

The face of the client's room: it checks and pickles in the caller's thread, so that bad input raises at the call, then leaves a command for
the I/O thread (`session`). It never touches the machine.
"""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeVar, cast

from fastsched import _late
from fastsched.client import binding
from fastsched.client.containers import SKIP, fill, futures_in, materialize
from fastsched.client.future import Future, countdown
from fastsched.client.outcome import exception_from
from fastsched.client.record import FutureRecord, Status
from fastsched.client.session import Session
from fastsched.config import Config
from fastsched.errors import CancelledError, ClosedError
from fastsched.phase import Phase
from fastsched.timing import Timeout, seconds
from fastsched.wire import keys, payload
from fastsched.wire.messages import ScatterItem, TaskItem, Verb

__all__ = ["Client", "Link", "Surroundings"]

T = TypeVar("T")


class Link(Protocol):
    """A session, and what must be closed after it."""

    session: Session

    def wait_ready(self, timeout: float | None) -> None:
        """Wait until the workers are there that the user has reason to expect."""

    def close(self, timeout: float | None) -> None:
        """End the session and its connection."""


class Surroundings(Protocol):
    """Where the calling thread stands: outside, or inside a task of a worker."""

    def parent(self) -> int:
        """Task id of the running task, 0 outside."""

    def blocking(self) -> AbstractContextManager[None]:
        """Wraps every wait: inside a task the slot is lent meanwhile."""


class Outside:
    """The surroundings of an ordinary program."""

    def parent(self) -> int:
        return 0

    def blocking(self) -> AbstractContextManager[None]:
        return nullcontext()


class Client:
    """A connection to a cluster, through which tasks are submitted. Follows ``dask.distributed.Client``.

    Without an address it starts a `LocalCluster` on this machine and closes it with itself. Use it as a context manager, or call `close`;
    a program that ends without is tidied up after.

    Parameters
    ----------
    address : str, os.PathLike or LocalCluster, optional
        A scheduler (``tcp://host:port``, ``unix:///path``), the path of the access file that ``fastsched-scheduler`` wrote, or a cluster.
    timeout : float or str, optional
        Seconds to connect, and to wait for calls that wait for the scheduler.
    set_as_default : bool
        Whether `get_client` and unpickled futures find this client.
    name : str, optional
        How the scheduler calls this client.
    asynchronous : bool
        Only False; the asyncio face comes later.
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
        **cluster_kwargs: Any,
    ) -> None:
        self.status = Phase.CONNECTING
        if asynchronous:
            raise NotImplementedError("asynchronous=True: the asyncio face is not there yet; futures can be awaited")
        limit = seconds(timeout)
        config = Config.from_environment()
        self.name = name or f"client-{uuid.uuid4().hex[:8]}"
        self._owned: Any = None
        if address is None:
            self.cluster = self._owned = _late.local_cluster()(config=config, **cluster_kwargs)
        elif cluster_kwargs:
            raise TypeError(f"Client() got unexpected arguments beside an address: {', '.join(sorted(cluster_kwargs))}")
        else:
            self.cluster = None if isinstance(address, (str, os.PathLike)) else address
        try:
            if self.cluster is None:
                link = _late.remote_link()(os.fspath(address), config, limit, self.name)
            else:
                link = self.cluster.link(self.name)
        except BaseException:
            if self._owned is not None:
                self._owned.close()
            raise
        self._set_up(link, Outside(), config, limit)
        if set_as_default:
            binding.add_default(self)
        _late.close_at_exit(self)

    @classmethod
    def of_link(cls, link: Link, surroundings: Surroundings, config: Config, name: str) -> Client:
        """A client over a session that somebody else made: the one that a worker holds for its tasks."""
        client = cls.__new__(cls)
        client.name = name
        client.cluster = None
        client._owned = None
        client._set_up(link, surroundings, config, None)
        return client

    def _set_up(self, link: Link, surroundings: Surroundings, config: Config, timeout: float | None) -> None:
        self._link = link
        self._session = link.session
        self._surroundings = surroundings
        self._config = config
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
        **kwargs: Any,
    ) -> Future[T]:
        """Run ``func(*args, **kwargs)`` on the cluster.

        Futures in the arguments, directly or inside lists, tuples, sets and dicts, are waited for and arrive as values. Futures elsewhere
        (attributes, closures) arrive as futures.

        Parameters
        ----------
        func : callable
            Pickled at its first submission; later changes of its globals or closure are not seen.
        key : str, optional
            The task's name. Equal keys are one task. By default ``name-hash`` over function and arguments, or a random one if not `pure`.
        retries : int, optional
            How often the task runs again after an exception.
        priority : int
            Higher goes first.
        pure : bool
            Whether equal calls may share one result.
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
        _refuse_unsupported(
            workers=workers, resources=resources, allow_other_workers=allow_other_workers, actor=actor, actors=actors
        )
        session = self._session
        session.ensure_open()
        if not callable(func):
            raise TypeError(f"the first argument of submit must be callable, not {type(func).__name__}")
        fn, function = payload.functions.pickle_function(func)
        if key is None:
            name = keys.function_name(func)
            key = keys.task_key(name, fn, args, kwargs) if pure else keys.unique_key(name)
        item, record = self._task(_checked_key(key), fn, args, kwargs, _integer("priority", priority), _retries(retries))
        future: Future[T] = Future(record, self)
        session.post(session.machine.submit, record, item, function)
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
        retries, priority, pure, **kwargs
            As in `submit`, for each task.

        Returns
        -------
        list of Future
            In the order of the inputs.
        """
        _refuse_unsupported(
            workers=workers, resources=resources, allow_other_workers=allow_other_workers, actor=actor, actors=actors
        )
        session = self._session
        session.ensure_open()
        if not callable(func):
            raise TypeError(f"the first argument of map must be callable, not {type(func).__name__}")
        if not iterables:
            raise TypeError("map needs at least one iterable")
        calls = list(zip(*iterables))  # noqa: B905  as the builtin: the shortest ends it
        names = _map_keys(func, key, len(calls))
        fn, function = payload.functions.pickle_function(func)
        tries, order = _retries(retries), _integer("priority", priority)
        size = len(calls) if batch_size is None else _integer("batch_size", batch_size)
        if size < 1 and calls:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        futures: list[Future[T]] = []
        for start in range(0, len(calls), max(size, 1)):
            records, items = [], []
            for index, args in enumerate(calls[start : start + size], start):
                if isinstance(names, list):
                    name = names[index]
                else:
                    name = keys.task_key(names, fn, args, kwargs) if pure else keys.unique_key(names)
                item, record = self._task(name, fn, args, kwargs, order, tries)
                items.append(item)
                records.append(record)
            futures.extend(Future(record, self) for record in records)
            session.post(session.machine.submit_many, records, items, function)
        return futures

    def scatter(
        self,
        data: Any,
        workers: Any = None,
        broadcast: bool = False,
        direct: bool | None = None,
        hash: bool = True,  # noqa: A002  dask's name
        timeout: Timeout = None,
    ) -> Any:
        """Put values into the cluster and return futures of them.

        Parameters
        ----------
        data : list, tuple, set, dict or object
            Each element of a container, or the object itself, becomes one future; the container's shape is kept. The keys of a dict become the futures' keys.
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
            A worker of that name does not exist.
        TimeoutError
            It was not there in time: for instance there is no worker.
        SerializationError
            A value cannot be pickled.
        """
        session = self._session
        session.ensure_open()
        limit = seconds(timeout) if timeout is not None else self._timeout
        if isinstance(data, dict):
            names, values = [_checked_key(name) for name in data], list(data.values())
        else:
            values = list(data) if type(data) in (list, tuple, set, frozenset) else [data]
            names = [_data_key(value, hash) for value in values]
        targets = (workers,) if isinstance(workers, str) else tuple(workers or ())
        if broadcast or targets:
            self._link.wait_ready(limit)
        futures: list[Future[Any]] = []
        items = []
        for name, value in zip(names, values, strict=True):
            dumped = payload.dumps(value, f"the value to scatter as {name!r}")
            pins = self._own(dumped.futures)
            record = session.new_record(name)
            items.append(ScatterItem(record.fid, name, payload.type_name(value), dumped.frames, pins))
            futures.append(Future(record, self))
        session.post(session.machine.scatter, [f.record for f in futures], items, targets, bool(broadcast))
        self.wait_for(futures, limit, first_error=True)
        for future in futures:
            if future.record.status is not Status.FINISHED:
                raise self.exception_of(future.record)
        if isinstance(data, dict):
            return dict(zip(data, futures, strict=True))
        if type(data) in (list, tuple, set, frozenset):
            return type(data)(futures)
        return futures[0]

    # -- results ------------------------------------------------------------------------------------------------------

    def gather(self, futures: Any, errors: str = "raise", direct: bool | None = None, asynchronous: bool | None = None) -> Any:
        """The values of futures, in the shape in which they are given.

        Parameters
        ----------
        futures : Future, or list, tuple, set, dict, iterator of them, nested
            What to wait for.
        errors : {"raise", "skip"}
            Raise the first failure, at once; or leave failed futures out.
        direct, asynchronous
            Accepted for dask's sake, without effect.

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
        wanted = futures_in(data)
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
        pending = [future for future in futures if not future.record.settled]
        if not pending:
            return
        for future in pending:
            if future.record.released:
                raise ClosedError(f"the future {future.key!r} was released")
        if self._session.forked:
            self._session.ensure_open()
        waiting = countdown(pending, first_error, first)
        if waiting.over:
            return
        with self._surroundings.blocking():
            if not waiting.wait(timeout):
                raise TimeoutError(f"{len(pending)} futures are not done after {timeout} s, the first is {pending[0].key!r}")

    def values(self, futures: list[Future[Any]], timeout: float | None) -> list[Any]:
        """Wait for the futures and load their values; raises the first failure."""
        self.wait_for(futures, timeout, first_error=True)
        for future in futures:
            if future.record.status in (Status.ERROR, Status.CANCELLED):
                raise self.exception_of(future.record)
        away = {}
        for future in futures:
            record = future.record
            if record.frames is None and record.fid not in away:
                away[record.fid] = self._session.fetch(record)
        values = []
        with binding.bound_to(self):
            for future in futures:
                record = future.record
                reply = away.get(record.fid)
                frames = record.frames
                if reply is not None:
                    if not reply.done:
                        with self._surroundings.blocking():
                            if not reply.wait(timeout):
                                raise TimeoutError(f"the value of {record.key!r} did not arrive in {timeout} s")
                    if not reply.ok:
                        raise self.exception_of(record)
                    frames = reply.value
                values.append(payload.loads(frames))
        return values

    def blocking(self) -> AbstractContextManager[None]:
        """Wrap a wait of this thread in this: inside a task the slot is lent meanwhile."""
        return self._surroundings.blocking()

    def exception_of(self, record: FutureRecord) -> BaseException:
        """The exception of a record that ended without a value."""
        if record.error is None:
            return CancelledError(f"the future {record.key!r} was released")
        with binding.bound_to(self):
            return exception_from(record.error, record.key)

    # -- holding ------------------------------------------------------------------------------------------------------

    def attach(self, key: str) -> Future[Any]:
        """A future of this client for a task that somebody submitted under `key`."""
        session = self._session
        session.ensure_open()
        record = session.new_record(_checked_key(key))
        future: Future[Any] = Future(record, self)
        session.post(session.machine.want, record)
        return future

    def release(self, record: FutureRecord) -> None:
        """Give up the claim of one record; called by `Future`, at any moment, in any thread."""
        self._session.post(self._session.machine.release, record.fid)

    def add_callback(self, future: Future[T], fn: Callable[[Future[T]], Any]) -> None:
        """Have ``fn(future)`` called in the callback thread once the future has ended."""
        if not callable(fn):
            raise TypeError(f"a callback must be callable, not {type(fn).__name__}")
        future.record.watch(_Callback(self._session, future, fn))

    def keep(self, futures: Iterable[Future[Any]]) -> None:
        """Have the scheduler hold these tasks until they are done, whatever happens to the futures."""
        session = self._session
        session.ensure_open()
        session.post(session.machine.keep, [future.record.fid for future in futures])
        session.flush(self._timeout)

    def cancel(
        self,
        futures: Any,
        asynchronous: bool | None = None,
        force: bool = False,
        reason: str | None = None,
        msg: str | None = None,
    ) -> None:
        """Cancel tasks, for everybody who waits for them.

        Parameters
        ----------
        futures : Future or container of futures
            What to cancel. A queued task never runs; a running one goes on, but its result is thrown away.
        reason, msg : str, optional
            Becomes part of the `CancelledError`.
        asynchronous, force
            Accepted for dask's sake, without effect.
        """
        session = self._session
        if session.ended or session.forked:
            return
        wanted = futures_in(materialize(futures))
        self._own(wanted)
        text = " ".join(part for part in (reason, msg) if part)
        session.post(session.machine.cancel, [future.record.fid for future in wanted], text)
        session.flush(self._timeout)

    # -- the cluster --------------------------------------------------------------------------------------------------

    def run(
        self,
        function: Callable[..., Any],
        *args: Any,
        workers: Sequence[str] | None = None,
        wait: bool = True,
        nanny: bool = False,
        on_error: str = "raise",
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Call a function on every worker, outside the slots and the queue.

        Parameters
        ----------
        function : callable
            Runs as ``function(*args, **kwargs)`` in each worker process.
        workers : list of str, optional
            Names or addresses; by default all.
        wait : bool
            False: do not wait for the results; returns {}.
        on_error : {"raise", "return", "ignore"}
            What to do with exceptions: raise the first; put them in the result; leave them out.

        Returns
        -------
        dict
            Worker address to result.
        """
        if on_error not in ("raise", "return", "ignore"):
            raise ValueError(f"on_error must be 'raise', 'return' or 'ignore', not {on_error!r}")
        if nanny:
            raise NotImplementedError("nanny=True: workers have no nanny process")
        if not callable(function):
            raise TypeError(f"the first argument of run must be callable, not {type(function).__name__}")
        frames = payload.dumps_function_call(function, args, kwargs)
        targets = (workers,) if isinstance(workers, str) else tuple(workers or ())
        if not wait:
            self._session.ensure_open()
            self._session.post(self._session.machine.call, 0, Verb.RUN, targets, frames)
            return {}
        self._link.wait_ready(self._timeout)
        with self._surroundings.blocking():
            answers = self._session.call(Verb.RUN, targets, frames, self._timeout)
        results = {}
        for address, (ok, answer) in answers.items():
            with binding.bound_to(self):
                value = payload.loads(answer) if ok else payload.loads_exception(answer, "")
            if not ok and on_error == "raise":
                raise value
            if ok or on_error == "return":
                results[address] = value
        return results

    def wait_for_workers(self, n_workers: int, timeout: Timeout = None) -> None:
        """Block until `n_workers` workers are there.

        Raises
        ------
        TimeoutError
            If they are not in `timeout` seconds.
        ValueError
            If `n_workers` is no positive integer.
        """
        if not isinstance(n_workers, int) or isinstance(n_workers, bool) or n_workers < 1:
            raise ValueError(f"n_workers must be a positive integer, not {n_workers!r}")
        limit = seconds(timeout)
        try:
            self._session.call(Verb.WAIT_FOR_WORKERS, (n_workers,), None, limit)
        except TimeoutError:
            have = len(self.nthreads())
            raise TimeoutError(f"only {have} of {n_workers} workers are there after {limit} s") from None

    def scheduler_info(self, n_workers: int = -1, **kwargs: Any) -> dict[str, Any]:
        """What the scheduler says of itself and its workers: ``type``, ``id``, ``address``, ``workers`` by address.

        Parameters
        ----------
        n_workers : int
            At most so many workers; -1: all.
        """
        self._link.wait_ready(self._timeout)
        info = cast(dict[str, Any], self._session.call(Verb.INFO, (), None, self._timeout))
        if n_workers >= 0:
            info["workers"] = dict(itertools.islice(info["workers"].items(), n_workers))
        return info

    def nthreads(self, workers: Sequence[str] | None = None) -> dict[str, int]:
        """Threads of each worker, by address.

        Parameters
        ----------
        workers : list of str, optional
            Only these addresses.
        """
        self._link.wait_ready(self._timeout)
        answer = cast(dict[str, int], self._session.call(Verb.NTHREADS, (), None, self._timeout))
        return answer if workers is None else {name: answer[name] for name in workers}

    def close(self, timeout: Timeout = None) -> None:
        """Give up all futures, leave the cluster, and close it if it was started by this client. Twice is fine."""
        if self.status is Phase.CLOSED:
            return
        self.status = Phase.CLOSED
        binding.remove_default(self)
        if self._session.forked:
            return
        limit = seconds(timeout)
        try:
            self._link.close(limit)
        finally:
            if self._owned is not None:
                self._owned.close(limit)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        where = "" if self.cluster is None else f" cluster={self.cluster!r}"
        return f"<Client: {self.name!r} {self.status}{where}>"

    def __reduce__(self) -> Any:
        raise TypeError("a Client cannot be pickled; inside a task use worker_client() or get_client()")

    # -- inside -------------------------------------------------------------------------------------------------------

    def _task(
        self, key: str, fn: bytes, args: tuple[Any, ...], kwargs: Mapping[str, Any], priority: int, retries: int
    ) -> tuple[TaskItem, FutureRecord]:
        frames, dependencies, pins = payload.dumps_call(args, kwargs, key)
        record = self._session.new_record(key)
        parent = self._surroundings.parent()
        item = TaskItem(
            record.fid, key, fn, frames, self._own(dependencies), self._own(pins), priority, retries, parent
        )
        return item, record

    def _own(self, futures: Iterable[Any]) -> tuple[int, ...]:
        """The fids of futures, which must be this client's and not released."""
        fids = []
        for future in futures:
            if future.client is not self:
                state = "a closed client" if future.client.status is Phase.CLOSED else "another client"
                raise ClosedError(f"the future {future.key!r} belongs to {state}")
            if future.record.released:
                raise ClosedError(f"the future {future.key!r} was released")
            fids.append(future.record.fid)
        return tuple(fids)


class _Callback:
    """Calls a user's function once, however often the record tells that it has settled."""

    __slots__ = ("_entries", "_session")

    def __init__(self, session: Session, future: Future[Any], fn: Callable[[Any], Any]) -> None:
        self._session = session
        self._entries = [(fn, future)]

    def notify(self, record: FutureRecord) -> None:
        try:
            fn, future = self._entries.pop()
        except IndexError:  # told twice
            return
        self._session.run_callback(fn, future)


def _refuse_unsupported(**options: Any) -> None:
    for name, value in options.items():
        if value:
            raise NotImplementedError(f"{name}= is not supported yet")


def _checked_key(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a key must be a string, not {type(key).__name__}: {key!r}")
    if not key:
        raise ValueError("a key must not be empty")
    return key


def _integer(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an integer, not {value!r}")
    return value


def _retries(value: int | None) -> int:
    retries = 0 if value is None else _integer("retries", value)
    if retries < 0:
        raise ValueError(f"retries must not be negative: {retries}")
    return retries


def _map_keys(func: Callable[..., Any], key: str | list[str] | None, count: int) -> str | list[str]:
    """The prefix of the keys of a map, or all its keys."""
    if key is None:
        return keys.function_name(func)
    if isinstance(key, str):
        return _checked_key(key)
    names = [_checked_key(name) for name in key]
    if len(names) != count:
        raise ValueError(f"map got {len(names)} keys for {count} calls")
    return names


def _data_key(value: Any, by_value: bool) -> str:
    if isinstance(value, Future):
        raise TypeError(f"scatter takes values, not futures: {value!r}")
    name = type(value).__name__
    return keys.data_key(name, value) if by_value else keys.unique_key(name)
