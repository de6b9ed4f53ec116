"""Functions: each travels once per connection, within its bound, and is forgotten with its last user."""

from __future__ import annotations

from fastsched.config import Config
from tests.machines.helpers.scheduler_world import World


def test_a_function_travels_once_to_a_worker(world):
    client, worker = world.client(), world.worker(nthreads=4)
    client.submit("a", fn=b"f" * 8)
    del worker.functions[b"f" * 8]  # so that a second run would find it missing if it were counted on the wrong side
    worker.functions[b"f" * 8] = (b"kept from the first message",)
    client.submit("b", fn=b"f" * 8)
    assert worker.functions[b"f" * 8] == (b"kept from the first message",)
    assert worker.news() == ["run a", "run b"]


def test_a_function_that_nobody_uses_is_forgotten_with_its_last_user(world):
    client = world.client()
    client.submit("a", fn=b"f" * 8)
    assert set(world.machine.books.functions) == {b"f" * 8}
    world.lost(client)
    assert not world.machine.books.functions


def test_functions_beyond_the_bound_are_sent_again():
    world = World(Config(functions=2))
    client, worker = world.client(), world.worker(nthreads=8)
    names = [bytes([letter]) * 8 for letter in b"fghf"]
    for index, fn in enumerate(names):
        client._sent.discard(fn)  # a client with the same bound sends it again, too
        client.submit(f"t{index}", fn=fn)
        assert fn in worker.functions
        worker.functions = dict(list(worker.functions.items())[-2:])
    assert worker.news() == ["run t0", "run t1", "run t2", "run t3"]
    world.end()


def test_a_function_that_is_sent_again_is_the_newest():
    world = World(Config(functions=2))
    client, worker = world.client(), world.worker(nthreads=8)
    f, g, h = b"f" * 8, b"g" * 8, b"h" * 8
    client.submit("a", fn=f)
    client.submit("b", fn=g)
    client._sent.discard(f)  # for h; then g for f
    client.submit_items([client.item("c", fn=h), client.item("d", fn=f)])
    client.submit("e", fn=f)
    assert worker.news() == ["run a", "run b", "run c", "run d", "run e"]
    world.end()


def test_a_function_that_makes_the_worker_forget_another_comes_after_the_tasks_of_that_one():
    world = World(Config(functions=1))
    client, worker = world.client(), world.worker(nthreads=8)
    heard: list[tuple[int, int]] = []
    hear = worker.hear

    def count(message):
        heard.append((len(message.functions), len(message.tasks)))
        hear(message)

    worker.hear = count
    with world.one_turn():
        for fn in (b"f" * 8, b"f" * 8, b"g" * 8):
            client.submit(f"t{next(client._requests)}", fn=fn)
    assert heard == [(1, 2), (1, 1)]
    worker.news()
    world.end()
