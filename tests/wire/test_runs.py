"""Items become messages and messages items: nothing is lost, moved or joined that must stay apart."""

from hypothesis import given
from hypothesis import strategies as st

from fastsched.wire.messages import (
    Cancel,
    FunctionItem,
    LocalItem,
    Locate,
    Publish,
    Release,
    Submit,
    TaskItem,
    Want,
    WantItem,
)
from fastsched.wire.runs import as_items, as_messages


def function(number):
    return FunctionItem, FunctionItem(b"%08d" % number, (b"pickle",))


def task(fid):
    return TaskItem, TaskItem(fid, f"t-{fid}", b"00000000", (b"args",), (), (), 0, 0, 0)


def local(fid):
    fields = (fid, f"t-{fid}", b"00000000", (b"args",), (), (), 0, 0, 0, 1, "", 0, None, (), ())
    return LocalItem, LocalItem(*fields)


def other(fid):
    return Cancel, Cancel((fid,), "")


MAKERS = (
    function,
    task,
    lambda fid: (WantItem, WantItem(fid, f"t-{fid}")),
    lambda fid: (Release, fid),
    lambda fid: (Locate, fid),
    other,
)
QUEUES = st.lists(st.builds(lambda make, number: make(number), st.sampled_from(MAKERS), st.integers(0, 99)))


def test_a_run_of_one_kind_is_one_message():
    queue = [(Release, 1), (Release, 2), function(1), task(3), task(4), (Release, 3)]
    functions, tasks = (function(1)[1],), (task(3)[1], task(4)[1])
    assert as_messages(queue, 10) == [Release((1, 2)), Submit(functions, tasks), Release((3,))]


def test_no_message_has_more_items_than_it_may():
    assert [len(message.fids) for message in as_messages([(Locate, fid) for fid in range(7)], 3)] == [3, 3, 1]


def test_a_function_that_comes_after_a_task_may_push_out_the_function_of_that_task():
    queue = [function(1), task(1), function(2), task(2)]
    assert as_messages(queue, 10) == [
        Submit((function(1)[1],), (task(1)[1],)),
        Submit((function(2)[1],), (task(2)[1],)),
    ]


def test_what_is_published_together_stays_together():
    queue = [function(1), *[local(fid) for fid in range(5)], task(9)]
    assert as_messages(queue, 2) == [
        Publish((function(1)[1],), tuple(local(fid)[1] for fid in range(5))),
        Submit((), (task(9)[1],)),
    ]


def test_a_function_that_nothing_follows_is_sent_all_the_same():
    assert as_messages([function(1)], 10) == [Submit((function(1)[1],), ())]


def test_a_message_of_another_kind_is_passed_on_as_it_is():
    kind, message = other(1)
    assert as_messages([(kind, message)], 10) == [message]


@given(QUEUES, st.integers(1, 5))
def test_items_survive_their_messages(queue, most):
    messages = as_messages(queue, most)
    assert [item for message in messages for item in as_items(message)] == queue
    sizes = {Submit: lambda m: len(m.functions) + len(m.tasks), Want: lambda m: len(m.items)}
    for message in messages:
        size = sizes.get(type(message), lambda m: len(m.fids))(message)
        assert 1 <= size <= most
