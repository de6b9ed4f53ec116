"""A program whose timer raises at random moments while it submits 100,000 tasks.

Prints how often an exception came out of `submit`, how many futures were returned, and how many tasks the scheduler
still holds at the end. A program of its own, because the timer that is precise enough is the one that the test runner
uses.
"""

from __future__ import annotations

import gc
import random
import signal

from fastsched import Client
from tests.cluster.conftest import remaining
from tests.cluster.functions import inc

COUNT = 100_000


class Alarm(Exception):
    """What the timer raises."""


class Timer:
    """Raises inside the armed part only."""

    def __init__(self) -> None:
        self.armed = False

    def ring(self, signum: int, frame: object) -> None:
        if self.armed:
            self.armed = False
            raise Alarm


def main() -> None:
    timer, chance = Timer(), random.Random(7)
    signal.signal(signal.SIGALRM, timer.ring)
    futures = []
    rings = 0
    with Client(n_workers=1, threads_per_worker=1) as client:
        for i in range(COUNT):
            if i % 10 == 0:
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-6, 4e-4))
            try:
                timer.armed = True
                future = client.submit(inc, i)
                timer.armed = False
                futures.append((i, future))
            except Alarm:
                rings += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        client.cluster.check()
        assert client.gather([future for _, future in futures]) == [i + 1 for i, _ in futures]
        count = len(futures)
        del future
        futures.clear()
        gc.collect()
        left = remaining(client, 10.0)
        client.cluster.check()
        print(rings, count, sum(left.values()))


if __name__ == "__main__":
    main()
