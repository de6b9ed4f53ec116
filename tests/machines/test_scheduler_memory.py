"""What a task leaves in memory: the garbage collector does not know the records, so nothing may go round in circles."""

from __future__ import annotations

import gc
import sys

from fastsched.config import Config
from fastsched.scheduler.machine import SchedulerMachine
from fastsched.scheduler.task import TaskRecord
from fastsched.wire.messages import FunctionItem, Register, Role, Submit, TaskItem

CLIENT, OTHER, WORKER = 1, 2, 3
FN = b"function"
MOST = 128  # bytes of a record


def held_by(machine: SchedulerMachine, frame: bytes) -> int:
    """References to a frame that came with three tasks: alone, with an input and a pin, with two futures."""
    before = sys.getrefcount(frame)
    for peer in (CLIENT, OTHER):
        machine.joined(peer, Role.CLIENT, Register(str(peer), "", 0, 0, "", 0, ""), 0.0)
        tasks = (
            TaskItem(1, "a", FN, (frame,), (), (), 0, 0, 0),
            TaskItem(2, "b", FN, (frame,), (1,), (1,), 0, 0, 0),
            TaskItem(3, f"only {peer}", FN, (frame, b"buffer"), (2, 1), (), 0, 0, 0),
        )
        machine.receive(peer, Submit((FunctionItem(FN, (b"code",)),), tasks), 0.0)
    del tasks
    machine.joined(WORKER, Role.WORKER, Register("w", "", 0, 1, "tcp://w:1", 0, ""), 0.0)
    machine.drain()
    machine.check()
    return sys.getrefcount(frame) - before


def test_a_machine_that_is_dropped_frees_what_its_tasks_held() -> None:
    frame = bytes(bytearray(b"arguments"))
    before = sys.getrefcount(frame)
    machine = SchedulerMachine(Config())
    assert held_by(machine, frame) >= 4
    del machine
    gc.collect()
    assert sys.getrefcount(frame) == before


def test_clients_that_leave_take_their_tasks_along() -> None:
    frame = bytes(bytearray(b"arguments"))
    before = sys.getrefcount(frame)
    machine = SchedulerMachine(Config())
    held_by(machine, frame)
    for peer in (CLIENT, OTHER):
        machine.lost(peer, 1.0)
        machine.drain()
        machine.check()
    assert sys.getrefcount(frame) == before
    assert all(record is None for record in machine.books.records)


def test_a_record_is_small_and_unknown_to_the_garbage_collector() -> None:
    record = TaskRecord("key", None, (b"arguments",), (), ())
    assert sys.getsizeof(record) <= MOST
    assert not gc.is_tracked(record)
