"""Anything that peers may do, in any order, while workers fall silent, come back, or stay away for too long.

What `test_scheduler_random` sees to holds all the same: invariants after each turn, one outcome for every future, and
nothing left in the end. What a silent worker reports is a sign of life.
"""

from __future__ import annotations

from typing import ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.machines.test_scheduler_random import INDEX, Cluster, pick


class SilentCluster(Cluster):
    """Workers have a pulse, which may stop."""

    CONFIG: ClassVar[dict[str, float]] = {**Cluster.CONFIG, "worker_ttl": 25.0}

    @precondition(lambda self: self.workers)
    @rule(who=INDEX)
    def begins_to_beat(self, who):
        self._wake(pick(self.workers, who))

    @precondition(lambda self: self.workers and not self.world.held)
    @rule(who=INDEX, seconds=st.sampled_from([0.0, 2.9, 3.1, 20.0]))
    def is_stopped(self, who, seconds):
        worker = pick(self.workers, who)
        self._wake(worker)
        worker.beats = False
        self._pass_time(seconds)

    @precondition(lambda self: not self.world.held)
    @rule(seconds=st.sampled_from([1.0, 4.0, 30.0]))
    def more_time_passes(self, seconds):
        self._pass_time(seconds)

    @precondition(lambda self: not self.world.held)
    @rule(seconds=st.sampled_from([1.0, 100.0]))
    def the_scheduler_is_stopped(self, seconds):
        """It looks at the clock first; and nobody is put out for that."""
        self.world.now += seconds
        self.world.machine.tick(self.world.now)
        self.world.settle()
        assert not self.world.put_out

    def time_passes(self, seconds):
        """The rule is in `more_time_passes`."""

    def _pass_time(self, seconds: float) -> None:
        self.world.advance(seconds)
        gone = [worker for worker in self.workers if worker.name in self.world.put_out]
        for worker in gone:
            assert not worker.beats, "a worker that beats was put out"
            self.workers.remove(worker)
            self._leave(worker)
        self.world.put_out.clear()

    def _wake(self, worker) -> None:
        worker.beats = True
        worker.beat()

    def _finish_everything(self) -> None:
        for worker in self.workers:
            self._wake(worker)
        super()._finish_everything()


TestSilentCluster = SilentCluster.TestCase
TestSilentCluster.settings = settings(stateful_step_count=60)
