"""Adaptive quadrature: an interval that is not smooth enough becomes two, each a task that may split again.

Nobody knows beforehand where the work is. A task takes some microseconds, so it is worth launching only if that costs
little: most run in the thread of the task that waits for them, some on other workers, whoever has the time.

    python examples/quadrature.py
    python examples/quadrature.py 1e-10
"""

import math
import sys
from time import perf_counter

from fastsched import Client, get_client


def spiky(x):
    """What is integrated from -1 to 1: a needle at 0.3 on a wave."""
    return math.cos(5.0 * x) + 1e-2 / ((x - 0.3) ** 2 + 1e-4)


def exact():
    """The integral of `spiky`, by hand."""
    needle = math.atan((1.0 - 0.3) / 1e-2) - math.atan((-1.0 - 0.3) / 1e-2)
    return 2.0 * math.sin(5.0) / 5.0 + needle


def simpson(a, b):
    """Simpson's rule on one interval."""
    return (b - a) / 6.0 * (spiky(a) + 4.0 * spiky((a + b) / 2.0) + spiky(b))


def integrate(a, b, tolerance):
    """The integral, and how many tasks it took."""
    middle = (a + b) / 2.0
    whole, halves = simpson(a, b), simpson(a, middle) + simpson(middle, b)
    if abs(halves - whole) < 15.0 * tolerance:
        return halves + (halves - whole) / 15.0, 1
    client = get_client()
    parts = client.gather(
        [
            client.submit(integrate, a, middle, tolerance / 2.0),
            client.submit(integrate, middle, b, tolerance / 2.0),
        ]
    )
    return sum(value for value, _ in parts), 1 + sum(tasks for _, tasks in parts)


def main(tolerance):
    with Client(n_workers=2, threads_per_worker=1) as client:
        start = perf_counter()
        value, tasks = client.submit(integrate, -1.0, 1.0, tolerance).result()
        seconds = perf_counter() - start
    print(f"{value:.12f}, {abs(value - exact()):.1e} from the truth")
    print(f"{tasks} tasks in {seconds:.3f} s, {1e6 * seconds / tasks:.0f} us each")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1e-9)
