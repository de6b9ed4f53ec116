"""The nest of a worker: children that run, leave, are published and adopted, and what is left of them."""

import pytest

from fastsched.wire.messages import (
    Adopt,
    Cancel,
    Claim,
    Drop,
    ErrorItem,
    ErrorKind,
    Free,
    FunctionItem,
    InputItem,
    Keep,
    LocalItem,
    Publish,
    Release,
    Report,
    ResultItem,
    Run,
    RunItem,
    Seek,
    Sought,
    Stage,
    Submit,
    TaskItem,
    Want,
    WantItem,
)
from fastsched.wire.runs import as_items
from fastsched.worker.jobs import Brood
from fastsched.worker.lineage import awaited_by
from fastsched.worker.nest import MOST_CLAIMED
from fastsched.worker.store import Value
from tests.machines.helpers.worker_bench import FN, FUNCTION, Bench, task_id

VALUE = Value((b"value",), "bytes")
BOOM = ErrorItem(ErrorKind.TASK, (b"exception",), "key", "w", 1, "boom")


class NestBench(Bench):
    """A machine with one task that runs, and the client inside it. `sent_up`: what the nest told the scheduler."""

    def __init__(self, **limits):
        super().__init__(**limits)
        self.nest = self.machine.nest
        self.brood = Brood()
        self.run(1)
        self.parent = self.take_job()
        self.take_done()

    def submit(self, fid, key, inputs=(), pins=(), retries=0, brood=None, args=b"args"):
        item = TaskItem(fid, key, FN, (args,), tuple(inputs), tuple(pins), 0, retries, task_id(1))
        self.take(Submit((FunctionItem(*FUNCTION),), (item,)), brood=brood)

    def take(self, *messages, brood=None):
        self.nest.take([item for message in messages for item in as_items(message)], brood or self.brood)
        self.machine.check()

    def claim(self, *fids):
        child = self.nest.claim(self.nest.children(fids))
        self.machine.check()
        return child

    def awaited(self):
        return awaited_by(self.brood, self.nest.everybody().publics.values())

    def end(self, child, value=VALUE, pins=()):
        self.machine.child_finished(child, value, 5, pins)
        self.machine.check()

    def raise_(self, child):
        self.machine.child_failed(child, BOOM)
        self.machine.check()

    def told(self):
        """What the scheduler hears, in order."""
        messages = self.machine.reports()
        self.machine.check()
        return messages

    def items(self, kind):
        """Submitted or published items, by key, and in order."""
        return {item.key: item for message in self.told() if isinstance(message, kind) for item in message[1]}

    def adopt(self, item, n, run):
        self.machine.receive(0, Adopt(((item.fid, task_id(n), run),)), 0.0)
        self.machine.check()

    def order(self, n, key, inputs=(), args=b"args"):
        item = RunItem(task_id(n), 1, key, FN, (args,), inputs, 0, 0)
        self.machine.receive(0, Run((FUNCTION,), (item,)), 0.0)
        self.machine.check()

    def outcomes(self):
        """Of attempts, as the scheduler hears them."""
        found = {}
        for message in self.told():
            for item in getattr(message, "finished", ()):
                found[item.id, item.run] = item.type_name
            for item in getattr(message, "erred", ()):
                found[item.id, item.run] = item.error.text
        return found


# -- handing over ------------------------------------------------------------------------------------------------------


def test_for_the_first_of_several_only_what_is_known_to_be_short_is_claimed():
    bench = NestBench()
    bench.submit(1, "a")
    bench.submit(2, "b", [1])
    bench.submit(3, "c")
    stack = bench.nest.children([2, 3])
    assert bench.nest.claim(stack, True) is None
    assert stack == []
    assert list(bench.items(Submit)) == ["a", "b", "c"]
    bench.submit(4, "d")
    child = bench.claim(4)
    child.function.note(5.0)
    bench.end(child)
    bench.submit(5, "e")
    assert bench.nest.claim(bench.nest.children([5]), True).key == "e"


def test_what_leaves_names_its_inputs_also_once_their_futures_are_released():
    bench = NestBench()
    bench.submit(1, "a")
    bench.submit(2, "b", [1])
    bench.take(Release((1,)))
    bench.nest.give_up(bench.brood)
    items = bench.items(Submit)
    assert items["b"].dependencies == (items["a"].fid,)


def test_what_leaves_leaves_once_whoever_needs_it():
    bench = NestBench()
    bench.submit(1, "a")
    bench.submit(2, "b", [1])
    bench.submit(3, "sum", [1, 2])
    bench.take(Release((1, 2)))
    bench.nest.hand_over([3])
    submitted = [item.key for message in bench.told() if isinstance(message, Submit) for item in message.tasks]
    assert submitted == ["a", "b", "sum"]


def test_a_thread_does_not_look_for_ever_for_what_can_begin():
    bench = NestBench()
    bench.submit(1, "a")
    bench.submit(2, "b", [1])
    bench.submit(3, "c", [2])
    bench.claim(1)
    assert bench.claim(3) is None


# -- published while it runs -------------------------------------------------------------------------------------------


def published_while_it_runs(bench, retries=0):
    """A running child whose future goes with a task that leaves, so that nobody here wants it any more."""
    bench.submit(1, "a", retries=retries)
    child = bench.claim(1)
    bench.submit(2, "b", [], [1])
    bench.nest.hand_over([2])
    bench.take(Release((1, 2)))
    items = bench.items(Publish)
    assert items["a"].stage == Stage.RUNNING
    return child, items["a"]


@pytest.mark.parametrize("when", ["before it ends", "after it has ended"])
def test_the_outcome_of_a_published_child_is_reported_though_nobody_here_wants_it(when):
    bench = NestBench()
    child, item = published_while_it_runs(bench)
    if when == "before it ends":
        bench.adopt(item, 7, 1)
        bench.end(child)
    else:
        bench.end(child)
        bench.adopt(item, 7, 1)
    assert bench.outcomes() == {(task_id(7), 1): "bytes"}
    assert bench.machine.frames_of(task_id(7)) == (b"value",)
    bench.free(7)
    assert bench.machine.frames_of(task_id(7)) is None
    assert bench.nest.n_children == 0


@pytest.mark.parametrize("retries", [0, 2])
@pytest.mark.parametrize("when", ["before it ends", "after it has ended"])
def test_the_failure_of_a_published_child_is_reported_and_to_try_again_is_the_schedulers_business(when, retries):
    bench = NestBench()
    child, item = published_while_it_runs(bench, retries)
    if when == "before it ends":
        bench.adopt(item, 7, 1)
        bench.raise_(child)
    else:
        bench.raise_(child)
        bench.adopt(item, 7, 1)
    assert bench.outcomes() == {(task_id(7), 1): "boom"}
    assert not bench.nest.waits()


def test_what_waits_for_a_published_child_that_failed_waits_elsewhere_too():
    bench = NestBench()
    bench.submit(1, "a", retries=2)
    child = bench.claim(1)
    bench.submit(2, "b", [1])
    bench.take(Keep((1,)))
    bench.raise_(child)
    assert "b" in bench.items(Submit)


# -- orders for tasks that are children here ---------------------------------------------------------------------------


def test_an_order_for_a_child_that_runs_holds_no_slot_and_is_answered_by_it():
    bench = NestBench()
    bench.submit(1, "a")
    child = bench.claim(1)
    bench.order(9, "a")
    assert bench.machine.lent == 1
    bench.end(child)
    assert bench.machine.lent == 0
    assert bench.outcomes() == {(task_id(9), 1): "bytes"}
    assert bench.started == []


def test_an_order_is_answered_by_a_child_that_was_cancelled_here():
    bench = NestBench()
    bench.submit(1, "a")
    child = bench.claim(1)
    bench.order(9, "a")
    bench.take(Cancel((1,), ""))
    bench.end(child)
    assert bench.outcomes() == {(task_id(9), 1): "bytes"}


@pytest.mark.parametrize("when", ["before it ends", "after it has ended"])
def test_a_dropped_order_leaves_nothing_behind(when):
    bench = NestBench()
    bench.submit(1, "a")
    child = bench.claim(1)
    bench.order(9, "a")
    if when == "before it ends":
        bench.machine.receive(0, Drop(((task_id(9), 1),)), 0.0)
        bench.end(child)
    else:
        bench.end(child)
        bench.machine.receive(0, Drop(((task_id(9), 1),)), 0.0)
        bench.machine.receive(0, Free((task_id(9),)), 0.0)  # the answer to the news
    assert bench.machine.lent == 0
    assert bench.machine.frames_of(task_id(9)) is None


def test_a_value_that_was_only_reported_to_the_client_answers_no_order():
    """Nothing is known of the futures inside it."""
    bench = NestBench()
    bench.take(Want((WantItem(1, "a"),)))
    (want,) = [message for message in bench.told() if isinstance(message, Want)]
    bench.nest.translated([Report((ResultItem(want.items[0].fid, "bytes", 5, (b"value",)),), (), ())])
    bench.order(9, "a")
    assert len(bench.machine.queued()) == 1


def test_a_task_is_submitted_though_its_key_is_wanted_here_already():
    """Whoever wants it may be told that there is none: it says nothing to who knows how to make it."""
    bench = NestBench()
    bench.take(Want((WantItem(1, "a"),)))
    bench.submit(2, "a")
    assert "a" in bench.items(Submit)


def test_what_waits_for_a_value_that_is_cancelled_ends_with_it():
    bench = NestBench()
    bench.submit(1, "a")
    bench.end(bench.claim(1))
    bench.submit(2, "b", [1])
    bench.submit(3, "c", [1, 2])
    bench.take(Cancel((1,), ""))
    assert not bench.nest.waits()
    bench.take(Release((1, 2, 3)))
    assert bench.nest.n_children == 0


# -- lineage -----------------------------------------------------------------------------------------------------------


def test_a_value_is_published_with_what_it_was_made_from_though_that_is_not_wanted_any_more():
    bench = NestBench()
    bench.take(Want((WantItem(1, "w"),)))
    (want,) = [message for message in bench.told() if isinstance(message, Want)]
    bench.submit(2, "a", [], [1])
    bench.end(bench.claim(2))
    bench.take(Release((1,)))
    assert bench.told() == []
    bench.nest.share_keys(["a"])
    item = bench.items(Publish)["a"]
    assert (item.stage, item.pins) == (Stage.FINISHED, (want.items[0].fid,))
    assert isinstance(item, LocalItem)
    bench.adopt(item, 7, 0)
    bench.take(Release((2,)))
    assert bench.nest.n_children == 0


def test_a_failed_child_is_published_without_lineage():
    bench = NestBench()
    bench.submit(1, "a")
    bench.end(bench.claim(1))
    bench.submit(2, "b", [1])
    bench.raise_(bench.claim(2))
    bench.nest.share_keys(["b"])
    items = bench.items(Publish)
    assert list(items) == ["b"]
    assert (items["b"].stage, items["b"].dependencies) == (Stage.FAILED, ())


# -- threads that are stuck --------------------------------------------------------------------------------------------


def handed_over(bench, *keys):
    """Children that have left, by key with their public fids."""
    for fid, key in enumerate(keys, 1):
        bench.submit(fid, key)
    bench.nest.give_up(bench.brood)
    return {key: item.fid for key, item in bench.items(Submit).items()}


def claimed(bench):
    """What the scheduler is asked for."""
    return [fid for message in bench.told() if isinstance(message, Claim) for fid in message.fids]


def test_a_thread_that_is_stuck_claims_its_children_that_were_handed_over():
    bench = NestBench()
    fids = handed_over(bench, "a", "b")
    assert bench.nest.claim_away(bench.brood)
    assert claimed(bench) == [fids["a"], fids["b"]]


def test_the_children_of_another_thread_are_not_claimed():
    bench = NestBench()
    handed_over(bench, "a")
    assert not bench.nest.claim_away(Brood())
    assert claimed(bench) == []


def test_what_is_here_or_done_elsewhere_or_ordered_already_is_not_claimed():
    bench = NestBench()
    fids = handed_over(bench, "done", "ordered", "away")
    bench.submit(4, "here")
    bench.nest.translated([Report((ResultItem(fids["done"], "bytes", 5, None),), (), ())])
    bench.order(9, "ordered")
    assert bench.nest.claim_away(bench.brood)
    assert claimed(bench) == [fids["away"]]


def test_a_thread_does_not_claim_everything_at_once():
    bench = NestBench()
    handed_over(bench, *[f"child {n}" for n in range(20)])
    assert bench.nest.claim_away(bench.brood)
    assert len(claimed(bench)) == MOST_CLAIMED


def test_an_order_that_waits_for_the_slot_starts_without_one_if_the_thread_of_its_parent_is_stuck():
    bench = NestBench()
    handed_over(bench, "a")
    bench.order(9, "a")
    assert bench.machine.starts() == []
    assert not bench.machine.claim(Brood()), "it is no child of that thread"
    assert bench.machine.claim(bench.brood)
    bench.machine.check()
    (start,) = bench.machine.starts()
    assert (start.job.key, start.job.id) == ("a", task_id(9))
    assert bench.machine.overdrawn == 1
    assert not bench.machine.claim(bench.brood), "it runs"
    bench.finish(start.job)
    assert bench.take_done().finished[0].id == task_id(9)


def test_a_claimed_task_that_is_dropped_takes_no_slot_beyond_those_that_there_are():
    """The scheduler puts out who says so."""
    bench = NestBench()
    handed_over(bench, "a")
    bench.order(9, "a")
    assert bench.machine.claim(bench.brood)
    bench.step()
    bench.drop(9)
    bench.drop(1)
    assert bench.take_done().lent == -1
    bench.finish(bench.started[-1])
    assert bench.machine.lent == -1, "the slot of the parent, which runs on"


def test_what_a_child_waits_for_is_claimed_also_if_its_future_was_released():
    bench = NestBench()
    bench.submit(1, "first")
    bench.submit(2, "second", [1])
    bench.submit(3, "third", [2])
    bench.take(Release((1, 2)))
    bench.nest.give_up(bench.brood)
    assert bench.awaited() == {"first", "second", "third"}
    bench.order(9, "first")
    assert bench.machine.claim(bench.brood)
    assert [start.job.key for start in bench.machine.starts()] == ["first"]


def test_what_has_ended_waits_for_nothing():
    bench = NestBench()
    bench.submit(1, "a")
    bench.submit(2, "b", [1])
    bench.submit(3, "c", [2])
    bench.nest.give_up(bench.brood)
    b = bench.items(Submit)["b"]
    assert bench.awaited() == {"a", "b", "c"}
    bench.nest.translated([Report((ResultItem(b.fid, "bytes", 5, (b"value",)),), (), ())])
    bench.take(Release((1,)))
    assert bench.awaited() == {"b", "c"}


def test_the_more_was_claimed_and_runs_the_longer_nothing_must_have_moved():
    bench = NestBench()
    handed_over(bench, "a", "b")
    bench.order(8, "a")
    bench.order(9, "b")
    assert not bench.machine.is_stuck(bench.brood, 0.05)
    assert bench.machine.is_stuck(bench.brood, 0.1)
    assert bench.machine.claim(bench.brood)
    (start,) = bench.machine.starts()
    assert not bench.machine.is_stuck(bench.brood, 0.3)
    assert bench.machine.is_stuck(bench.brood, 0.4)
    bench.finish(start.job)
    assert bench.machine.is_stuck(bench.brood, 0.1)


def test_an_order_that_waits_for_its_inputs_is_not_claimed():
    bench = NestBench()
    handed_over(bench, "a")
    bench.order(9, "a", (InputItem(task_id(8), "input", 5, None, ("tcp://elsewhere",)),))
    assert not bench.machine.claim(bench.brood)
    bench.machine.check()


def test_nothing_else_starts_in_the_slot_of_a_job_that_was_claimed():
    bench = NestBench()
    handed_over(bench, "a")
    bench.order(9, "a")
    assert bench.machine.claim(bench.brood)
    (start,) = bench.machine.starts()
    bench.run(10)
    assert bench.take_started() == []
    bench.finish(start.job)
    assert bench.take_started() == []
    bench.finish(bench.parent)
    assert bench.take_started() == ["key-10"]


# -- one key, several calls --------------------------------------------------------------------------------------------


def warm_child(bench, fid=1):
    """A child that has ended, and that nobody wants any more."""
    bench.submit(fid, "named")
    bench.end(bench.claim(fid))
    bench.take(Release((fid,)))


def test_a_value_that_nobody_wants_any_more_serves_the_same_call_again():
    bench = NestBench()
    warm_child(bench)
    bench.nest.ends()
    bench.submit(2, "named")
    finished, _ = bench.nest.ends()
    assert [item.fid for item in finished] == [2]
    assert bench.claim(2) is None


def test_it_does_not_serve_another_call_of_that_key():
    bench = NestBench()
    warm_child(bench)
    bench.nest.ends()
    bench.submit(2, "named", args=b"other args")
    assert bench.nest.ends() == ([], [])
    assert bench.claim(2).args == (b"other args",)


@pytest.mark.parametrize(("args", "outcomes"), [(b"args", {(task_id(7), 1): "bytes"}), (b"other args", {})])
def test_nor_an_order_of_the_scheduler_for_another_call(args, outcomes):
    bench = NestBench()
    warm_child(bench)
    bench.order(7, "named", args=args)
    assert bench.outcomes() == outcomes


def test_an_order_that_has_ended_serves_the_same_call_and_no_other_of_its_key():
    bench = NestBench(nthreads=2)
    bench.receive(Run((FUNCTION,), (RunItem(task_id(7), 1, "named", FN, (b"args",), (), 0, 0),)))
    bench.machine.finished(bench.take_job(), VALUE, 5, ())
    bench.submit(2, "named")
    finished, _ = bench.nest.ends()
    assert [item.fid for item in finished] == [2]
    bench.take(Release((2,)))
    bench.submit(3, "named", args=b"other args")
    assert bench.nest.ends() == ([], [])


# -- keys that others want ---------------------------------------------------------------------------------------------


def sought(bench, *keys):
    """What the scheduler hears when it asks for these: the kinds of messages, in order."""
    assert bench.told() == []
    items = tuple((100 + index, key) for index, key in enumerate(keys))
    bench.machine.receive(0, Seek(items), 0.0)
    bench.machine.check()
    told = bench.told()
    assert told[-1] == Sought(tuple(number for number, _ in items))
    return told[:-1]


def test_a_key_that_is_no_childs_is_answered_alone():
    bench = NestBench()
    assert sought(bench, "a", "b") == []


@pytest.mark.parametrize("waits", [False, True])
def test_a_child_that_has_not_begun_is_submitted_when_its_key_is_sought(waits):
    bench = NestBench()
    bench.submit(1, "source")
    bench.submit(2, "a", [1] if waits else [])
    (message,) = sought(bench, "a")
    assert [item.key for item in message.tasks] == (["source", "a"] if waits else ["a"])


@pytest.mark.parametrize("stage", [Stage.RUNNING, Stage.FINISHED, Stage.FAILED])
def test_a_child_that_has_begun_is_published_when_its_key_is_sought(stage):
    bench = NestBench()
    bench.submit(1, "a")
    child = bench.claim(1)
    if stage == Stage.FINISHED:
        bench.end(child)
    elif stage == Stage.FAILED:
        bench.raise_(child)
    (message,) = sought(bench, "a")
    assert [(item.key, item.stage) for item in message.items] == [("a", stage)]


def test_a_value_that_nobody_wants_any_more_is_not_found():
    """It serves equal calls for a moment, but its key is free for other tasks."""
    bench = NestBench()
    bench.submit(1, "a")
    bench.end(bench.claim(1))
    bench.take(Release((1,)))
    assert bench.nest.n_children == 1
    assert sought(bench, "a") == []


def test_what_the_scheduler_knows_already_is_told_once():
    bench = NestBench()
    bench.submit(1, "away")
    bench.submit(2, "published")
    bench.submit(3, "cancelled")
    bench.nest.hand_over([1])
    bench.claim(2)
    bench.nest.share_keys(["published"])
    bench.take(Cancel((3,), ""), Want((WantItem(4, "named"),)))
    bench.told()
    assert sought(bench, "away", "published", "cancelled", "named") == []


def test_a_child_that_is_handed_over_twice_at_once_leaves_once():
    bench = NestBench()
    bench.submit(1, "a")
    (message,) = sought(bench, "a", "a")
    assert [item.key for item in message.tasks] == ["a"]
