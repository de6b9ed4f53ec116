"""What one peer is told in a turn: batches of one kind, in order, of bounded length and weight."""

from __future__ import annotations

import pytest

from fastsched.scheduler.outbox import HEAVY, Batch, Outbox
from fastsched.wire.messages import Answer, Free, FunctionItem, Report, Run


@pytest.fixture
def dirty() -> list[Outbox]:
    return []


@pytest.fixture
def outbox(dirty) -> Outbox:
    return Outbox(1, 3, dirty)


def test_items_of_one_kind_become_one_message(outbox, dirty):
    outbox.add(Batch.FREE, 1)
    outbox.add(Batch.FREE, 2)
    assert dirty == [outbox]
    assert outbox.take() == [Free((1, 2))]


def test_items_of_several_kinds_keep_their_order(outbox, dirty):
    for kind, item in ((Batch.FREE, 1), (Batch.RUN, "t"), (Batch.FREE, 2)):
        outbox.add(kind, item)
    outbox.send(Answer(1, True, None))
    outbox.add(Batch.FREE, 3)
    assert outbox.take() == [Free((1,)), Run((), ("t",)), Free((2,)), Answer(1, True, None), Free((3,))]
    assert dirty == [outbox]


def test_finished_and_lost_are_told_in_the_order_in_which_they_happened(outbox):
    for kind in (Batch.FINISHED, Batch.LOST, Batch.FINISHED):
        outbox.add(kind, 1)
    assert outbox.take() == [Report((1,), (), ()), Report((), (), (1,)), Report((1,), (), ())]


def test_long_batches_are_split_and_functions_go_first(outbox):
    outbox.add_function(FunctionItem(b"f", (b"",)), 1, evicts=False)
    for index in range(7):
        outbox.add(Batch.RUN, index)
    first, second, third = outbox.take()
    assert first == Run((FunctionItem(b"f", (b"",)),), (0, 1, 2))
    assert (second, third) == (Run((), (3, 4, 5)), Run((), (6,)))


def test_heavy_batches_are_split(outbox):
    for index in range(3):
        outbox.add(Batch.RUN, index, HEAVY + 1)
    assert outbox.take() == [Run((), (0,)), Run((), (1,)), Run((), (2,))]


def test_an_outbox_is_empty_after_it_was_taken(outbox, dirty):
    outbox.add(Batch.FREE, 1)
    outbox.take()
    dirty.clear()
    assert outbox.take() == []
    outbox.add(Batch.FREE, 2)
    assert dirty == [outbox]
    assert outbox.take() == [Free((2,))]


def test_a_peer_that_is_gone_is_told_nothing(outbox):
    outbox.add(Batch.FREE, 1)
    outbox.closed = True
    assert outbox.take() == []
