"""Finalizers of users: the garbage collector runs them at any moment, also in the middle of a step of ours."""

from __future__ import annotations

import gc
import random
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fastsched import Client, Future, LocalCluster
from fastsched._wait import in_turn, may_wait
from tests.cluster.commands import Command
from tests.cluster.functions import inc

TASKS = 3000
SECONDS = 20.0
ONLY_BETWEEN_BYTECODES = sys.version_info >= (3, 12)
"""From then on the collector does not run within compiled code; what is tested here then just works."""


class Mortal:
    """Does something when the collector finds it."""

    def __init__(self, action: Callable[[], object]) -> None:
        self.action = action
        self.cycle = self

    def __del__(self) -> None:
        self.action()


class Deaths:
    """Has objects die at random moments of what the test does, and counts in how many turns they did."""

    def __init__(self, action: Callable[[], object]) -> None:
        self.in_turns = 0
        self.count = 0
        self.refused = 0
        self._action = action
        self._chance = random.Random(7)
        self._acts = False

    def sow(self) -> None:
        """One more, to die soon."""
        gc.set_threshold(self._chance.randrange(2, 30), 1000, 1000)
        Mortal(self._die)

    def _die(self) -> None:
        if self._acts:  # not within each other: each would sow more
            return
        self._acts = True
        self.count += 1
        self.in_turns += in_turn()
        could = may_wait()
        try:
            self._action()
        except RuntimeError as error:
            assert "finalizer" in str(error)
            assert not could
            self.refused += 1
        finally:
            self._acts = False


@pytest.fixture
def eager_collector() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.set_threshold(*threshold)


@pytest.fixture(params=["embedded", "remote"])
def somewhere(request: pytest.FixtureRequest) -> Iterator[Client]:
    """A client of a scheduler in this process, or in another one."""
    if request.param == "embedded":
        with Client(n_workers=1, threads_per_worker=1, set_as_default=False) as client:
            yield client
        return
    run = request.getfixturevalue("run")
    scheduler: Command = request.getfixturevalue("scheduler")
    assert scheduler
    path = str(request.getfixturevalue("tmp_path") / "fastsched.json")
    run("worker", "fastsched.json", "--nworkers", "1", "--nthreads", "1")
    with Client(path, set_as_default=False) as client:
        client.wait_for_workers(1, timeout=SECONDS)
        yield client


def work(client: Client, deaths: Deaths) -> None:
    """Submit tasks, waiting for some of them, while objects die; all must come out right."""
    futures = []
    for i in range(TASKS):
        deaths.sow()
        future = client.submit(inc, i)
        futures.append(future)
        if i % 10 == 0:
            assert future.result() == i + 1
    assert client.gather(futures) == [i + 1 for i in range(TASKS)]
    gc.set_threshold(700, 10, 10)
    gc.collect()  # none shall die in another test, after this client
    assert deaths.count > TASKS / 100
    assert deaths.in_turns or ONLY_BETWEEN_BYTECODES, "no object died in the middle of a turn"


@pytest.mark.usefixtures("eager_collector")
def test_a_finalizer_may_submit_at_any_moment(somewhere: Client) -> None:
    submitted: list[Future[int]] = []
    deaths = Deaths(lambda: submitted.append(somewhere.submit(inc, -len(submitted), pure=False)))
    work(somewhere, deaths)
    assert deaths.refused == 0
    assert somewhere.gather(submitted) == [1 - i for i in range(len(submitted))]


@pytest.mark.usefixtures("eager_collector")
def test_a_finalizer_that_waits_gets_its_result_or_is_refused(somewhere: Client) -> None:
    results: list[int] = []
    deaths = Deaths(lambda: results.append(somewhere.submit(inc, 1, pure=False).result()))
    work(somewhere, deaths)
    assert results == [2] * (deaths.count - deaths.refused)
    assert deaths.refused or ONLY_BETWEEN_BYTECODES
    assert somewhere.submit(inc, 1).result() == 2


@pytest.mark.usefixtures("eager_collector")
def test_a_finalizer_may_close_another_client(cluster: LocalCluster, client: Client) -> None:
    others = [Client(cluster, set_as_default=False) for _ in range(100)]
    futures = [other.submit(inc, i) for i, other in enumerate(others)]
    left = list(others)

    def close() -> None:
        if left:
            left.pop().close()

    deaths = Deaths(close)
    work(client, deaths)
    wait_for_closers()
    assert deaths.refused == 0
    assert {other.status for other in others[len(left) :]} == {"closed"}
    assert [future.result() for future in futures[: len(left)]] == [i + 1 for i in range(len(left))]
    for other in left:
        other.close()


def wait_for_closers() -> None:
    for thread in threading.enumerate():
        if thread.name == "fastsched-close":
            thread.join(SECONDS)
            assert not thread.is_alive()


@pytest.mark.usefixtures("eager_collector")
def test_a_finalizer_may_close_its_own_client_and_cluster() -> None:
    """Whoever waits is told, and nothing hangs, whatever the moment."""
    for seed in range(5):
        client = Client(n_workers=1, threads_per_worker=1, set_as_default=False)
        cluster: Any = client.cluster
        deaths = Deaths(client.close)
        deaths.in_turns = -seed
        with pytest.raises(Exception, match="closed"):
            while True:
                deaths.sow()
                client.submit(inc, 1, pure=False).result()
        gc.set_threshold(700, 10, 10)
        wait_for_closers()
        client.close()
        assert cluster.status == "closed"
