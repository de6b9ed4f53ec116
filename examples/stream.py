"""A stream under a latency budget: each item that arrives becomes a task, which launches a task for each of its parts.

Items arrive at fixed times, whether the earlier ones are done or not. What counts is the time from the arrival of an
item to its answer.

    python examples/stream.py
    python examples/stream.py 5000 200     # items, items a second
"""

import sys
import time

from fastsched import Client, as_completed, get_client

BUDGET = 0.005  # seconds from arrival to answer


def normalize(word):
    return word.strip(".,;:!?").lower()


def score(word):
    return sum(map(ord, word)) % 97


def answer(number, text):
    """Two stages for each word, then one number."""
    client = get_client()
    words = client.map(normalize, text.split())
    return number, max(client.gather(client.map(score, words)))


def texts(items):
    """What arrives."""
    base = "It was the best of times, it was the worst of times: it was the age of wisdom!".split()
    return [" ".join(base[number % 7 :]) + f" {number}" for number in range(items)]


def main(items, rate):
    arrived, answered = [0.0] * items, [0.0] * items
    with Client(n_workers=2, threads_per_worker=1) as client:
        client.gather([client.submit(answer, number, "first words") for number in range(8)])
        start = time.perf_counter()
        pending = as_completed(with_results=True)
        for number, text in enumerate(texts(items)):
            due = start + number / rate
            while (now := time.perf_counter()) < due:
                for _, (done, _) in pending.next_batch(block=False):
                    answered[done] = time.perf_counter()
                time.sleep(min(0.0002, due - now))
            arrived[number] = due
            pending.add(client.submit(answer, number, text))
        for _, (done, _) in pending:
            answered[done] = time.perf_counter()
    waits = sorted(there - here for here, there in zip(arrived, answered, strict=True))
    late = sum(wait > BUDGET for wait in waits)
    print(f"{items} items, {rate} a second, each of some 30 tasks")
    print(f"p50 {1e3 * waits[items // 2]:.2f} ms, p99 {1e3 * waits[items * 99 // 100]:.2f} ms")
    print(f"{late} of {items} were later than {1e3 * BUDGET:.0f} ms")


if __name__ == "__main__":
    arguments = [int(text) for text in sys.argv[1:]]
    main(*(arguments or [1000, 200]))
