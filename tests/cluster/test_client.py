"""The client's face, on a real cluster."""

from __future__ import annotations

import asyncio
import operator
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import CancelledError as FuturesCancelledError
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from fastsched import (
    CancelledError,
    Client,
    ClosedError,
    Future,
    LocalCluster,
    RemoteError,
    SerializationError,
    as_completed,
    fire_and_forget,
    get_client,
    wait,
)
from tests.cluster.functions import Attempts, append_line, blob, fail, inc, pid, size, slow_inc, total, wait_for_file


def test_submit_and_result(client: Client) -> None:
    assert client.submit(inc, 1).result() == 2


def test_lambdas_closures_builtins_and_keyword_arguments(client: Client) -> None:
    offset = 10
    assert client.submit(lambda x: x + offset, 1).result() == 11
    assert client.submit(len, [1, 2, 3]).result() == 3
    assert client.submit(int, "ff", base=16).result() == 255
    assert client.submit(operator.itemgetter(1), "abc").result() == "b"


def test_map_keeps_the_order_and_zips(client: Client) -> None:
    assert client.gather(client.map(inc, range(100))) == list(range(1, 101))
    assert client.gather(client.map(operator.add, [1, 2, 3], (10, 20))) == [11, 22]
    assert client.gather(client.map(int, ["10", "20"], base=8, batch_size=1)) == [8, 16]


def test_futures_in_containers_at_any_depth_arrive_as_values(client: Client) -> None:
    one, two = client.submit(inc, 0), client.submit(inc, 1)
    nested = [{"a": (one, [two])}, {two}]
    assert client.submit(repr, nested).result() == "[{'a': (1, [2])}, {2}]"
    assert client.submit(total, [one, two, 3]).result() == 6


class Holder:
    """Carries a future in an attribute."""

    def __init__(self, future: Future) -> None:
        self.future = future


def read_holder(holder: Holder) -> tuple[str, int]:
    return type(holder.future).__name__, holder.future.result()


def test_a_future_in_an_attribute_arrives_as_a_future_and_is_kept_alive(client: Client) -> None:
    holder = Holder(client.submit(inc, 41))
    future = client.submit(read_holder, holder)
    holder.future.release()
    del holder
    assert future.result() == ("Future", 42)


def adder(future: Future) -> Callable[[int], int]:
    return lambda x: x + future.result()


def test_a_future_in_the_function_itself_is_kept_alive(client: Client) -> None:
    inner = client.submit(inc, 40)
    by_closure = client.submit(adder(inner), 1)
    by_partial = client.map(partial(add_to, Holder(inner)), [1, 2])
    inner.release()
    del inner
    assert by_closure.result() == 42
    assert client.gather(by_partial) == [42, 43]


def add_to(holder: Holder, x: int) -> int:
    return holder.future.result() + x


def test_repr_shows_status_type_and_key(client: Client) -> None:
    future = client.submit(inc, 1, key="inc-by-name")
    future.result()
    assert repr(future) == "<Future: status: finished, type: int, key: inc-by-name>"
    assert future.type is int
    assert client.submit(inc, 1).key.startswith("inc-")


def test_equal_calls_are_computed_once_while_somebody_holds_them(client: Client, tmp_path) -> None:
    path = str(tmp_path / "calls")
    first = client.submit(append_line, path, "x")
    second = client.submit(append_line, path, "x")
    assert first.key == second.key
    assert wait([first, second]).not_done == set()
    assert Path(path).read_text() == "x\n"
    third = client.submit(append_line, path, "x", pure=False)
    assert third.key != first.key
    third.result()
    assert Path(path).read_text() == "x\nx\n"


def test_equal_calls_of_two_clients_are_one_task(cluster: LocalCluster, client: Client, tmp_path) -> None:
    path = str(tmp_path / "calls")
    with Client(cluster, set_as_default=False) as other:
        futures = [c.submit(append_line, path, "y") for c in (client, other)]
        assert [future.result() for future in futures] == ["y", "y"]
    assert Path(path).read_text() == "y\n"


def test_keys_do_not_depend_on_the_order_in_dicts_and_sets(client: Client) -> None:
    assert client.submit(repr, {"a": 1, "b": 2}).key == client.submit(repr, {"b": 2, "a": 1}).key
    assert client.submit(sum, {1, 2, 3}).key == client.submit(sum, {3, 2, 1}).key
    assert client.submit(repr, 1).key != client.submit(repr, True).key != client.submit(repr, 1.0).key


def test_an_exception_comes_back_as_itself_with_its_remote_traceback(client: Client) -> None:
    future = client.submit(fail, "broken on purpose")
    with pytest.raises(ValueError, match="broken on purpose") as caught:
        future.result()
    text = "".join(traceback.format_exception(caught.value))
    assert "functions.py" in text and "in fail" in text, text
    assert any(future.key in note for note in caught.value.__notes__)
    assert future.status == "error"
    assert isinstance(future.exception(), ValueError)
    assert "in fail" in "".join(traceback.format_tb(future.traceback()))
    assert client.submit(inc, 1).exception() is None
    assert client.submit(inc, 1).traceback() is None


def test_a_failed_dependency_fails_what_depends_on_it_and_names_it(client: Client) -> None:
    bad = client.submit(fail, "root")
    dependent = client.submit(inc, client.submit(inc, bad))
    with pytest.raises(ValueError, match="root") as caught:
        dependent.result()
    assert any(bad.key in note for note in caught.value.__notes__)


def test_gather_skips_errors_when_asked(client: Client) -> None:
    good, bad = client.submit(inc, 1), client.submit(fail, "x")
    assert client.gather([good, bad], errors="skip") == [2]
    assert client.gather({"g": good, "b": bad}, errors="skip") == {"g": 2}
    assert client.gather((good, [good, {"k": good}])) == (2, [2, {"k": 2}])
    assert client.gather(iter([good])) == [2]
    with pytest.raises(ValueError, match="errors must be"):
        client.gather([good], errors="whatever")


def test_gather_raises_at_the_first_failure(client: Client, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    slow = client.submit(wait_for_file, str(gate))
    with pytest.raises(ValueError, match="early"):
        client.gather([slow, client.submit(fail, "early")])
    assert not slow.done()
    gate.touch()
    assert slow.result() == str(gate)


def test_gather_raises_for_what_had_failed_before(client: Client, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    bad, slow = client.submit(fail, "early"), client.submit(wait_for_file, str(gate))
    assert bad.exception() is not None
    with pytest.raises(ValueError, match="early"):
        client.gather([slow, bad])
    assert not slow.done()
    gate.touch()


def test_result_with_a_timeout(client: Client) -> None:
    future = client.submit(slow_inc, 1, 1.0)
    with pytest.raises(TimeoutError):
        future.result(timeout="10 ms")
    with pytest.raises(TimeoutError):
        future.exception(timeout=0.01)
    assert future.result(timeout=10) == 2


def test_retries(client: Client, tmp_path) -> None:
    assert client.submit(Attempts(str(tmp_path / "a"), 2), retries=2, pure=False).result() == 3
    with pytest.raises(RuntimeError, match="attempt 2"):
        client.submit(Attempts(str(tmp_path / "b"), 2), retries=1, pure=False).result()


def test_higher_priority_goes_first(tmp_path) -> None:
    path = str(tmp_path / "order")
    with Client(n_workers=1, threads_per_worker=1, set_as_default=False) as client:
        client.wait_for_workers(1)
        block = client.submit(slow_inc, 1, 0.3)
        low = [client.submit(append_line, path, f"low{i}", priority=-1) for i in range(3)]
        high = [client.submit(append_line, path, f"high{i}", priority=5) for i in range(3)]
        client.gather([block, *low, *high])
    lines = Path(path).read_text().split()
    assert {"high0", "high1", "high2"} < set(lines[:4]), lines  # one may have been sent ahead before they came


def test_cancel_of_a_queued_task(client: Client, tmp_path) -> None:
    path = str(tmp_path / "ran")
    blocks = [client.submit(slow_inc, i, 0.5) for i in range(2)]
    queued = client.submit(append_line, path, "x", priority=-10)
    dependent = client.submit(size, queued)
    queued.cancel(reason="not needed")
    assert queued.cancelled() and queued.status == "cancelled" and queued.done()
    with pytest.raises(CancelledError, match="not needed"):
        queued.result()
    with pytest.raises(FuturesCancelledError):
        dependent.result()
    client.gather(blocks)
    assert not (tmp_path / "ran").exists()


def test_cancel_of_a_running_task_throws_its_result_away(client: Client) -> None:
    future = client.submit(slow_inc, 1, 0.3)
    while client.scheduler_info()["tasks"].get("assigned", 0) == 0:
        pass
    client.cancel([future])
    with pytest.raises(CancelledError):
        future.result()
    assert client.submit(inc, 1).result() == 2


def test_done_callbacks_run_once_may_submit_and_wait(client: Client) -> None:
    results: list[int] = []
    finished = threading.Event()

    def callback(future: Future) -> None:
        results.append(client.submit(inc, future).result())
        finished.set()

    future = client.submit(inc, 1)
    future.add_done_callback(callback)
    assert finished.wait(10)
    assert results == [3]
    finished.clear()
    future.add_done_callback(callback)  # already done
    assert finished.wait(10)
    assert results == [3, 3]


def test_a_callback_that_raises_is_logged_and_the_next_one_runs(client: Client, caplog) -> None:
    finished = threading.Event()
    future = client.submit(inc, 1)
    future.add_done_callback(lambda _: 1 / 0)
    future.add_done_callback(lambda _: finished.set())
    assert finished.wait(10)
    assert "ZeroDivisionError" in caplog.text


def test_await(client: Client) -> None:
    async def main() -> tuple[int, int]:
        futures = client.map(inc, [1, 2])
        return await futures[0], (await asyncio.gather(*futures))[1]

    assert asyncio.run(main()) == (2, 3)


def test_await_of_a_failure_and_of_a_large_value(client: Client) -> None:
    async def main() -> int:
        with pytest.raises(ValueError, match="async"):
            await client.submit(fail, "async")
        return len(await client.submit(blob, 300_000))

    assert asyncio.run(main()) == 300_000


def test_as_completed_yields_in_the_order_of_the_ends(client: Client, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    slow, fast = client.submit(wait_for_file, str(gate)), client.submit(inc, 10)
    ended = as_completed([slow, fast])
    assert next(ended) is fast
    gate.touch()
    assert list(ended) == [slow]


def test_as_completed_with_results_batches_and_additions(client: Client) -> None:
    futures = client.map(inc, range(5))
    assert sorted(result for _, result in as_completed(futures, with_results=True)) == [1, 2, 3, 4, 5]
    iterator = as_completed(futures)
    assert iterator.count() == 5
    iterator.add(client.submit(inc, 100))
    seen = [future.result() for batch in iterator.batches() for future in batch]
    assert sorted(seen) == [1, 2, 3, 4, 5, 101]
    assert iterator.is_empty() and not iterator.has_ready()
    with pytest.raises(ValueError, match="in the middle"):
        list(as_completed([client.submit(fail, "in the middle")], with_results=True))
    ((_, error),) = as_completed([client.submit(fail, "as a value")], with_results=True, raise_errors=False)
    assert isinstance(error, ValueError)
    with pytest.raises(TypeError, match="futures"):
        as_completed([1])  # type: ignore[list-item]


def test_as_completed_yields_a_future_that_was_given_twice_twice(client: Client) -> None:
    future = client.submit(inc, 1)
    assert list(as_completed([future, future])) == [future, future]


def test_as_completed_with_a_timeout(client: Client) -> None:
    future = client.submit(slow_inc, 1, 0.5)
    with pytest.raises(TimeoutError):
        list(as_completed([future], timeout=0.02))
    future.result()


def test_wait(client: Client, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    slow, fast, bad = client.submit(wait_for_file, str(gate)), client.submit(inc, 1), client.submit(fail, "x")
    done, not_done = wait([slow, fast, bad], return_when="FIRST_COMPLETED")
    assert slow in not_done and done
    with pytest.raises(TimeoutError):
        wait(slow, timeout=0.01)
    gate.touch()
    assert wait([slow, fast, bad]).done == {slow, fast, bad}
    with pytest.raises(ValueError, match="return_when"):
        wait([fast], return_when="SOMETIMES")
    with pytest.raises(TypeError, match="wait takes"):
        wait(3)


def test_large_values_are_fetched_from_the_worker(client: Client) -> None:
    future = client.submit(blob, 20_000_000)
    assert len(future.result()) == 20_000_000
    assert client.submit(size, future).result() == 20_000_000
    array = client.submit(np.arange, 1_000_000).result()
    assert array.sum() == 999_999 * 1_000_000 // 2


def test_large_arguments(client: Client) -> None:
    array = np.ones(5_000_000)
    assert client.submit(np.sum, array).result() == 5_000_000


def test_a_large_value_moves_from_worker_to_worker(client: Client) -> None:
    client.wait_for_workers(2)
    parts = client.map(blob, [1_000_000] * 4, [1, 2, 3, 4])
    assert client.submit(lambda blobs: sum(map(len, blobs)), parts).result() == 4_000_000


def test_scatter_keeps_the_shape(client: Client) -> None:
    single = client.scatter(41)
    assert client.submit(inc, single).result() == 42
    first, second = client.scatter([1, 2])
    assert client.submit(operator.add, first, second).result() == 3
    assert isinstance(client.scatter((1,)), tuple)
    named = client.scatter({"x-data": 5, "y-data": "text"})
    assert named["x-data"].key == "x-data"
    assert client.gather(named) == {"x-data": 5, "y-data": "text"}
    assert client.scatter(7).key == client.scatter(7).key
    assert client.scatter(7, hash=False).key != client.scatter(7).key
    assert single.type is int


def test_scatter_to_named_workers_and_to_all(client: Client) -> None:
    client.wait_for_workers(2)
    names = [worker["name"] for worker in client.scheduler_info()["workers"].values()]
    value = client.scatter(np.arange(10), broadcast=True)
    assert client.submit(np.sum, value).result() == 45
    assert client.scatter(3, workers=names[1]).result() == 3
    with pytest.raises(ValueError, match="no-such-worker"):
        client.scatter(3, workers="no-such-worker")


def test_fire_and_forget(client: Client, tmp_path) -> None:
    path = tmp_path / "fired"
    future = client.submit(append_line, str(path), "x")
    fire_and_forget(future)
    future.release()
    del future
    while not path.exists():
        pass
    with pytest.raises(TypeError, match="fire_and_forget takes"):
        fire_and_forget(3)


def test_run_calls_every_worker(client: Client) -> None:
    pids = client.run(pid)
    assert len(set(pids.values())) == 2
    assert set(pids) == set(client.scheduler_info()["workers"]) == set(client.nthreads())
    one = next(iter(pids))
    assert client.run(pid, workers=[one]) == {one: pids[one]}
    with pytest.raises(ValueError, match="on a worker"):
        client.run(fail, "on a worker")
    errors = client.run(fail, "as values", on_error="return")
    assert all(isinstance(error, ValueError) for error in errors.values())
    assert client.run(fail, "ignored", on_error="ignore") == {}


def test_what_the_scheduler_says_of_itself(client: Client) -> None:
    info = client.scheduler_info()
    assert {"type", "id", "address", "workers"} <= set(info)
    assert list(client.nthreads().values()) == [1, 1]
    assert len(client.scheduler_info(n_workers=1)["workers"]) == 1


def test_wait_for_workers_times_out(client: Client) -> None:
    with pytest.raises(TimeoutError, match="2 of 3 workers"):
        client.wait_for_workers(3, timeout=0.05)
    with pytest.raises(ValueError, match="n_workers"):
        client.wait_for_workers(0)


def test_get_client_finds_the_newest(cluster: LocalCluster, client: Client) -> None:
    assert get_client() is client
    with Client(cluster) as newer:
        assert get_client() is newer
    assert get_client() is client


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda c: c.submit(3), TypeError, "callable"),
        (lambda c: c.submit(inc, threading.Lock()), SerializationError, "lock"),
        (lambda c: c.submit((lambda lock: lambda: lock)(threading.Lock())), SerializationError, "lock"),
        (lambda c: c.submit(inc, 1, key=5), TypeError, "key must be a string"),
        (lambda c: c.submit(inc, 1, key=""), ValueError, "key must not be empty"),
        (lambda c: c.submit(inc, 1, retries=-1), ValueError, "retries"),
        (lambda c: c.submit(inc, 1, priority="high"), TypeError, "priority"),
        (lambda c: c.submit(inc, 1, priority=1 << 63), ValueError, "64 bits"),
        (lambda c: c.submit(inc, 1, workers=["a"]), NotImplementedError, "workers="),
        (lambda c: c.map(inc, [1, 2], key=["a"]), ValueError, "1 keys for 2 calls"),
        (lambda c: c.map(inc), TypeError, "iterable"),
        (lambda c: c.scatter(threading.Lock()), SerializationError, "lock"),
        (lambda c: c.submit(inc, 1).result(timeout="soon"), ValueError, "soon"),
        (lambda c: c.run(3), TypeError, "callable"),
        (lambda c: c.submit(inc, 1).add_done_callback(3), TypeError, "callable"),
    ],
)
def test_bad_input_is_refused_at_the_call(client: Client, call: Callable, error: type, text: str) -> None:
    with pytest.raises(error, match=text):
        call(client)
    assert client.submit(inc, 1).result() == 2


def make_lock() -> object:
    return threading.Lock()


class Unpicklable(Exception):
    """Has a lock in it."""

    def __init__(self, text: str) -> None:
        super().__init__(text, threading.Lock())


class NeedsTwo(Exception):
    """Pickles, but does not unpickle."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} and {b}")


def raise_unpicklable() -> None:
    raise Unpicklable("cannot travel")


def raise_needs_two() -> None:
    raise NeedsTwo(1, 2)


def test_an_unpicklable_result_names_type_and_task(client: Client) -> None:
    future = client.submit(make_lock)
    with pytest.raises(SerializationError, match="lock") as caught:
        future.result()
    assert future.key in str(caught.value) or any(future.key in note for note in caught.value.__notes__)
    assert client.submit(inc, 1).result() == 2


def test_an_exception_that_cannot_be_pickled_is_told_with_its_name_and_traceback(client: Client) -> None:
    with pytest.raises(RemoteError, match="Unpicklable") as caught:
        client.submit(raise_unpicklable).result()
    assert "raise_unpicklable" in str(caught.value)
    assert client.submit(inc, 1).result() == 2


def test_an_exception_whose_constructor_takes_other_arguments_comes_back_as_itself(client: Client) -> None:
    with pytest.raises(NeedsTwo, match="1 and 2"):
        client.submit(raise_needs_two).result()
    assert client.submit(inc, 1).result() == 2


def test_a_future_of_a_closed_client_is_refused(cluster: LocalCluster, client: Client) -> None:
    other = Client(cluster, set_as_default=False)
    future = other.submit(inc, 1)
    slow = other.submit(slow_inc, 1, 5.0)
    with pytest.raises(ClosedError, match="another client"):
        client.submit(inc, future)
    other.close()
    other.close()
    with pytest.raises(ClosedError, match="closed client"):
        client.submit(inc, future)
    with pytest.raises(ClosedError, match="closed"):
        other.submit(inc, 1)
    with pytest.raises(CancelledError):
        slow.result()
    assert slow.cancelled()


def test_a_released_future_is_refused(client: Client) -> None:
    future = client.submit(slow_inc, 1)
    future.release()
    future.release()
    with pytest.raises(ClosedError, match="released"):
        future.result()
    with pytest.raises(ClosedError, match="released"):
        client.submit(inc, future)


def test_released_values_leave_the_workers(client: Client) -> None:
    future = client.submit(blob, 1_000_000)
    future.result()
    assert client.scheduler_info()["tasks"]["memory"] == 1
    del future
    while client.scheduler_info()["tasks"].get("memory"):
        pass


def test_unknown_arguments_are_named() -> None:
    with pytest.raises(TypeError, match="n_wrkers"):
        Client(n_wrkers=2)
    with pytest.raises(ValueError, match="threads_per_worker"):
        Client(threads_per_worker=0)
    with pytest.raises(TypeError, match="n_workers"):
        Client(n_workers="two")
    with pytest.raises(NotImplementedError, match="asynchronous"):
        Client(asynchronous=True)


def test_a_client_cannot_be_pickled(client: Client) -> None:
    with pytest.raises(SerializationError, match="worker_client"):
        client.submit(inc, client)


def test_a_slot_that_a_cancelled_task_still_holds_is_not_taken_for_free(client: Client, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    client.wait_for_workers(2)
    running = client.submit(wait_for_file, str(gate))
    while client.scheduler_info()["tasks"].get("assigned", 0) == 0:
        pass
    running.cancel()
    assert client.gather(client.map(inc, range(10)), errors="raise") == list(range(1, 11))
    gate.touch()
