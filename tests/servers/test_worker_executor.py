"""The executor with real threads, without sleeps: what tasks may do to their thread, and who gets which slot."""

from __future__ import annotations

import asyncio
import contextvars
import random
import threading
from collections import defaultdict

import pytest

from fastsched._wait import TurnLock
from fastsched.page import SPARE_SEATS
from fastsched.wire import payload
from fastsched.wire.messages import ErrorKind, FunctionItem, Run, RunItem
from fastsched.worker import context
from fastsched.worker.machine import WorkerMachine
from tests.servers.worker_rig import PATIENCE, rig, task_id

# What tasks and tests share: tasks find it as globals of this module, which pickle sends by reference.
gates: defaultdict[str, threading.Event] = defaultdict(threading.Event)
log: list[object] = []


@pytest.fixture(autouse=True)
def fresh_stage():
    gates.clear()
    log.clear()
    yield
    for gate in gates.values():
        gate.set()


def pass_gate(name):
    assert gates[name].wait(PATIENCE)


# -- what a task may do --------------------------------------------------------------------------------------------


def add(a, b):
    return a + b


def raise_it(error):
    raise error


def raise_new(kind, args):
    raise kind(*args)


def thread_name():
    return threading.current_thread().name


class Unpicklable:
    def __reduce__(self):
        raise ValueError("not me")


class Unprintable(Exception):
    def __str__(self):
        raise ValueError("no words")


class Wayward(Exception):
    """Pickles, but does not unpickle."""

    def __init__(self, a, b):
        super().__init__(f"{a} {b}")


def make_unpicklable():
    return Unpicklable()


def explode():
    raise RuntimeError("while unpickling")


class Mine:
    """Goes off when it is unpickled."""

    def __reduce__(self):
        return explode, ()


async def add_later(a, b):
    await asyncio.to_thread(str)
    return a + b


async def fail_later():
    await asyncio.to_thread(str)
    raise LookupError("later")


def test_a_task_returns_its_value():
    with rig() as world:
        world.submit(add, 1, 2)
        (item,) = world.outcomes(1)
        assert (item.id, item.run, item.type_name, payload.loads(item.frames)) == (task_id(1), 1, "int", 3)
        assert item.micros >= 0


@pytest.mark.parametrize(
    "error", [ValueError("bad"), SystemExit(3), KeyboardInterrupt(), GeneratorExit(), BaseException("base")]
)
def test_whatever_a_task_raises_is_its_own_error_and_the_thread_goes_on(error):
    with rig() as world:
        before = world.call(thread_name)
        world.submit(raise_it, error)
        told = world.error()
        assert (told.kind, told.key, told.worker, told.attempt) == (ErrorKind.TASK, "key-2", "w", 1)
        raised = payload.loads_exception(told.frames)
        assert type(raised) is type(error)
        assert raised.args == error.args
        assert world.call(thread_name) == before


def test_the_traceback_begins_with_the_task():
    with rig() as world:
        world.submit(raise_it, ValueError("bad"))
        text = world.error().text
    assert "in raise_it" in text
    assert "runner.py" not in text


@pytest.mark.parametrize(("kind", "args"), [(Unprintable, ()), (Wayward, (1, 2))])
def test_an_exception_that_cannot_travel_or_speak_is_told_in_words(kind, args):
    with rig() as world:
        world.submit(raise_new, kind, args)
        told = world.error()
        assert told.kind == ErrorKind.TASK
        assert kind.__name__ in told.text


def test_a_result_that_cannot_be_pickled_is_an_error_that_names_its_type_and_the_task():
    with rig() as world:
        world.submit(make_unpicklable)
        told = world.error()
        assert told.kind == ErrorKind.SERIALIZATION
        assert told.frames is None
        for word in ("Unpicklable", "key-1", "'w'", "not me"):
            assert word in told.text
        assert world.call(add, 1, 1) == 2


def test_arguments_that_cannot_be_unpickled_are_an_error_that_names_the_task():
    with rig() as world:
        world.submit(add, Mine(), 1)
        told = world.error()
        assert told.kind == ErrorKind.SERIALIZATION
        for word in ("arguments", "key-1", "while unpickling"):
            assert word in told.text


def test_a_function_that_cannot_be_unpickled_is_an_error_of_each_task():
    with rig() as world:
        frames = payload.dumps(Mine()).frames
        items = tuple(
            RunItem(task_id(n), 1, f"key-{n}", b"mine", payload.dumps_call((), {}, "")[0], (), 0, n) for n in (1, 2)
        )
        world.order(Run((FunctionItem(b"mine", frames),), items))
        for item in world.outcomes(2):
            assert item.error.kind == ErrorKind.SERIALIZATION
            assert "while unpickling" in item.error.text


def test_a_coroutine_function_is_run_to_its_end():
    with rig() as world:
        assert world.call(add_later, 1, 2) == 3
        world.submit(fail_later)
        assert "LookupError: later" in world.error().text


# -- what a task sees ----------------------------------------------------------------------------------------------

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="fresh")


def change_variable():
    before = variable.get()
    variable.set("used")
    return before


async def change_variable_later():
    return change_variable()


def whereami():
    task = context.current()
    return task.id, task.run, task.key, task.order, context.host() is task.host


def test_every_task_has_fresh_context_variables():
    with rig() as world:
        seen = [world.call(fn) for fn in (change_variable, change_variable, change_variable_later, change_variable)]
        assert seen == ["fresh"] * 4


def test_a_task_knows_itself_and_nobody_else_does():
    with rig() as world:
        assert world.call(whereami) == (task_id(1), 1, "key-1", 1, True)
        assert context.current() is None
        assert context.host() is None


def ids_on_page():
    host = context.host()
    seen = [host.page.running()]
    host.secede(context.current())
    seen.append(host.page.running())
    host.rejoin(context.current())
    seen.append(host.page.running())
    return seen


def test_the_page_names_what_executes_and_not_what_has_lent_its_slot():
    with rig() as world:
        assert world.call(ids_on_page) == [[task_id(1)], [], [task_id(1)]]
        assert world.page.running() == []


# -- the value and its report --------------------------------------------------------------------------------------


class FakeFuture:
    """Enough of a future for the payload."""

    __fastsched_future__ = True

    def __init__(self, key):
        self.key = key

    def __reduce__(self):
        payload.note_future(self)
        return FakeFuture, (self.key,)

    def __del__(self):
        log.append(f"released {self.key}")
        gates["released"].set()


def return_future(key):
    return [FakeFuture(key)]


class LoggingMachine(WorkerMachine):
    def finished(self, *args):
        log.append("reported")
        super().finished(*args)


def test_futures_inside_a_result_are_named_in_the_report_and_released_after_it():
    with rig(machine=LoggingMachine) as world:
        flush_client = world.flush_client
        world.flush_client = lambda: log.append("flushed") or flush_client()
        world.submit(return_future, "inc-1")
        (item,) = world.outcomes(1)
        assert item.pins == ("inc-1",)
        pass_gate("released")
        assert log == ["flushed", "reported", "released inc-1"]


def test_news_is_sent_before_a_task_that_may_take_long():
    with rig(gathers=False) as world:
        world.submit(pass_gate, "first")
        world.submit(child, "second", "second runs")
        gates["first"].set()
        pass_gate("second runs")
        (item,) = world.outcomes(1)
        assert item.id == task_id(1)
        gates["second"].set()
        world.outcomes(1)


# -- threads and slots ---------------------------------------------------------------------------------------------


def parent(child_gate):
    task = context.current()
    task.host.secede(task)
    pass_gate(child_gate)
    task.host.rejoin(task)
    log.append("parent goes on")


def child(own_gate, parents_gate):
    gates[parents_gate].set()
    pass_gate(own_gate)
    log.append("child ends")


def test_a_child_runs_in_the_only_slot_and_the_parent_waits_for_it_to_be_free():
    with rig() as world:
        world.submit(parent, "child runs")
        world.submit(child, "may end", "child runs")
        gates["may end"].set()
        world.outcomes(2)
        assert log == ["child ends", "parent goes on"]
        assert world.lent[-1] == 0


def secede_and_rejoin(seed):
    rng = random.Random(seed)
    task = context.current()
    enter()
    for _ in range(rng.randrange(4)):
        leave()
        task.host.secede(task)
        task.host.rejoin(task)
        enter()
    leave()
    if rng.random() < 0.3:
        task.host.secede(task)
    return seed


def enter():
    log.append(+1)


def leave():
    log.append(-1)


@pytest.mark.parametrize("nthreads", [1, 3])
def test_no_more_tasks_execute_at_once_than_there_are_slots(nthreads):
    with rig(nthreads) as world:
        seeds = [(seed,) for seed in range(300)]
        world.submit_many(secede_and_rejoin, seeds)
        values = {payload.loads(item.frames) for item in world.outcomes(300)}
        assert values == set(range(300))
        executing = most = 0
        for step in log:  # appended to in the order in which it happened
            executing += step
            most = max(most, executing)
        assert most <= nthreads
        assert world.machine.started() == []


def rejoin_in_a_turn():
    task = context.current()
    task.host.secede(task)
    with TurnLock(), pytest.raises(RuntimeError, match="finalizer"):
        task.host.rejoin(task)
    seceded = task.seceded
    task.host.rejoin(task)
    return seceded, task.seceded


def test_nobody_waits_for_a_slot_in_a_turn():
    with rig() as world:
        assert world.call(rejoin_in_a_turn) == (True, False)
        assert world.lent[-1] == 0


def secede_and_meet(n, of):
    task = context.current()
    task.host.secede(task)
    log.append(n)
    if len(log) == of:
        gates["all here"].set()
    pass_gate("all here")


def test_threads_beyond_the_slots_end_when_they_have_been_idle():
    with rig(nthreads=2, idle_seconds=0.0) as world:
        world.submit_many(secede_and_meet, [(n, 10) for n in range(10)])
        world.outcomes(10)
        while len(threads := world.threads()) > 2:
            threads[-1].join(0.01)  # not for ever: which of them stay is up to them
        assert world.call(add, 1, 1) == 2


def test_threads_are_used_again():
    with rig() as world:
        assert len({world.call(thread_name) for _ in range(50)}) == 1


class Heirloom:
    """Pickles as a number; whoever drops it has to wait."""

    def __reduce__(self):
        return int, ("7",)

    def __del__(self):
        gates["goes"].set()
        pass_gate("gone")


def make_heirloom():
    return Heirloom()


def page_here():
    return context.host().page.running()


def test_a_finalizer_that_takes_long_keeps_neither_the_report_nor_the_next_job_waiting():
    with rig() as world:
        count = SPARE_SEATS + 1
        assert [world.call(make_heirloom) for _ in range(count)] == [7] * count
        pass_gate("goes")
        assert world.executor.parked == 0
        assert world.call(page_here) == [task_id(count + 1)]  # in another thread, which has a seat
        gates["gone"].set()
        world.executor.stop()  # while the thread may be about to park
        for thread in world.threads():
            thread.join(PATIENCE)
        assert world.executor.parked == 0


def test_a_parked_thread_keeps_no_result():
    with rig() as world:
        gates["gone"].set()
        world.call(make_heirloom)
        pass_gate("goes")
        assert world.call(add, 1, 1) == 2


def no_thread(self):
    raise RuntimeError("can't start new thread")


def test_a_task_for_which_there_is_no_thread_fails_with_a_clear_error(monkeypatch):
    with rig() as world:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", no_thread)
            world.submit_many(add, [(n, n) for n in range(2000)])
        for item in world.outcomes(2000):
            assert item.error.kind == ErrorKind.TASK
            assert "cannot start a thread for task 'key-" in item.error.text
        assert world.call(add, 1, 2) == 3


def test_a_parked_thread_needs_no_new_one(monkeypatch):
    with rig() as world:
        world.call(add, 1, 2)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", no_thread)
            assert world.call(add, 1, 2) == 3
