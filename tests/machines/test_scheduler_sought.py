"""A key that is sought is a future as any other: what can be done with it before its task is known."""

from __future__ import annotations

import pytest

from fastsched._core import State
from fastsched.wire.messages import Claim, Stage

LINEAGE, RUNNING, FINISHED, FAILED = Stage


# -- what can be done with a future of it meanwhile --------------------------------------------------------------------


def test_it_can_be_released(world):
    client, worker = world.client(), world.worker()
    fid = client.want("a")
    client.release(fid)
    assert world.empty()
    worker.submit("a")
    worker.answer()
    assert worker.news() == ["seek a", "run a"]
    worker.finish("a")
    worker.news()


def test_its_client_may_leave(world):
    client, worker = world.client(), world.worker()
    client.want("a")
    world.lost(client)
    assert world.empty()
    worker.answer()
    assert worker.news() == ["seek a"]


def test_it_can_be_cancelled_and_ends_when_nobody_has_it(world):
    client, other, worker = world.client(), world.client("o"), world.worker()
    fid = client.want("a")
    other.want("a")
    client.cancel(fid)
    client.release(fid)
    worker.answer()
    worker.answer()
    assert (client.news(), other.news()) == ([], ["erred a CANCELLED"])
    assert [error.text for error in other.errors.values()] == ["a was cancelled"]
    assert worker.news() == ["seek a", "seek a"]
    other.release(*other.keys)
    assert world.empty()


@pytest.mark.parametrize("stage", [None, *Stage])
def test_the_task_is_cancelled_when_it_is_found_though_nobody_holds_a_future_any_more(world, stage):
    client, worker = world.client(), world.worker("one", nthreads=2)
    with world.one_turn():
        fid = client.want("a")
        client.cancel(fid, reason="no more")
        client.release(fid)
    assert not world.empty()
    if stage is None:
        task = worker.submit("a")
    else:
        item = worker.local("a", stage)
        made = [worker.local("b", Stage.FINISHED, [item.fid])] if stage == Stage.LINEAGE else []
        worker.publish(item, *made)
        task = item.fid
    worker.answer()
    assert not any(line.startswith(("run", "free")) for line in worker.news())
    if stage != Stage.LINEAGE:
        assert worker.errors[task].text == ("Traceback" if stage == Stage.FAILED else "no more")
    worker.submit("a")  # another task
    assert worker.news() == ["run a"]
    worker.finish("a")
    assert (client.news(), worker.news()) == ([], ["finished a"])


def test_who_has_cancelled_it_may_submit_it_anew(world):
    client, worker = world.client(), world.worker()
    client.cancel(client.want("a"))
    client.submit("a")
    assert client.news() == ["erred a CANCELLED"]
    assert worker.news() == ["seek a", "run a"]
    worker.answer()
    worker.finish("a")
    assert client.news() == ["finished a"]


def test_what_is_scattered_under_a_key_that_was_cancelled_is_another_value(world):
    client, other, worker = world.client(), world.client("o"), world.worker()
    client.cancel(client.want("a"))
    other.scatter("a")
    worker.store("a")
    worker.answer()
    assert (client.news(), other.news()) == (["erred a CANCELLED"], ["finished a"])
    assert worker.news() == ["seek a", "put a"]


def test_it_can_be_located(world):
    client, worker = world.client(), world.worker()
    assert client.locate(client.want("a")) == (None, ())
    worker.answer()
    worker.news(), client.news()


def test_it_can_be_kept(world):
    client, worker = world.client(), world.worker()
    fid = client.want("a")
    client.keep(fid)
    client.release(fid)
    assert not world.empty()
    task = worker.submit("a")
    worker.release(task)
    worker.answer()
    assert worker.news() == ["seek a", "run a"]
    worker.finish("a")
    assert worker.news() == ["free a"]
    assert world.empty()


def test_what_was_kept_and_is_not_found_is_let_go(world):
    client, worker = world.client(), world.worker()
    fid = client.want("a")
    client.keep(fid)
    client.release(fid)
    worker.answer()
    assert worker.news() == ["seek a"]
    assert world.empty()


def test_it_can_be_claimed(world):
    one, two = world.worker("one"), world.worker("two")
    fid = one.want("a")
    one.say(Claim((fid,)))
    two.answer()
    assert (one.news(), two.news()) == (["erred a CANCELLED"], ["seek a"])


def test_it_can_be_an_input_and_a_pin(world):
    client, worker = world.client(), world.worker(nthreads=2)
    fid = client.want("a")
    client.submit("b", [fid])
    client.submit("c", pins=[fid])
    assert worker.news() == ["seek a", "run c"]
    client.release(fid)
    task = worker.submit("a")
    worker.answer()
    worker.release(task)
    assert worker.news() == ["run a"]
    worker.finish("a")
    assert worker.news() == ["run b"]
    worker.finish("b", "c")
    assert sorted(client.news()) == ["finished b", "finished c"]
    client.release(*client.keys)
    assert sorted(worker.news()) == ["free a", "free b", "free c"]
    assert world.empty()


def test_what_depends_on_it_ends_with_it(world):
    client, worker = world.client(), world.worker()
    client.submit("b", [client.want("a")])
    worker.answer()
    assert client.news() == ["erred a CANCELLED", "erred b CANCELLED"]
    assert worker.news() == ["seek a"]


def test_it_is_asked_for_again_if_something_needs_it_again(world):
    """Once its future is gone only tasks stand for it; and they may be wanted, released, and wanted again."""
    client, worker = world.client(), world.worker()
    fid = client.want("a")
    b = client.submit("b", [fid])
    c = client.submit("c", [b])
    client.release(fid)
    client.cancel(c)  # keeps its inputs' rows, needs them no more
    client.release(b)
    books = world.machine.books
    assert books.core.state(books.keys["a"].id) == State.RELEASED
    worker.answer()
    assert worker.news() == ["seek a"]
    client.submit("b")
    assert worker.news() == ["seek a"]
    task = worker.submit("a")
    worker.answer()
    assert worker.news() == ["run a"]
    worker.finish("a")
    worker.finish("b")
    worker.release(task)
    assert client.news() == ["erred c CANCELLED", "finished b"]
    assert worker.news() == ["run b", "finished a", "free a"]


# -- circles -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["input", "pin", "through"])
def test_a_task_that_would_be_made_from_itself_is_another_task(world, how):
    client, worker = world.client(), world.worker()
    a = client.want("a")
    b = client.submit("b", [a] if how != "pin" else (), pins=[a] if how == "pin" else ())
    if how == "through":
        b = client.submit("c", pins=[b])
    client.submit("a", [b])
    news = client.news()
    assert "erred a CANCELLED" in news
    assert client.errors[a].text == "'a' would be made from its own value"
    world.lost(client)
    assert world.empty()
    worker.news()


def test_one_that_takes_a_future_of_its_own_key_is_another_task(world):
    client, worker = world.client(), world.worker()
    a = client.want("a")
    client.submit("a", [a])
    assert client.news() == ["erred a CANCELLED", "erred a CANCELLED"]
    assert worker.news() == ["seek a"]


def test_one_that_was_published_in_a_circle_is_another_task(world):
    client, worker, other = world.client(), world.worker("one"), world.worker("two")
    a = worker.want("a")
    b = worker.submit("b", [a])
    item = worker.local("a", FINISHED, [b])
    worker.publish(item)
    assert sorted(worker.news()) == ["adopt a", "erred a CANCELLED", "erred b CANCELLED"]
    client.want("a")
    assert (client.news(), other.news()) == (["finished a"], ["seek a"])


def test_one_that_would_hold_what_it_was_made_from_is_another_task(world):
    worker, other = world.worker("one"), world.worker("two")
    a = worker.want("a")
    b = worker.submit("b", [a])
    source = worker.local("source", LINEAGE, [b])
    worker.publish(source, worker.local("a", RUNNING, pins=[source.fid]))
    assert sorted(worker.news()) == ["adopt a", "erred a CANCELLED", "erred b CANCELLED"]
    assert other.news() == ["seek a"]


def test_inputs_that_have_nothing_to_do_with_it_make_no_circle(world):
    client, worker = world.client(), world.worker(nthreads=4)
    a, other = client.want("a"), client.submit("other")
    client.submit("b", [a, other])
    client.submit("a", [other])
    worker.finish("other")
    worker.finish("a")
    worker.finish("b")
    assert client.news() == ["finished other", "finished a", "finished a", "finished b"]
    assert worker.news() == ["seek a", "run other", "run a", "run b"]


def test_one_that_takes_what_holds_what_was_made_from_it_is_another_task(world):
    worker, other = world.worker("one"), world.worker("two")
    a = worker.want("a")
    source = worker.local("source", LINEAGE, [a])
    holder = worker.local("holder", RUNNING, pins=[source.fid])
    worker.publish(source, holder)
    worker.submit("a", [holder.fid])
    assert worker.errors[a].text == "'a' would be made from its own value"
    assert worker.news() == ["adopt holder", "erred a CANCELLED"]
    worker.finish("holder")
    assert other.news() == ["seek a"]
    assert sorted(worker.news()) == ["finished holder", "run a"]
