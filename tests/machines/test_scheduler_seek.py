"""Keys that are wanted before their task is known: workers are asked; the want becomes that of the task, or ends."""

from __future__ import annotations

import pytest

from fastsched.config import Config
from fastsched.wire.messages import Locate, Sought, Stage
from tests.machines.helpers.scheduler_world import VALUE, World

LINEAGE, RUNNING, FINISHED, FAILED = Stage


# -- who is asked, and when nobody has it ------------------------------------------------------------------------------


def test_without_workers_an_unknown_key_ends_at_once(world):
    client = world.client()
    fid = client.want("a")
    assert client.news() == ["erred a CANCELLED"]
    assert client.errors[fid].text == "unknown key 'a': the task was forgotten or never submitted"
    client.release(fid)
    assert world.empty()


def test_workers_are_asked_and_the_want_ends_when_all_have_answered(world):
    client, one, two = world.client(), world.worker("one"), world.worker("two")
    fid = client.want("a")
    assert (one.news(), two.news(), client.news()) == (["seek a"], ["seek a"], [])
    one.answer()
    assert client.news() == []
    two.answer()
    assert client.news() == ["erred a CANCELLED"]
    assert client.errors[fid].text.startswith("unknown key 'a'")
    client.release(fid)
    assert world.empty()


def test_a_worker_that_asks_is_not_asked(world):
    one, two = world.worker("one"), world.worker("two")
    one.want("a")
    assert (one.news(), two.news()) == ([], ["seek a"])
    two.answer()
    assert one.news() == ["erred a CANCELLED"]


def test_the_only_worker_hears_at_once_that_a_key_is_unknown(world):
    worker = world.worker()
    worker.want("a")
    assert worker.news() == ["erred a CANCELLED"]


def test_each_answer_counts_once(world):
    client, one, two = world.client(), world.worker("one"), world.worker("two")
    client.want("a")
    (number,) = one.questions
    one.answer(number)
    one.answer(number)
    assert client.news() == []
    two.answer()
    two.answer(number)
    assert client.news() == ["erred a CANCELLED"]
    assert (one.news(), two.news()) == (["seek a"], ["seek a"])


def test_who_answers_what_was_never_asked_is_put_out(world):
    client, worker = world.client(), world.worker()
    client.want("a")
    worker.say(Sought((99,)))
    assert world.put_out == ["w"]
    assert (worker.news(), client.news()) == (["seek a"], ["erred a CANCELLED"])
    world.put_out.clear()


def test_a_client_that_answers_is_put_out(world):
    client = world.client()
    client.say(Sought((1,)))
    assert world.put_out == ["c"]
    world.put_out.clear()


def test_wants_of_one_turn_share_a_question(world):
    clients, worker = [world.client(f"c{index}") for index in range(3)], world.worker()
    with world.one_turn():
        for client in clients:
            client.want("a")
    assert worker.news() == ["seek a"]
    worker.answer()
    assert [client.news() for client in clients] == [["erred a CANCELLED"]] * 3


def test_a_want_that_comes_while_the_question_is_out_is_asked_for_once_more(world):
    """Who has answered may have launched the task since, and told the key to somebody."""
    early, late, one, two = world.client("early"), world.client("late"), world.worker("one"), world.worker("two")
    early.want("a")
    one.answer()
    fid = late.want("a")
    two.answer()
    assert (one.news(), two.news()) == (["seek a", "seek a"], ["seek a", "seek a"])
    one.publish(one.local("a", FINISHED))
    one.answer()
    assert (early.news(), late.news()) == (["finished a"], ["finished a"])
    assert late.values[fid] == VALUE
    assert sorted(one.news()) == ["adopt a", "finished a"]


def test_a_worker_that_asked_is_asked_when_others_want_the_key_too(world):
    one, two = world.worker("one"), world.worker("two")
    one.want("a")
    two.want("a")
    assert (one.news(), two.news()) == ([], ["seek a"])
    two.answer()
    assert (one.news(), two.news()) == (["seek a"], ["seek a"])
    two.answer()
    one.answer()
    assert (one.news(), two.news()) == (["erred a CANCELLED"], ["erred a CANCELLED"])


def test_wants_without_end_do_not_keep_others_from_hearing_that_a_key_is_unknown(world):
    client, worker = world.client(), world.worker()
    client.want("a")
    rounds = 0
    while worker.questions:
        client.want("a")
        worker.answer()
        rounds += 1
        assert rounds < 20
    assert client.news() == ["erred a CANCELLED"] * (rounds + 1)
    assert worker.news() == ["seek a"] * rounds


def test_after_its_end_a_key_is_asked_for_again(world):
    client, worker = world.client(), world.worker()
    client.want("a")
    worker.answer()
    client.want("a")
    worker.answer()
    assert (client.news(), worker.news()) == (["erred a CANCELLED"] * 2, ["seek a"] * 2)


def test_questions_of_a_turn_are_one_message_of_bounded_size():
    world = World(Config(batch_items=2))
    client, worker = world.client(), world.worker()
    with world.one_turn():
        for index in range(5):
            client.want(f"k{index}")
    assert worker.news() == [f"seek k{index}" for index in range(5)]
    worker.answer()
    assert len(client.news()) == 5
    world.end()


# -- workers that do not answer ----------------------------------------------------------------------------------------


def test_a_worker_that_dies_has_answered(world):
    client, one, two = world.client(), world.worker("one"), world.worker("two")
    client.want("a")
    one.answer()
    two.die()
    assert client.news() == ["erred a CANCELLED"]
    assert (one.news(), two.news()) == (["seek a"], ["seek a"])


def test_so_has_one_whose_connection_has_ended_and_such_are_not_asked(world):
    client, worker = world.client(), world.worker()
    client.want("a")
    world.machine.suspect(worker.number, world.now)
    world.settle()
    assert client.news() == ["erred a CANCELLED"]
    client.want("b")
    assert client.news() == ["erred b CANCELLED"]
    assert worker.news() == ["seek a"]


def test_a_worker_that_falls_silent_has_answered():
    world = World(Config(pulse_seconds=1.0, silence_seconds=3.0))
    client, dumb, other = world.client(), world.worker("dumb", beats=True), world.worker("other", beats=True)
    client.want("a")
    other.answer()
    dumb.beats = False
    world.advance(2.0)
    assert client.news() == []
    world.advance(3.0)
    assert client.news() == ["erred a CANCELLED"]
    client.want("b")  # it is not asked while it is silent
    assert dumb.news() == ["seek a"]
    other.answer()
    assert client.news() == ["erred b CANCELLED"]
    other.news()
    world.end()


def test_a_silent_worker_is_found_out_though_it_has_beaten_since_it_was_asked():
    world = World(Config(pulse_seconds=1.0, silence_seconds=3.0))
    client, worker = world.client(), world.worker("dumb", beats=True)
    client.want("a")
    worker.beat()
    worker.beats = False
    world.advance(60.0)
    assert client.news() == ["erred a CANCELLED"]
    assert worker.news() == ["seek a"]
    world.end()


def test_what_a_silent_worker_says_when_it_is_back_is_taken_in():
    world = World(Config(pulse_seconds=1.0, silence_seconds=3.0))
    client, worker = world.client(), world.worker("dumb", beats=True)
    client.want("a")
    worker.beats = False
    world.advance(60.0)
    fid = worker.submit("a")
    worker.answer()
    world.advance(1.0)
    assert client.news() == ["erred a CANCELLED"]
    assert worker.news() == ["seek a", "run a"]
    worker.finish("a")
    worker.release(fid)
    assert worker.news() == ["finished a", "free a"]
    world.end()


def test_a_busy_worker_that_is_heard_is_waited_for():
    world = World(Config(pulse_seconds=1.0, silence_seconds=3.0))
    client, worker = world.client(), world.worker(beats=True)
    client.want("a")
    world.advance(30.0)
    assert client.news() == []
    worker.answer()
    assert client.news() == ["erred a CANCELLED"]
    worker.news()
    world.end()


# -- somebody has it ---------------------------------------------------------------------------------------------------


def test_a_child_that_is_handed_over_is_what_was_wanted(world):
    client, one, two = world.client(), world.worker("one"), world.worker("two")
    fid = client.want("a")
    task = two.submit("a")
    two.answer()
    assert client.news() == []
    assert (one.news(), two.news()) == (["seek a", "run a"], ["seek a"])
    one.finish("a")
    assert (client.news(), two.news()) == (["finished a"], ["finished a"])
    one.answer()  # not waited for any more
    assert client.values[fid] == VALUE
    client.release(fid)
    two.release(task)
    assert one.news() == ["free a"]
    assert world.empty()


def test_a_task_submitted_by_another_client_is_what_was_wanted(world):
    client, other, worker = world.client(), world.client("o"), world.worker()
    client.want("a")
    other.submit("a")
    assert worker.news() == ["seek a", "run a"]
    worker.finish("a")
    assert (client.news(), other.news()) == (["finished a"], ["finished a"])


def test_a_task_submitted_in_the_turn_of_the_want_is_found_without_a_question(world):
    client, other, worker = world.client(), world.client("o"), world.worker()
    with world.one_turn():
        client.want("a")
        other.submit("a")
    assert worker.news() == ["run a"]
    worker.finish("a")
    assert (client.news(), other.news()) == (["finished a"], ["finished a"])


def test_a_found_task_has_its_priority_its_retries_its_inputs_and_its_pins(world):
    client, worker = world.client(), world.worker(nthreads=1)
    client.want("a")
    source, pinned = worker.submit("source"), worker.submit("pinned")
    task = worker.submit("a", [source, source], pins=[pinned], priority=7, retries=1)
    worker.release(source, pinned)
    worker.answer()
    worker.finish("source")
    worker.finish("pinned")
    assert worker.news() == ["seek a", "run source", "run pinned", "run a"]
    assert worker.tasks["a"].priority == 7
    assert [item[1] for item in worker.tasks["a"].inputs] == ["source", "source"]
    worker.fail("a")
    assert worker.news() == ["run a"]
    worker.finish("a")
    assert client.news() == ["finished a"]
    client.release(*client.keys)
    worker.release(task)
    assert sorted(worker.news()) == ["finished a", "free a", "free pinned", "free source"]
    assert world.empty()


@pytest.mark.parametrize("large", [False, True])
def test_a_child_that_has_its_value_is_what_was_wanted(world, large):
    client, worker = world.client(), world.worker("w")
    fid = client.want("a")
    source = worker.local("source", LINEAGE)
    item = worker.local("a", FINISHED, [source.fid], **({"value": None, "nbytes": 100_000} if large else {}))
    worker.publish(source, item)
    worker.answer()
    assert sorted(worker.news()) == ["adopt a", "finished a", "seek a"]
    assert client.news() == ["finished a"]
    assert client.locate(fid) == ((None, ("tcp://w:1",)) if large else (VALUE, ()))
    client.release(fid)
    worker.release(item.fid)
    assert worker.news() == ["free a"]
    assert world.empty()


def test_its_value_is_taken_though_what_it_was_made_from_has_been_cancelled(world):
    client, worker = world.client(), world.worker()
    source = worker.submit("source")
    worker.cancel(source)
    client.want("a")
    item = worker.local("a", FINISHED, [source])
    worker.publish(item)
    assert client.news() == ["finished a"]
    assert set(worker.news()) == {
        "run source",
        "drop source",
        "erred source CANCELLED",
        "seek a",
        "adopt a",
        "finished a",
    }


def test_a_child_that_runs_is_what_was_wanted(world):
    client, worker = world.client(), world.worker()
    client.want("a")
    item = worker.local("a", RUNNING)
    worker.publish(item)
    worker.answer()
    assert worker.news() == ["seek a", "adopt a"]
    worker.finish("a")
    assert (client.news(), worker.news()) == (["finished a"], ["finished a"])


def test_a_child_that_failed_is_what_was_wanted(world):
    client, worker = world.client(), world.worker()
    fid = client.want("a")
    worker.publish(worker.local("a", FAILED))
    worker.answer()
    assert client.news() == ["erred a TASK"]
    assert client.errors[fid].text == "Traceback"
    assert set(worker.news()) == {"seek a", "erred a TASK", "attach a"}


def test_a_child_whose_value_is_gone_is_computed_again(world):
    client, worker = world.client(), world.worker()
    client.want("a")
    source = worker.local("a", LINEAGE)
    other = worker.local("b", FINISHED, [source.fid])
    worker.publish(source, other)
    worker.answer()
    assert worker.news() == ["seek a", "adopt b", "run a"]
    worker.finish("a")
    assert client.news() == ["finished a"]


def test_a_value_that_is_scattered_under_the_key_is_what_was_wanted(world):
    client, other, worker = world.client(), world.client("o"), world.worker()
    fid = client.want("a")
    there = other.scatter("a")
    assert worker.news() == ["seek a", "put a"]
    worker.store("a")
    assert (client.news(), other.news()) == (["finished a"], ["finished a"])
    worker.answer()
    client.release(fid)
    other.release(there)
    assert worker.news() == ["free a"]
    assert world.empty()


def test_a_value_that_is_scattered_in_the_turn_of_the_want_is_put_once(world):
    client, worker = world.client(), world.worker()
    with world.one_turn():
        client.want("a")
        client.scatter("a")
    assert worker.news() == ["put a"]
    worker.store("a")
    assert client.news() == ["finished a", "finished a"]


def test_a_found_task_is_lost_and_computed_again_as_any_other(world):
    client, one = world.client(), world.worker("one")
    client.want("a")
    two = world.worker("two")
    one.publish(one.local("a", FINISHED, value=None, nbytes=100_000))
    one.answer()
    assert client.news() == ["finished a"]
    one.die()
    assert client.news() == ["lost a"]
    assert two.news() == ["run a"]
    two.finish("a")
    assert client.news() == ["finished a"]
    one.news()


def test_the_first_task_of_the_key_counts(world):
    client, one, two = world.client(), world.worker("one"), world.worker("two")
    client.want("a")
    one.publish(one.local("a", RUNNING))
    two.publish(two.local("a", FINISHED))
    one.answer(), two.answer()
    assert one.news() == ["seek a", "adopt a"]
    assert two.news() == ["seek a", "attach a"]
    one.finish("a")
    assert (client.news(), one.news(), two.news()) == (["finished a"], ["finished a"], ["finished a"])


# -- no workers --------------------------------------------------------------------------------------------------------


def test_when_no_worker_will_come_a_key_is_unknown(world):
    client, worker = world.client(), world.worker()
    client.want("a")
    worker.die()
    world.machine.give_up("no more", world.now)
    world.settle()
    client.want("b")
    assert client.news() == ["erred a CANCELLED", "erred b CANCELLED"]
    assert worker.news() == ["seek a"]


def test_a_worker_that_comes_later_is_not_asked(world):
    client, one = world.client(), world.worker("one")
    client.want("a")
    two = world.worker("two")
    one.answer()
    assert client.news() == ["erred a CANCELLED"]
    assert (one.news(), two.news()) == (["seek a"], [])


def test_locating_what_nobody_has_names_nobody(world):
    client, worker = world.client(), world.worker()
    fid = client.want("a")
    client.say(Locate((fid, fid)))
    assert client.located == {fid: (None, ())}
    worker.answer()
    assert (client.news(), worker.news()) == (["erred a CANCELLED"], ["seek a"])
