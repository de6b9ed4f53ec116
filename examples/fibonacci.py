"""The recursive Fibonacci, each call a task that launches two more.

Calls are pure, so equal ones are one task: fib(100) is 101 tasks, not 10**20. Each waits for its children, 100 levels
deep, and one worker with one thread runs all of it: a waiting task lends its slot.

    python examples/fibonacci.py
    python examples/fibonacci.py 30
"""

import sys
from time import perf_counter

from fastsched import Client, worker_client


def fib(n):
    if n < 2:
        return n
    with worker_client() as client:
        a = client.submit(fib, n - 1)
        b = client.submit(fib, n - 2)
        return a.result() + b.result()


def main(n):
    with Client(n_workers=1, threads_per_worker=1) as client:
        start = perf_counter()
        value = client.submit(fib, n).result()
        seconds = perf_counter() - start
    print(f"fib({n}) = {value}, one worker with one thread, {seconds:.3f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
