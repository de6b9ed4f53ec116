"""What a client asks about the cluster as a whole: its workers, and functions that run on each of them.

The part of the client's face that submits no tasks. `Client` inherits it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, cast

from fastsched.client import binding
from fastsched.client.checks import checked_integer
from fastsched.client.link import Link, Surroundings
from fastsched.client.session import Session
from fastsched.errors import WorkerLost
from fastsched.timing import Timeout, seconds
from fastsched.wire import payload
from fastsched.wire.messages import Verb

if TYPE_CHECKING:
    from fastsched.client.client import Client

__all__ = ["ClusterFace"]


class ClusterFace:
    """Questions to the scheduler. What it stands on is set by `Client`."""

    _link: Link
    _session: Session
    _surroundings: Surroundings
    _timeout: float | None

    def run(
        self,
        function: Callable[..., Any],
        *args: Any,
        workers: str | Iterable[str] | None = None,
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
        workers : str or list of str, optional
            Names or addresses; by default all. An empty list is nobody.
        wait : bool
            False: do not wait for the results; returns {}.
        on_error : {"raise", "return", "ignore"}
            What to do with exceptions: raise the first; put them in the result; leave them out.

        Returns
        -------
        dict
            Worker address to result.

        Raises
        ------
        ValueError
            No worker has this name or address; or another `on_error`.
        SerializationError
            The function cannot be pickled.
        """
        if on_error not in ("raise", "return", "ignore"):
            raise ValueError(f"on_error must be 'raise', 'return' or 'ignore', not {on_error!r}")
        if nanny:
            raise NotImplementedError("nanny=True: workers have no nanny process")
        if not callable(function):
            raise TypeError(f"the first argument of run must be callable, not {type(function).__name__}")
        frames = payload.dumps_function_call(function, args, kwargs)
        targets = self.names_of(workers)
        if not targets:
            return {}
        if not wait:
            self._session.ensure_open()
            self._session.post(self._session.machine.call, 0, Verb.RUN, tuple(targets), frames)
            return {}
        answers = self._session.call(Verb.RUN, tuple(targets), frames, self._timeout, self._surroundings)
        results = {}
        for name, (ok, answer) in answers.items():
            with binding.bound_to(cast("Client", self)):
                value = payload.loads(answer) if ok else _run_error(answer)
            if not ok and on_error == "raise":
                raise value
            if ok or on_error == "return":
                results[targets[name]] = value
        return results

    def wait_for_workers(self, n_workers: int, timeout: Timeout = None) -> None:
        """Block until `n_workers` workers are there.

        Raises
        ------
        TimeoutError
            If they are not in `timeout` seconds.
        TypeError, ValueError
            If `n_workers` is no positive integer.
        """
        if checked_integer("n_workers", n_workers) < 1:
            raise ValueError(f"n_workers must be positive, not {n_workers}")
        limit = seconds(timeout)
        try:
            self._session.call(Verb.WAIT_FOR_WORKERS, (n_workers,), None, limit, self._surroundings)
        except TimeoutError:
            have = len(self.nthreads())
            raise TimeoutError(f"only {have} of {n_workers} workers are there after {limit} s") from None

    def retire_workers(
        self, workers: str | Iterable[str] | None = None, close_workers: bool = True, *, n: int | None = None
    ) -> dict[str, Any]:
        """Have workers leave as planned, and wait until they have. Follows dask.

        From now on they get no new tasks. They may finish those that they run (for `Config.retire_seconds`; then others
        run them again), and other workers fetch the values that only they hold. Nobody is blamed, nothing is lost, and
        they are not replaced.

        Parameters
        ----------
        workers : str or list of str, optional
            Names or addresses.
        close_workers : bool
            Only True: a worker that has retired ends.
        n : int, optional
            Instead of `workers`: so many, those with the fewest tasks and values. Never that of the task which asks.

        Returns
        -------
        dict
            Worker address to what `scheduler_info` said of it before.

        Raises
        ------
        TypeError, ValueError
            No worker has this name or address; neither or both of `workers` and `n` are given.
        RuntimeError
            No worker would be left; or a task names its own.
        """
        if not close_workers:
            raise NotImplementedError("close_workers=False: a worker that has retired ends")
        if (workers is None) == (n is None):
            raise TypeError("retire_workers takes either workers or n")
        if n is not None:
            if checked_integer("n", n) < 0:
                raise ValueError(f"n must not be negative: {n}")
            self._link.wait_ready(self._timeout)
            which: tuple[int | str, ...] = (n,)
        else:
            which = tuple(self.names_of(workers))
        left = self._session.call(Verb.RETIRE, which, None, None, self._surroundings)
        return {worker["address"]: worker for worker in left.values()}

    def scheduler_info(self, n_workers: int = -1, **kwargs: Any) -> dict[str, Any]:
        """What the scheduler says of itself and its workers: ``type``, ``id``, ``address``, ``workers`` by address.

        Parameters
        ----------
        n_workers : int
            At most so many workers; -1: all.
        """
        self._link.wait_ready(self._timeout)
        info = cast(dict[str, Any], self._session.call(Verb.INFO, (), None, self._timeout))
        workers = {worker["address"]: worker for worker in info["workers"].values()}
        if n_workers >= 0:
            workers = dict(itertools.islice(workers.items(), n_workers))
        return {"type": "Scheduler", "id": info["name"], "address": self._link.scheduler, **info, "workers": workers}

    def nthreads(self, workers: str | Iterable[str] | None = None) -> dict[str, int]:
        """Threads of each worker, by address.

        Parameters
        ----------
        workers : list of str, optional
            Only these names or addresses.

        Raises
        ------
        ValueError
            No worker has this name or address.
        """
        there = self.scheduler_info()["workers"]
        wanted = there if workers is None else self.names_of(workers).values()
        return {address: there[address]["nthreads"] for address in wanted if address in there}

    def names_of(self, workers: str | Iterable[str] | None) -> dict[str, str]:
        """The workers that are meant by names or addresses (None: all), as name -> address.

        Raises
        ------
        ValueError
            One of them is not there.
        """
        there = {worker["name"]: address for address, worker in self.scheduler_info()["workers"].items()}
        if workers is None:
            return there
        found = {}
        for text in (workers,) if isinstance(workers, str) else workers:
            name = next((name for name, address in there.items() if text in (name, address)), None)
            if name is None:
                raise ValueError(f"no worker has the name or address {text!r}; there are: {', '.join(there) or 'none'}")
            found[name] = there[name]
        return found


def _run_error(answer: Any) -> BaseException:
    """What a function of `Client.run` raised; a text if the worker was lost."""
    return WorkerLost(answer) if isinstance(answer, str) else payload.loads_exception(answer)
