"""A worker claims tasks that a thread of it waits for: they are sent to it, whatever its slots say."""

from __future__ import annotations

import pytest

from fastsched.wire.messages import Claim
from tests.machines.helpers.scheduler_world import Worker


def claim(worker: Worker, *fids: int) -> None:
    worker.say(Claim(fids))


@pytest.fixture
def busy(world):
    """A worker whose only slot is taken, and that has as much sent ahead as it may have."""
    worker = world.worker("busy")
    ahead = [f"ahead {n}" for n in range(10)]
    for key in ("running", *ahead):
        worker.submit(key)
    worker.news()
    return worker


def test_a_task_that_waits_for_a_slot_is_sent_to_who_claims_it(world, busy):
    fid = busy.submit("a")
    assert busy.news() == []
    claim(busy, fid)
    assert busy.news() == ["run a"]
    busy.finish("a")
    assert "finished a" in busy.news()


def test_a_claimed_task_is_sent_once(world, busy):
    fid = busy.submit("a")
    claim(busy, fid, fid)
    claim(busy, fid)
    assert busy.news() == ["run a"]


def test_also_a_task_that_somebody_else_has_submitted_is_sent(world, busy):
    client = world.client()
    client.submit("a")
    claim(busy, busy.want("a"))
    assert busy.news() == ["run a"]
    busy.finish("a")
    assert "finished a" in busy.news()
    assert client.news() == ["finished a"]


def test_a_task_that_was_submitted_in_the_same_turn_is_sent(world, busy):
    with world.one_turn():
        claim(busy, busy.submit("a"))
    assert busy.news() == ["run a"]


def test_a_task_that_runs_elsewhere_is_not_sent(world):
    first, second = world.worker("first"), world.worker("second")
    first.submit("a")
    (holder,) = [worker for worker in (first, second) if worker.news() == ["run a"]]
    other = second if holder is first else first
    claim(other, other.want("a"))
    assert other.news() == []
    holder.finish("a")
    assert "finished a" in other.news()
    first.news()


def test_a_task_that_waits_for_its_inputs_is_not_sent(world):
    worker = world.worker(nthreads=2)
    other = world.worker("other", nthreads=2)
    mine = worker.submit("input")
    fid = worker.submit("a", [mine])
    worker.news(), other.news()
    claim(worker, fid)
    assert [news for peer in (worker, other) for news in peer.news() if news == "run a"] == []


def test_what_a_claimed_task_waits_for_is_sent_if_it_can_run(world, busy):
    inner = busy.submit("inner")
    middle = busy.submit("middle", [inner])
    outer = busy.submit("outer", [middle])
    busy.release(inner, middle)
    assert busy.news() == []
    claim(busy, outer)
    assert busy.news() == ["run inner"]


# -- tasks that wait for a slot at another worker --------------------------------------------------------------------


def queued(world):
    """Two workers with a slot each that is taken; a task waits at one of them, another one at the other."""
    first, second, mine = world.worker("first"), world.worker("second"), world.client()
    mine.submit("long 1"), mine.submit("long 2")
    ahead = mine.submit("ahead")
    mine.submit("ahead too")
    first.news(), second.news(), mine.news()
    holder = first if "ahead" in first.tasks else second
    return mine, ahead, holder, second if holder is first else first


def test_a_task_that_waits_for_a_slot_elsewhere_is_asked_back_for_who_claims_it(world):
    mine, _, holder, other = queued(world)
    claim(other, other.want("ahead"))
    assert holder.news() == ["retract ahead"]
    assert other.news() == []
    holder.give_back("ahead")
    assert other.news() == ["run ahead"]
    assert holder.news() == []
    other.finish("ahead")
    assert mine.news() == ["finished ahead"]
    other.news()


def test_it_is_asked_back_once(world):
    _, _, holder, other = queued(world)
    fid = other.want("ahead")
    claim(other, fid, fid)
    claim(other, fid)
    assert holder.news() == ["retract ahead"]


def test_who_has_begun_with_it_keeps_it(world):
    mine, _, holder, other = queued(world)
    claim(other, other.want("ahead"))
    assert holder.news() == ["retract ahead"]
    holder.finish("ahead")
    assert "finished ahead" in other.news()
    assert mine.news() == ["finished ahead"]
    claim(other, other.want("ahead too"))
    world.settle()


def test_what_comes_back_for_a_worker_that_is_gone_goes_where_there_is_room(world):
    _, _, holder, other = queued(world)
    claim(other, other.want("ahead"))
    assert holder.news() == ["retract ahead"]
    other.die(executing=[])
    holder.give_back("ahead")
    assert "run ahead" in world.worker("third").news()
    holder.news()


def test_what_came_back_and_was_cancelled_meanwhile_is_not_sent(world):
    mine, ahead, holder, other = queued(world)
    claim(other, other.want("ahead"))
    assert holder.news() == ["retract ahead"]
    item = holder.tasks["ahead"]
    mine.cancel(ahead)
    assert "drop ahead" in holder.news()
    mine.news(), other.news()
    holder.done(returned=[(item.id, item.run)])
    assert other.news() == []


def test_of_what_came_early_that_is_asked_back_which_it_waits_for(world):
    """A task that was sent together with its input goes where that goes."""
    first, second, mine = world.worker("first"), world.worker("second"), world.client()
    mine.submit("short 1"), mine.submit("short 2")
    for worker in (first, second):
        worker.finish(*worker.tasks, micros=10)
    mine.submit("long 1"), mine.submit("long 2")
    ahead = mine.submit("ahead")
    first.news(), second.news(), mine.news()
    holder, other = (first, second) if "ahead" in first.tasks else (second, first)
    mine.submit("behind", [ahead])
    assert holder.news() == ["run behind"]
    claim(other, other.want("behind"))
    assert holder.news() == ["retract ahead"]
    holder.give_back("ahead")
    assert "run ahead" in other.news()
    assert holder.news() == ["drop behind"]


def test_a_task_that_is_done_is_not_sent(world):
    worker = world.worker()
    finished, failed = worker.submit("finished"), worker.submit("failed")
    worker.finish("finished")
    worker.fail("failed")
    worker.news()
    claim(worker, finished, failed)
    assert worker.news() == []


def test_a_claimed_task_that_is_lost_with_its_worker_runs_elsewhere(world, busy):
    client = world.client()
    client.submit("a")
    claim(busy, busy.want("a"))
    assert busy.news() == ["run a"]
    busy.die(executing=[])
    other = world.worker("other")
    assert other.news() == ["run a"]


def test_who_is_no_worker_is_put_out_for_a_claim(world):
    client = world.client("c")
    fid = client.submit("a")
    client.say(Claim((fid,)))
    assert world.put_out == ["c"]
    world.put_out.clear()


def test_to_claim_a_future_that_is_not_there_is_an_offence(world):
    worker = world.worker("w")
    claim(worker, 99)
    assert world.put_out == ["w"]
    assert "99" in worker.reason
    world.put_out.clear()
