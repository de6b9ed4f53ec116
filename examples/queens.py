"""N queens: a task places a queen in its row and launches a task for each way to go on, down to some depth.

The branches of the search are of very different size, and nobody knows which. Idle workers take over branches that
wait, the oldest first: those are the largest.

    python examples/queens.py
    python examples/queens.py 10
"""

import sys
from time import perf_counter

from fastsched import Client, get_client

TASK_ROWS = 4  # so many rows are tasks, what is below is a plain loop


def free_columns(n, queens):
    """Where the next queen may stand."""
    row = len(queens)
    return [
        column
        for column in range(n)
        if all(column != taken and abs(column - taken) != row - place for place, taken in enumerate(queens))
    ]


def count(n, queens):
    """Ways to place the rest, in a loop."""
    if len(queens) == n:
        return 1
    return sum(count(n, (*queens, column)) for column in free_columns(n, queens))


def search(n, queens):
    """Ways to place the rest, and how many tasks it took."""
    if len(queens) >= TASK_ROWS:
        return count(n, queens), 1
    client = get_client()
    placed = [(*queens, column) for column in free_columns(n, queens)]
    branches = client.map(search, [n] * len(placed), placed)
    found = client.gather(branches)
    return sum(ways for ways, _ in found), 1 + sum(tasks for _, tasks in found)


def main(n):
    for workers in (1, 2):
        with Client(n_workers=workers, threads_per_worker=1) as client:
            start = perf_counter()
            ways, tasks = client.submit(search, n, ()).result()
            seconds = perf_counter() - start
        print(f"{n} queens: {ways} ways; {tasks} tasks on {workers} workers in {seconds:.2f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
