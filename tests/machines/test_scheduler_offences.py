"""Peers that break the rules lose their own connection and what they held, and nothing else changes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fastsched.wire.messages import (
    Cancel,
    Claim,
    Done,
    FunctionItem,
    Keep,
    Locate,
    Publish,
    Pulse,
    RanFunction,
    Register,
    Scatter,
    ScatterItem,
    Stage,
    Submit,
    Surplus,
    TaskItem,
    Want,
    WantItem,
)
from tests.machines.helpers.scheduler_world import FN, Client, Worker

CLIENTS: dict[str, Callable[[Client], object]] = {
    "dependency on an unknown future": lambda c: c.submit("x", [99]),
    "pin of an unknown future": lambda c: c.submit("x", pins=[99]),
    "future used twice": lambda c: c.submit("x", fid=1),
    "future used twice for the same key": lambda c: c.submit("mine", fid=1),
    "want with a used future": lambda c: c.say(Want((WantItem(1, "mine"),))),
    "scatter with a used future": lambda c: c.say(Scatter((ScatterItem(1, "s", "int", (b"1",), ()),), (), False)),
    "scatter with an unknown pin": lambda c: c.scatter("s", pins=[99]),
    "unknown function": lambda c: c.say(Submit((), (TaskItem(9, "x", b"unknown!", (b"",), (), (), 0, 0, 0),))),
    "release of an unknown future": lambda c: c.release(99),
    "release twice": lambda c: c.release(1, 1),
    "cancel of an unknown future": lambda c: c.say(Cancel((99,), "")),
    "keep of an unknown future": lambda c: c.say(Keep((99,))),
    "locate of an unknown future": lambda c: c.say(Locate((99,))),
    "a report from a client": lambda c: c.say(Done((), (), (), (), (), 0)),
    "an answer from a client": lambda c: c.say(RanFunction(1, True, (b"",))),
    "a local task from a client": lambda c: c.say(Publish((), ())),
    "a surplus from a client": lambda c: c.say(Surplus(1)),
    "a claim from a client": lambda c: c.say(Claim((1,))),
    "a second registration": lambda c: c.say(Register("c", "1", 0, 0, "", 0, "")),
}


@pytest.mark.parametrize("offence", CLIENTS.values(), ids=CLIENTS.keys())
def test_a_client_that_breaks_the_rules_is_put_out_alone(world, offence):
    offender, other, worker = world.client("offender"), world.client("other"), world.worker(nthreads=4)
    offender.submit("mine")
    offender.submit("ours")
    other.submit("ours")
    offence(offender)
    assert world.put_out == ["offender"]
    assert offender.reason
    world.put_out.clear()
    assert worker.news() == ["run mine", "run ours", "drop mine"]
    worker.finish("ours")
    assert other.news() == ["finished ours"]
    assert offender.news() == []
    assert len(world.machine.books.clients) == 2


def test_what_a_message_did_before_its_offence_is_undone(world):
    offender, worker = world.client("offender"), world.worker()
    with world.one_turn():
        good = offender.item("good")
        bad = offender.item("bad", [99])
        offender.submit_items([good, bad])
    assert world.put_out == ["offender"]
    world.put_out.clear()
    assert worker.news() in ([], ["run good", "drop good"])
    assert world.empty()


def test_a_peer_that_was_put_out_is_not_heard_any_more(world):
    offender, worker = world.client("offender"), world.worker()
    offender.release(99)
    offender.submit("a")
    world.lost(offender)
    assert world.put_out == ["offender"]
    world.put_out.clear()
    assert worker.news() == []
    assert world.empty()


WORKERS: dict[str, Callable[[Worker, int, int], Done]] = {
    "finished, another's task": lambda w, id, run: Done((w.result("a")._replace(id=id, run=run),), (), (), (), (), 0),
    "returned, another's task": lambda w, id, run: Done((), (), ((id, run),), (), (), 0),
    "missing, another's task": lambda w, id, run: Done((), (), (), ((id, run, ()),), (), 0),
    "erred, another's task": lambda w, id, run: Done((), ((id, run, (1, None, "b", "", 1, "")),), (), (), (), 0),
    "an attempt that never was": lambda w, id, run: Done((), (), ((w.tasks["a"].id, 7),), (), (), 0),
    "an error that no task has": lambda w, id, run: Done(
        (), ((w.tasks["a"].id, 1, (4, None, "a", "", 1, "")),), (), (), (), 0
    ),
}


@pytest.mark.parametrize("report", WORKERS.values(), ids=WORKERS.keys())
def test_a_worker_that_reports_what_it_cannot_know_is_put_out_and_blamed_for_nothing(world, report):
    client, offender, other = world.client(), world.worker("offender"), world.worker("other")
    client.submit("a")
    client.submit("b")
    item = other.tasks["b"]
    offender.say(report(offender, item.id, item.run))
    assert world.put_out == ["offender"]
    world.put_out.clear()
    assert offender.news() == ["run a"]
    assert other.news() == ["run b", "run a"]
    other.finish("a", "b")
    assert client.news() == ["finished a", "finished b"]


PUBLICATIONS: dict[str, Callable[[Worker], object]] = {
    "a used future": lambda w: w.publish(w.local("x", Stage.FINISHED, fid=1)),
    "a used future, known key": lambda w: w.publish(w.local("mine", Stage.FINISHED, fid=1)),
    "a used future, lineage": lambda w: w.publish(w.local("mine", Stage.LINEAGE, fid=1)),
    "a future twice": lambda w: w.publish(w.local("x", Stage.FINISHED, fid=9), w.local("y", Stage.FINISHED, fid=9)),
    "lineage twice": lambda w: w.say(
        Publish((), (w.local("x", Stage.LINEAGE, fid=9), w.local("y", Stage.LINEAGE, fid=9)))
    ),
    "lineage and a future": lambda w: w.say(
        Publish((), (w.local("x", Stage.LINEAGE, fid=9), w.local("y", Stage.FINISHED, fid=9)))
    ),
    "an unknown input": lambda w: w.publish(w.local("x", Stage.FINISHED, [99])),
    "itself as an input": lambda w: w.publish(w.local("x", Stage.FINISHED, [99], fid=99)),
    "an unknown input of lineage": lambda w: w.publish(w.local("x", Stage.LINEAGE, [99])),
    "an unknown pin": lambda w: w.publish(w.local("x", Stage.RUNNING, pins=[99])),
    "an unknown function": lambda w: w.say(Publish((), (w.local("x", Stage.RUNNING, fn=b"unknown!"),))),
    "a failure without an error": lambda w: w.publish(w.local("x", Stage.FAILED)._replace(error=())),
    "an error of a value": lambda w: w.publish(
        w.local("x", Stage.FINISHED)._replace(error=w.local("y", Stage.FAILED).error)
    ),
    "a failure with a value": lambda w: w.publish(w.local("x", Stage.FAILED)._replace(frames=(b"",))),
    "lineage with pins of a value": lambda w: w.publish(w.local("x", Stage.LINEAGE)._replace(value_pins=("mine",))),
}


@pytest.mark.parametrize("offence", PUBLICATIONS.values(), ids=PUBLICATIONS.keys())
def test_a_worker_that_publishes_against_the_rules_is_put_out_alone(world, offence):
    client, offender, other = world.client(), world.worker("offender"), world.worker("other")
    world.machine.congested(offender.number, True, world.now)
    offender.submit("mine")
    client.submit("ours")
    offence(offender)
    assert world.put_out == ["offender"]
    world.put_out.clear()
    assert other.news() == ["run mine", "run ours", "drop mine"]
    other.finish("ours")
    assert client.news() == ["finished ours"]
    assert offender.news() == []
    assert world.machine.books.core.n_tasks == 1


OUT_OF_RANGE = [("stage", 0), ("stage", 5), ("nbytes", -1)]


@pytest.mark.parametrize(("field", "number"), OUT_OF_RANGE)
def test_a_publication_with_a_number_out_of_range_is_an_offence(world, field, number):
    worker = world.worker()  # over a channel without bytes no codec has looked at it
    worker.submit("x")
    item = worker.local("y", Stage.FINISHED)._replace(**{field: number})
    world.machine.receive(worker.number, Publish((), (item,)), world.now)
    world.settle()
    assert world.put_out == ["w"]
    world.put_out.clear()
    assert worker.news() == ["run x"]


def test_what_was_published_before_the_offence_goes_with_the_worker(world):
    client, offender = world.client(), world.worker("offender")
    with world.one_turn():
        a, b = offender.local("a", Stage.LINEAGE), offender.local("b", Stage.RUNNING)
        offender.publish(a, b, offender.local("c", Stage.FINISHED, [a.fid]), offender.local("d", Stage.FINISHED, [77]))
        client.want("c")
    assert world.put_out == ["offender"]
    world.put_out.clear()
    assert offender.news() == []
    assert client.news() == ["erred c CANCELLED"]


def test_a_number_beyond_the_cores_is_an_offence(world):
    client = world.client()  # over a channel without bytes no codec has looked at it
    world.machine.receive(
        client.number, Submit((FunctionItem(FN, (b"",)),), (client.item("x", priority=2**63),)), world.now
    )
    world.settle()
    assert world.put_out == ["c"]
    world.put_out.clear()


def test_a_pulse_is_a_sign_of_life_only(world):
    client, worker = world.client(), world.worker()
    client.say(Pulse(1))
    worker.say(Pulse(2))
    assert world.put_out == []


def test_reports_about_forgotten_tasks_are_no_offence(world):
    client, worker = world.client(), world.worker()
    fid = client.submit("a")
    result = worker.result("a")
    client.release(fid)
    worker.done(returned=[(result.id, result.run)])
    worker.done(finished=[result])
    worker.done(replicas=[(result.id, 5)])
    assert worker.news() == ["run a", "drop a", "free a", "free a"]
    assert FN in worker.functions
