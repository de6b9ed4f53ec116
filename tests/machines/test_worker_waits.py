"""What a worker tells of threads that have waited for long, and what it does with the answer."""

from fastsched._wait import Waiter
from fastsched.wire.messages import Circle, LocalItem, Publish, Release, Submit, Waiting
from fastsched.worker.jobs import Brood
from fastsched.worker.waits import MOST_TOLD, Waits
from tests.machines.helpers.frames import without_frames
from tests.machines.helpers.worker_bench import task_id
from tests.machines.test_worker_drops import Threads


class Patient(Threads):
    """A thread that waits."""

    def __init__(self, **limits):
        super().__init__(**limits)
        self.waits = Waits(self.nest.everybody())
        self.waiter = self.desk.blocked = Waiter()

    def tell(self, *fids, first=False):
        due = without_frames(self.waits.tell, self.desk.place.task, list(fids), first)
        self.machine.check()
        return due

    def over(self):
        return without_frames(self.waits.over, self.desk)

    def reports(self):
        return [message for message in self.told() if isinstance(message, Waiting)]

    def away(self, fid, key):
        """A child that was handed over; its public fid."""
        self.submit(fid, key)
        self.nest.hand_over([fid])
        (item,) = self.items(Submit).values()
        return item.fid


def test_a_wait_names_the_attempt_and_what_it_is_for():
    bench = Patient()
    public = bench.away(1, "a")
    assert not bench.tell(1)
    assert bench.reports() == [Waiting(1, ((task_id(1), 1),), (public,), False)]


def test_the_same_is_told_once():
    bench = Patient()
    publics = bench.away(1, "a"), bench.away(2, "b")
    bench.tell(1, 2, first=True)
    assert bench.reports() == [Waiting(1, ((task_id(1), 1),), publics, True)]
    bench.tell(1, 2, first=True)
    assert bench.reports() == []


def test_that_less_is_waited_for_is_not_told():
    bench = Patient()
    bench.away(1, "a")
    bench.away(2, "b")
    bench.tell(1, 2)
    bench.reports()
    bench.tell(1)
    assert bench.reports() == []


def test_the_children_of_a_thread_are_told_once_the_scheduler_has_ids_for_them():
    bench = Patient()
    bench.submit(1, "a")
    bench.enter(1)
    bench.away(2, "b")
    assert bench.tell(2)
    told = bench.told()
    (item,) = [item for message in told if isinstance(message, Publish) for item in message.items]
    assert [message.attempts for message in told if isinstance(message, Waiting)] == [((task_id(1), 1),)]
    bench.adopt(item, 7, 1)
    assert not bench.tell(2)
    (report,) = bench.reports()
    assert (report.wait, report.attempts) == (1, ((task_id(1), 1), (task_id(7), 1)))


def test_a_child_that_runs_in_another_thread_is_published_for_it():
    bench = Patient()
    bench.submit(1, "a", brood=Brood())
    bench.claim(1)
    bench.tell(1)
    published, report = [message for message in bench.told() if isinstance(message, Publish | Waiting)]
    assert [LocalItem(*item).key for item in published.items] == ["a"]
    assert report.fids == (published.items[0].fid,)


def test_what_has_not_begun_is_submitted_for_it():
    bench = Patient()
    bench.submit(1, "a", brood=Brood())
    bench.tell(1)
    submitted, report = [message for message in bench.told() if isinstance(message, Submit | Waiting)]
    assert report.fids == (submitted.tasks[0].fid,)


def test_what_has_ended_is_not_told():
    bench = Patient()
    bench.submit(1, "a")
    bench.end(bench.claim(1))
    public = bench.away(2, "b")
    bench.tell(1, 2)
    assert [report.fids for report in bench.reports()] == [(public,)]
    bench.over()
    bench.reports()
    bench.tell(1, 2, first=True)  # it will go on
    bench.tell(1)
    bench.tell(99)  # released by another thread
    assert bench.reports() == []


def test_of_a_wait_for_very_many_some_are_told_if_it_is_for_all():
    bench = Patient()
    for fid in range(1, MOST_TOLD + 10):
        bench.submit(fid, f"k{fid}")
    bench.nest.give_up(bench.brood)
    fids = range(1, MOST_TOLD + 10)
    bench.tell(*fids, first=True)
    assert bench.reports() == []
    bench.tell(*fids)
    assert [len(report.fids) for report in bench.reports()] == [MOST_TOLD]


def test_a_task_that_nobody_wants_waits_for_nothing():
    bench = Patient()
    bench.submit(1, "a", brood=Brood())
    bench.drop()
    bench.tell(1)
    assert bench.reports() == []


def test_a_wait_that_is_over_is_withdrawn():
    bench = Patient()
    bench.away(1, "a")
    bench.tell(1)
    bench.reports()
    assert bench.over() == ""
    assert bench.reports() == [Waiting(1, (), (), False)]
    assert bench.over() == ""
    assert bench.reports() == []
    bench.tell(1)
    assert [report.wait for report in bench.reports()] == [2]


def test_a_wait_in_a_circle_fails():
    bench = Patient()
    bench.away(1, "a")
    bench.tell(1)
    bench.reports()
    without_frames(bench.waits.found, Circle(1, ("x", "y", "x")))
    assert bench.waiter.over
    assert bench.over() == "x -> y -> x"
    assert bench.reports() == []  # the scheduler knows
    assert bench.over() == ""


def test_a_wait_that_was_over_when_the_circle_was_found_does_not_fail():
    bench = Patient()
    bench.away(1, "a")
    bench.tell(1)
    bench.waiter.open()
    bench.waits.found(Circle(1, ("x", "x")))
    assert bench.over() == ""


def test_the_circle_of_an_earlier_wait_is_no_news():
    bench = Patient()
    bench.away(1, "a")
    bench.tell(1)
    bench.over()
    bench.tell(1)
    bench.waits.found(Circle(1, ("x", "x")))
    assert not bench.waiter.over
    bench.take(Release((1,)))
