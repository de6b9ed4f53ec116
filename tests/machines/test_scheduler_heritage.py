"""A scheduler in the place of one that died: it waits for its peers, and computes nothing that they have."""

from __future__ import annotations

import pytest

from fastsched.config import Config
from fastsched.scheduler.machine import SchedulerMachine
from fastsched.wire.messages import Bring, Call, ErrorKind, Register, Role, RunFunction, Verb
from tests.machines.helpers.scheduler_world import World

GATHER = Config().gather_seconds


@pytest.fixture
def successor():
    world = World(successor=True)
    yield world
    world.end()


def test_a_successor_starts_nothing_until_its_peers_can_be_there(successor):
    client, worker = successor.client(), successor.worker()
    client.submit("a")
    successor.advance(GATHER - 0.001)
    assert worker.news() == []
    successor.advance(0.001)
    assert worker.news() == ["run a"]


def test_its_time_begins_with_the_first_peer(successor):
    successor.advance(100.0)
    client, worker = successor.client(), successor.worker()
    client.submit("a")
    assert worker.news() == []
    successor.advance(GATHER)
    assert worker.news() == ["run a"]


def test_a_scheduler_that_succeeds_nobody_starts_at_once():
    world = World()
    client, worker = world.client(), world.worker()
    client.submit("a")
    assert worker.news() == ["run a"]
    world.end()


@pytest.mark.parametrize("first", ["client", "worker"])
def test_a_value_that_was_brought_is_not_computed_again(successor, first):
    if first == "client":
        client, worker = successor.client(), successor.worker()
        client.submit("a")
        worker.bring("a")
    else:
        worker = successor.worker()
        worker.bring("a")
        client = successor.client()
        client.submit("a")
    assert worker.news() == client.news() == []
    successor.advance(GATHER)
    assert worker.news() == ["keep a"]
    assert client.news() == ["finished a"]
    assert client.locate(1) == (None, ("tcp://w:1",))
    client.release(1)
    assert worker.news() == ["free a"]
    assert successor.empty()


def test_attempts_that_nobody_wants_may_go_and_values_after_a_while(successor):
    worker = successor.worker()
    worker.bring("a", running=["b"])
    successor.advance(GATHER)
    assert worker.news() == ["refuse b"]
    successor.advance(Config().reconnect_seconds - GATHER)
    assert worker.news() == ["refuse a"]
    assert successor.empty()


def test_a_value_waits_for_a_client_that_was_held_up(successor):
    worker = successor.worker()
    worker.bring("a", "b")
    successor.advance(Config().reconnect_seconds - 1.0)
    with successor.one_turn():
        client = successor.client(comebacks=1)
        client.submit("a")
        client.want("b")
        client.bring()
    assert worker.news() == ["keep a", "keep b"]
    assert sorted(client.news()) == ["finished a", "finished b"]
    successor.advance(10.0)
    assert worker.news() == []


def test_what_was_computed_again_meanwhile_is_not_needed(successor):
    worker = successor.worker()
    worker.bring("a")
    successor.advance(GATHER)
    client = successor.client(comebacks=1)
    client.submit("a")  # it has much to say, and has not said all
    assert worker.news() == ["run a"]
    worker.finish("a")
    client.bring()
    assert worker.news() == ["refuse a"]
    assert client.news() == ["finished a"]


@pytest.mark.parametrize("who", ["client", "worker"])
def test_who_has_come_back_is_heard_out_before_anything_is_placed(successor, who):
    worker = successor.worker(comebacks=int(who == "worker"))
    client = successor.client(comebacks=int(who == "client"))
    client.submit("a")
    if who == "worker":
        worker.bring(more=True)
    successor.advance(1.5 * GATHER)
    assert worker.news() == []
    if who == "worker":
        worker.bring("a")
    else:
        worker.bring("a")
        client.bring()
    successor.advance(0.0)
    assert worker.news() == ["keep a"]
    assert client.news() == ["finished a"]


@pytest.mark.parametrize("how", ["silent", "gone"])
def test_who_does_not_finish_is_not_waited_for_for_long(successor, how):
    client, worker = successor.client(), successor.worker()
    slow = successor.client("slow", comebacks=1)
    client.submit("a")
    successor.advance(1.5 * GATHER)
    assert worker.news() == []
    if how == "gone":
        successor.lost(slow)
        successor.advance(0.0)
    else:
        successor.advance(3.5 * GATHER)
    assert worker.news() == ["run a"]
    worker.finish("a")
    client.news()


def test_a_worker_gets_nothing_before_it_has_said_what_it_brings():
    world = World()
    client = world.client()
    client.submit("a")
    worker = world.worker(comebacks=1)
    worker.bring("b", more=True)
    assert worker.news() == []
    worker.bring("a")
    assert sorted(worker.news()) == ["keep a", "refuse b"]
    assert client.news() == ["finished a"]
    client.submit("c")
    assert worker.news() == ["run c"]
    worker.finish("c")
    client.news()
    world.end()


@pytest.mark.parametrize("gathering", [True, False])
def test_a_worker_that_retires_is_heard_out_first(gathering):
    world = World(successor=gathering)
    client, worker = world.client(), world.worker("leaves", comebacks=1)
    other = world.worker("stays")
    world.machine.retire(["leaves"], world.now)
    client.submit("a")
    if not gathering:
        assert other.news() == ["run a"]
        other.finish("a")
        client.news()
    world.advance(0.5)
    assert worker.news() == []
    worker.bring("a" if gathering else "b")
    world.advance(GATHER)
    if gathering:
        assert worker.news() == ["keep a"]
        assert other.news() == ["fetch from tcp://leaves:1: a"]
    else:
        assert worker.news() == ["refuse b", "end: it retires"]


def test_workers_number_functions_in_another_way_for_each_scheduler():
    numbers = set()
    for epoch in (7, 8):
        machine = SchedulerMachine(Config(), version="1", epoch=epoch)
        machine.joined(1, Role.CLIENT, Register("c", "1", 0, 0, "", 0, ""), 0.0)
        machine.joined(2, Role.WORKER, Register("w", "1", 0, 1, "", 0, ""), 0.0)
        machine.receive(1, Call(1, Verb.RUN, (), (b"function",)), 0.0)
        sent = [action.message for action in machine.drain() if isinstance(action.message, RunFunction)]
        numbers.add(sent[0].request)
    assert len(numbers) == 2


def test_an_attempt_that_runs_goes_on_and_is_not_started_twice(successor):
    client, one, two = successor.client(), successor.worker("one"), successor.worker("two")
    client.submit("a")
    one.bring(running=["a"])
    successor.advance(GATHER)
    assert (one.news(), two.news()) == (["go on a"], [])
    one.finish("a")
    assert client.news() == ["finished a"]


def test_an_attempt_that_was_brought_holds_a_slot(successor):
    client, worker = successor.client(), successor.worker()
    client.submit("a"), client.submit("b", priority=1)
    worker.bring(running=["a"])
    successor.advance(GATHER)
    books = successor.machine.books
    assert books.core.occupancy(books.names["w"].handle) == 2  # one is sent ahead
    assert worker.news() == ["go on a", "run b"]
    worker.finish("a", "b")
    client.news()


def test_the_same_attempt_of_two_workers_is_that_of_the_first(successor):
    client, one, two = successor.client(), successor.worker("one"), successor.worker("two")
    client.submit("a")
    one.bring(running=["a"])
    two.bring(running=["a"])
    successor.advance(GATHER)
    assert (one.news(), two.news()) == (["go on a"], ["refuse a"])
    one.finish("a")
    client.news()


def test_a_value_of_two_workers_is_at_both(successor):
    client, one, two = successor.client(), successor.worker("one"), successor.worker("two")
    client.submit("a")
    one.bring("a")
    two.bring("a")
    successor.advance(GATHER)
    assert (one.news(), two.news()) == (["keep a"], ["keep a"])
    one.die()
    assert client.news() == ["finished a"]
    client.release(1)
    assert two.news() == ["free a"]


def test_inputs_come_with_whoever_has_them_before_attempts_are_claimed(successor):
    client, one, two = successor.client(), successor.worker("one"), successor.worker("two")
    a = client.submit("a")
    client.submit("b", [a])
    one.bring(running=["b"])
    two.bring("a")
    successor.advance(GATHER)
    assert (one.news(), two.news()) == (["go on b"], ["keep a"])
    one.finish("b")
    assert client.news() == ["finished a", "finished b"]


def test_lineage_of_what_is_there_is_not_computed(successor):
    client, worker = successor.client(), successor.worker()
    a = client.submit("a")
    client.submit("b", [a])
    client.release(a)
    worker.bring("b")
    successor.advance(GATHER)
    assert worker.news() == ["keep b"]
    assert client.news() == ["finished b"]


def test_what_is_brought_late_is_taken_if_nobody_has_begun(successor):
    client, worker = successor.client(), successor.worker()
    for key in "abc":
        client.submit(key)
    successor.advance(GATHER)
    assert worker.news() == ["run a", "run b"]
    with successor.one_turn():
        late = successor.worker("late")
        late.bring("a", "c")
    assert late.news() == ["refuse a", "keep c"]
    assert client.news() == ["finished c"]
    worker.finish("a")
    assert worker.news() == ["retract b"]
    worker.finish("b")
    assert client.news() == ["finished a", "finished b"]


def test_a_scattered_value_that_was_brought_is_there(successor):
    client, worker = successor.client(), successor.worker()
    fid = client.want("data")
    client.submit("a", [fid])
    worker.bring("data")
    successor.advance(GATHER)
    assert worker.news() == ["keep data", "run a"]
    assert client.news() == ["finished data"]
    worker.finish("a")
    client.news()


def test_one_that_nobody_brings_is_lost_with_what_needs_it(successor):
    client, worker = successor.client(), successor.worker()
    fid = client.want("data")
    client.submit("a", [fid])
    successor.advance(GATHER)
    assert client.news() == ["erred data DATA_LOST", "erred a DATA_LOST"]
    assert "no worker has brought back 'data'" in client.errors[fid].text
    assert worker.news() == []


def test_a_scattered_value_that_was_brought_is_lost_with_its_worker(successor):
    client, worker = successor.client(), successor.worker()
    fid = client.want("data")
    worker.bring("data")
    successor.advance(GATHER)
    assert (worker.news(), client.news()) == (["keep data"], ["finished data"])
    worker.die()
    client.submit("a", [fid])
    assert client.news() == ["lost data", "erred data DATA_LOST", "erred a DATA_LOST"]


def test_nobody_is_asked_for_a_key_while_it_may_be_brought(successor):
    client, worker = successor.client(), successor.worker()
    client.want("a")
    assert worker.news() == []
    other = successor.client("other")
    other.submit("a")
    successor.advance(GATHER)
    assert worker.news() == ["run a"]
    worker.finish("a")
    assert client.news() == other.news() == ["finished a"]


def test_after_that_workers_are_asked(successor):
    client, worker = successor.client(), successor.worker()
    successor.advance(GATHER)
    client.want("a")
    assert worker.news() == ["seek a"]
    worker.answer()
    assert client.news() == ["erred a CANCELLED"]


def test_what_is_cancelled_meanwhile_is_cancelled_whoever_brings_it(successor):
    client, worker = successor.client(), successor.worker()
    fid = client.want("data")
    client.cancel(fid, reason="not today")
    worker.bring("data")
    successor.advance(GATHER)
    assert worker.news() == ["refuse data"]
    assert client.news() == ["erred data CANCELLED"]
    assert client.errors[fid].text == "not today"
    client.release(fid)
    assert successor.empty()


def test_a_worker_that_goes_again_takes_along_what_it_brought(successor):
    client, one, two = successor.client(), successor.worker("one"), successor.worker("two")
    client.submit("a")
    one.bring("a")
    one.die()
    successor.advance(GATHER)
    assert two.news() == ["run a"]
    two.finish("a")
    client.news()


def test_a_client_may_bring_nothing(successor):
    client = successor.client("liar")
    from_worker = successor.worker()
    from_worker.bring("a")
    client.say(Bring((), ("a",), False))
    assert successor.put_out == ["liar"]
    successor.put_out.clear()
    successor.advance(GATHER)
    from_worker.news()


def test_task_ids_begin_in_the_epoch(successor):
    client, worker = successor.client(), successor.worker()
    client.submit("a")
    successor.advance(GATHER)
    assert worker.tasks["a"].id >> 32 == 7
    assert worker.news() == ["run a"]
    worker.fail("a", ErrorKind.TASK)
    client.news()


# -- a connection breaks, and the scheduler lives ----------------------------------------------------------------------


def test_a_worker_that_comes_back_goes_on_with_what_it_has():
    world = World()
    client, worker = world.client(), world.worker()
    client.submit("a"), client.submit("b")
    worker.finish("a")
    assert (worker.news(), client.news()) == (["run a", "run b"], ["finished a"])
    with world.one_turn():  # nobody has heard of the end of that connection
        again = world.worker(comebacks=1)
        again.bring("a", running=["b"])
    assert sorted(again.news()) == ["go on b", "keep a"]
    assert client.news() == ["lost a", "finished a"]
    again.finish("b")
    assert client.news() == ["finished b"]
    worker.news()
    world.end()


def test_nobody_is_to_blame_for_a_broken_connection():
    world = World(Config(allowed_failures=0))
    client, worker = world.client(), world.worker()
    client.submit("a")
    world.machine.suspect(worker.number, world.now)
    again = world.worker(comebacks=1)
    again.bring()
    assert again.news() == ["run a"]
    again.finish("a")
    assert client.news() == ["finished a"]
    worker.news()
    world.end()


@pytest.mark.parametrize(
    ("pid", "address", "comebacks"), [(8, "tcp://w:1", 1), (7, "tcp://x:1", 1), (7, "tcp://w:1", 0)]
)
def test_another_worker_of_the_same_name_is_not_let_in(pid, address, comebacks):
    world = World()
    worker = world.worker()
    other = world.join(Role.WORKER, Register("w", "1", pid, 1, address, 0, "", comebacks))
    assert "'w' already" in other.reason
    world.put_out.clear()
    assert worker.news() == []
    world.end()


def test_the_last_connection_counts_in_whatever_order_they_are_heard_of():
    world = World()
    last = world.worker(comebacks=2)
    last.bring()
    before = world.join(Role.WORKER, Register("w", "1", 7, 1, "tcp://w:1", 0, "", 1))
    assert "'w' already" in before.reason
    world.put_out.clear()
    world.client().submit("a")
    assert last.news() == ["run a"]
