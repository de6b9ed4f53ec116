"""What ends in a worker when the scheduler drops a task that runs there."""

from fastsched._wait import Waiter
from fastsched.wire.messages import Cancel, Done, Drop, Keep, Release, Submit, Want
from fastsched.worker.context import CurrentTask, Place
from fastsched.worker.desk import Desk
from fastsched.worker.drops import end_unwanted
from fastsched.worker.jobs import Brood
from tests.machines.helpers.frames import without_frames
from tests.machines.helpers.worker_bench import task_id
from tests.machines.test_worker_nest import NestBench


class Threads(NestBench):
    """The thread of one task, which may run children inside."""

    def __init__(self, **limits):
        super().__init__(**limits)
        self.desk = Desk(self.parent)
        self.desk.place = Place(None)
        self.desk.brood = self.brood
        self.desk.place.task = CurrentTask(self.parent, None, self.desk, self.parent, None)

    def enter(self, fid):
        """The thread runs this child inside."""
        child = self.claim(fid)
        self.desk.place.task = CurrentTask(child, None, self.desk, self.parent, self.desk.place.task)
        return child

    def drop(self, n=1, attempt=1):
        self.machine.receive(0, Drop(((task_id(n), attempt),)), 0.0)
        self.look()

    def look(self):
        assert self.nest.everybody().shaken
        without_frames(end_unwanted, [self.desk], self.nest.everybody())
        self.machine.check()

    def told(self):
        return [message for message in super().told() if not isinstance(message, Done)]

    def cancelled(self):
        """Futures that the client hears are cancelled."""
        _, erred = self.nest.ends()
        return sorted(fid for fid, _ in erred)

    def released(self, told=None):
        return [fid for message in told or self.told() if isinstance(message, Release) for fid in message.fids]


def test_what_has_not_begun_ends_with_its_parent():
    bench = Threads()
    bench.submit(1, "a")
    bench.submit(2, "b", [1])
    bench.submit(3, "c", [], [2])
    bench.drop()
    assert bench.parent.dropped
    assert bench.cancelled() == [1, 2, 3]
    assert not bench.nest.waits()
    assert bench.told() == []
    bench.take(Release((1, 2, 3)))
    assert bench.nest.n_children == 0


def test_a_key_of_what_has_ended_so_is_free():
    bench = Threads()
    bench.submit(1, "a")
    bench.drop()
    bench.submit(2, "a", brood=Brood())
    assert bench.claim(2).key == "a"


def test_the_scheduler_hears_that_what_was_handed_over_is_not_wanted_any_more():
    bench = Threads()
    bench.submit(1, "a")
    bench.nest.give_up(bench.brood)
    (public,) = [item.fid for item in bench.items(Submit).values()]
    bench.drop()
    assert bench.released() == [public]
    bench.take(Release((1,)))
    assert bench.told() == []  # once is enough
    assert bench.nest.n_children == 0


def test_what_has_a_value_keeps_it():
    bench = Threads()
    bench.submit(1, "a")
    bench.end(bench.claim(1))
    bench.nest.ends()
    bench.drop()
    assert bench.cancelled() == []


def test_what_is_to_be_kept_is_the_schedulers():
    bench = Threads()
    bench.submit(1, "a")
    bench.take(Keep((1,)))
    kinds = [type(message) for message in bench.told()]
    assert kinds == [Submit, Keep]  # and so the release that follows harms nobody
    bench.drop()
    assert len(bench.released()) == 1


def test_children_of_other_threads_stay():
    bench = Threads()
    bench.submit(1, "a", brood=Brood())
    bench.drop()
    assert bench.cancelled() == []
    assert bench.claim(1) is not None


def test_children_that_other_threads_have_launched_too_stay():
    bench = Threads()
    bench.submit(1, "a")
    bench.submit(2, "a", brood=Brood())
    bench.drop()
    assert bench.cancelled() == []


def test_children_whose_value_other_threads_need_stay():
    bench = Threads()
    bench.submit(1, "a")
    bench.submit(2, "b", [1], brood=Brood())
    bench.drop()
    assert bench.cancelled() == []
    assert bench.claim(2).key == "a"


def test_a_child_that_runs_inside_ends_with_its_parent():
    bench = Threads()
    bench.submit(1, "a")
    child = bench.enter(1)
    bench.submit(2, "b")
    grandchild = bench.enter(2)
    bench.drop()
    assert child.dropped
    assert grandchild.dropped
    assert bench.cancelled() == [1, 2]
    bench.raise_(grandchild)
    bench.raise_(child)
    bench.take(Release((1, 2)))
    assert bench.nest.n_children == 0


def test_a_child_that_others_want_goes_on_and_what_it_has_launched_stays():
    bench = Threads()
    bench.submit(1, "a")
    child = bench.enter(1)
    bench.submit(2, "b")
    bench.submit(3, "a", brood=Brood())
    bench.drop()
    assert bench.parent.dropped
    assert not child.dropped
    assert bench.cancelled() == []
    assert bench.claim(2) is not None


def test_who_launches_anew_what_runs_in_vain_around_a_child_that_others_want_does_not_join_it():
    bench = Threads()
    bench.submit(1, "a")
    child = bench.enter(1)
    bench.submit(2, "b", [1])  # waits for it, and another one for that
    bench.submit(3, "c", [2])
    bench.submit(4, "d")
    grandchild = bench.enter(4)
    bench.submit(5, "d", brood=Brood())
    bench.drop()
    assert child.dropped
    assert not grandchild.dropped
    assert bench.cancelled() == [1, 2, 3]
    bench.submit(6, "a", brood=Brood())
    bench.submit(7, "c", [6], brood=Brood())
    assert bench.claim(7).key == "a"
    bench.end(grandchild)
    bench.raise_(child)
    assert bench.cancelled() == []
    bench.take(Release((1, 2, 3)))
    assert bench.nest.n_children == 3


def test_a_child_that_runs_as_the_input_of_one_that_goes_ends_too():
    bench = Threads()
    bench.submit(1, "a")
    bench.submit(2, "b", [1])
    bench.submit(3, "c", [1, 2])
    child = bench.enter(3)
    assert child.key == "a"
    bench.drop()
    assert child.dropped
    assert bench.cancelled() == [1, 2, 3]


def test_a_child_that_is_an_input_elsewhere_goes_on():
    bench = Threads()
    bench.submit(1, "a")
    bench.submit(2, "b", [1])
    bench.submit(3, "c", [2], brood=Brood())
    child = bench.enter(2)
    assert child.key == "a"
    bench.drop()
    assert not child.dropped


def test_whether_others_want_what_was_published_the_scheduler_knows():
    bench = Threads()
    bench.submit(1, "a")
    child = bench.enter(1)
    bench.nest.share_keys(["a"])
    (item,) = [item for message in bench.told() for item in message[1]]
    bench.adopt(item, 7, 1)
    bench.drop()
    assert not child.dropped
    assert bench.released() == [item.fid]
    bench.drop(7)
    assert child.dropped
    assert bench.cancelled() == [1]
    assert bench.machine.lent == -1  # the slot of the parent; that of the child was never one


def test_a_parent_that_is_dropped_before_its_child_is_adopted_lets_go_of_it_then():
    bench = Threads()
    bench.submit(1, "a")
    child = bench.enter(1)
    bench.nest.share_keys(["a"])
    (item,) = [item for message in bench.told() for item in message[1]]
    bench.drop()
    assert not child.dropped
    bench.adopt(item, 7, 1)
    bench.look()
    assert bench.released() == [item.fid]


def test_who_waits_is_let_go():
    bench = Threads()
    waiter = bench.desk.blocked = Waiter()
    bench.drop()
    assert waiter.over


def test_who_waits_in_a_child_that_others_want_waits_on():
    bench = Threads()
    bench.submit(1, "a")
    bench.enter(1)
    bench.submit(2, "a", brood=Brood())
    waiter = bench.desk.blocked = Waiter()
    bench.drop()
    assert not waiter.over


def test_a_child_that_is_cancelled_ends_and_its_parent_goes_on():
    bench = Threads()
    bench.submit(1, "a")
    child = bench.enter(1)
    bench.submit(2, "b")
    grandchild = bench.enter(2)
    bench.take(Cancel((1,), ""))
    bench.look()
    assert child.dropped
    assert grandchild.dropped
    assert not bench.parent.dropped


def test_a_child_that_is_released_while_it_runs_ends():
    bench = Threads()
    bench.submit(1, "a")
    child = bench.enter(1)
    bench.take(Release((1,)))
    bench.look()
    assert child.dropped


def test_cancelling_a_child_that_runs_reaches_the_order_that_joined_it():
    bench = Threads()
    bench.submit(1, "a")
    child = bench.enter(1)
    bench.order(9, "a")
    bench.take(Cancel((1,), "enough"))
    want, cancel = bench.told()[-2:]
    assert isinstance(want, Want)
    assert [item.key for item in want.items] == ["a"]
    assert cancel == Cancel((want.items[0].fid,), "enough")
    bench.drop(9)
    assert child.dropped
    bench.raise_(child)
    bench.take(Release((1,)))
    assert bench.released() == [want.items[0].fid]
    assert bench.nest.n_children == 0
