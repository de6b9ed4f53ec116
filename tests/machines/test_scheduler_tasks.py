"""The life of tasks in the scheduler: submitted, run, reported, shared, erred, cancelled, forgotten."""

from __future__ import annotations

from fastsched.config import Config
from fastsched.wire.messages import ErrorKind
from tests.machines.helpers.scheduler_world import VALUE, World


def test_a_task_runs_and_its_value_travels_with_the_report(world):
    client, worker = world.client(), world.worker()
    fid = client.submit("a")
    assert worker.news() == ["run a"]
    assert worker.tasks["a"].args == (b"args",)
    worker.finish("a")
    assert client.news() == ["finished a"]
    assert client.values[fid] == VALUE


def test_a_released_task_is_forgotten_everywhere(world):
    client, worker = world.client(), world.worker()
    fid = client.submit("a")
    worker.finish("a")
    client.release(fid)
    assert worker.news() == ["run a", "free a"]
    assert client.news() == ["finished a"]
    assert world.empty()


def test_tasks_wait_for_a_worker(world):
    client = world.client()
    client.submit("a")
    worker = world.worker()
    assert worker.news() == ["run a"]


def test_a_key_that_is_known_is_the_same_task(world):
    first, second, worker = world.client("first"), world.client("second"), world.worker()
    first.submit("a")
    second.submit("a")
    worker.finish("a")
    assert worker.news() == ["run a"]
    assert first.news() == ["finished a"]
    assert second.news() == ["finished a"]


def test_a_future_of_a_finished_task_is_told_at_once(world):
    first, second, worker = world.client("first"), world.client("second"), world.worker()
    first.submit("a")
    worker.finish("a")
    fid = second.submit("a")
    assert second.news() == ["finished a"]
    assert second.values[fid] == VALUE
    assert first.news() == ["finished a"]
    assert worker.news() == ["run a"]


def test_a_future_that_comes_in_the_turn_in_which_the_task_finishes_is_told_once(world):
    first, second, worker = world.client("first"), world.client("second"), world.worker()
    first.submit("a")
    with world.one_turn():
        worker.finish("a")
        second.submit("a")
    assert first.news() == ["finished a"]
    assert second.news() == ["finished a"]
    assert worker.news() == ["run a"]


def test_a_value_lives_until_the_last_client_releases_it(world):
    first, second, worker = world.client("first"), world.client("second"), world.worker()
    fids = [first.submit("a"), second.submit("a")]
    worker.finish("a")
    first.release(fids[0])
    assert worker.news() == ["run a"]
    second.release(fids[1])
    assert worker.news() == ["free a"]
    assert world.empty()
    assert first.news() == second.news() == ["finished a"]


def test_a_released_key_is_computed_again_when_it_is_wanted_again(world):
    client, worker = world.client(), world.worker()
    fid = client.submit("a")
    worker.finish("a")
    client.release(fid)
    client.submit("a")
    worker.finish("a")
    assert worker.news() == ["run a", "free a", "run a"]
    assert client.news() == ["finished a", "finished a"]


def test_lineage_is_computed_again_when_it_is_wanted_again(world):
    client, worker = world.client(), world.worker()
    a = client.submit("a")
    client.submit("b", [a])
    client.release(a)
    worker.finish("a")
    worker.finish("b")
    assert worker.news() == ["run a", "run b", "free a"]
    client.submit("a")
    worker.finish("a")
    assert worker.news() == ["run a"]
    assert client.news() == ["finished b", "finished a"]


def test_lineage_that_erred_is_computed_again_when_it_is_wanted_again(world):
    client, worker = world.client(), world.worker()
    a = client.submit("a")
    client.submit("b", [a])
    worker.fail("a")
    client.release(a)
    client.submit("a")
    worker.finish("a")
    assert worker.news() == ["run a", "run a"]
    assert client.news() == ["erred a TASK", "erred b TASK", "finished a"]


def test_many_futures_of_one_task_come_and_go_without_a_trace(world):
    client, worker = world.client(), world.worker()
    client.submit("a")
    (record,) = world.machine.books.keys.values()
    for _ in range(200):
        client.release(client.submit("a"))
        assert record.extras is None or len(record.extras.others) <= 16
    held = [client.submit("a") for _ in range(40)]
    worker.finish("a")
    assert client.news() == ["finished a"] * 41
    client.release(*held)
    assert worker.news() == ["run a"]


def test_a_task_waits_for_its_inputs_and_names_them_in_the_order_of_its_arguments(world):
    client, worker = world.client(), world.worker("w1", nthreads=2)
    a, b = client.submit("a"), client.submit("b")
    client.submit("c", [b, a, b])
    worker.finish("a", value=(b"A",))
    assert worker.news() == ["run a", "run b"]
    worker.finish("b", value=(b"B",))
    assert worker.news() == ["run c"]
    assert [entry[1] for entry in worker.tasks["c"].inputs] == ["b", "a", "b"]
    assert [entry[3:] for entry in worker.tasks["c"].inputs] == [(None, ())] * 3  # they are there already
    worker.finish("c")
    assert client.news() == ["finished a", "finished b", "finished c"]


def test_a_worker_that_lacks_a_small_input_gets_its_value(world):
    client, first = world.client(), world.worker("first")
    a = client.submit("a")
    first.finish("a", value=(b"A",))
    busy = client.submit("busy")
    second = world.worker("second")
    client.submit("b", [a])
    (entry,) = second.tasks["b"].inputs
    assert entry[1:] == ("a", 5, (b"A",), ())
    assert first.news() == ["run a", "run busy"]
    assert second.news() == ["run b"]
    assert client.news() == ["finished a"]
    client.release(busy)
    assert first.news() == ["drop busy"]


def test_a_worker_that_lacks_a_large_input_gets_its_address(world):
    client, first = world.client(), world.worker("first")
    a = client.submit("a")
    first.finish("a", value=None, nbytes=100_000)
    client.submit("busy")
    second = world.worker("second")
    client.submit("b", [a])
    (entry,) = second.tasks["b"].inputs
    assert entry[1:] == ("a", 100_000, None, ("tcp://first:1",))
    assert (first.news(), second.news(), client.news()) == (["run a", "run busy"], ["run b"], ["finished a"])


def test_a_replica_is_named_as_another_source_and_freed_like_the_original(world):
    client, first = world.client(), world.worker("first")
    a = client.submit("a")
    first.finish("a", value=None, nbytes=100_000)
    busy = client.submit("busy")
    second = world.worker("second")
    b = client.submit("b", [a])
    second.store("a", 100_000)  # it was fetched
    frames, addresses = client.locate(a)
    assert frames is None
    assert sorted(addresses) == ["tcp://first:1", "tcp://second:1"]
    second.finish("b")
    client.release(a, b, busy)
    assert first.news() == ["run a", "run busy", "free a", "drop busy"]
    assert second.news() == ["run b", "free a", "free b"]
    assert client.news() == ["finished a", "finished b"]
    assert world.empty()


def test_a_replica_of_a_forgotten_value_is_freed(world):
    client, first = world.client(), world.worker("first")
    a = client.submit("a")
    first.finish("a", value=None, nbytes=100_000)
    client.submit("busy")
    second = world.worker("second")
    b = client.submit("b", [a])
    client.release(a, b)
    assert second.news() == ["run b", "drop b"]
    second.store("a", 100_000)  # it was on its way
    assert second.news() == ["free a"]
    assert first.news() == ["run a", "run busy", "free a"]
    assert client.news() == ["finished a"]


def test_pinned_tasks_stay_while_a_task_may_need_their_futures(world):
    client, worker = world.client(), world.worker()
    a = client.submit("a")
    worker.finish("a")
    b = client.submit("b", pins=[a])
    client.release(a)
    assert worker.news() == ["run a", "run b"]
    worker.finish("b")
    assert worker.news() == []
    client.release(b)
    assert worker.news() == ["free b", "free a"]
    assert client.news() == ["finished a", "finished b"]
    assert world.empty()


def test_a_pinned_task_may_be_given_up_in_the_turn_in_which_it_is_placed(world):
    client, worker = world.client(), world.worker()
    first, second = client.submit("first"), client.submit("second")  # one runs, one lies ahead
    pinned = client.submit("pinned")
    holder = client.submit("holder", pins=[pinned])
    client.release(pinned)
    assert worker.news() == ["run first", "run second"]
    with world.one_turn():
        worker.finish("first", "second")
        client.release(holder)
    assert "pinned" not in worker.tasks
    client.release(first, second)
    assert client.news() == ["finished first", "finished second"]
    worker.news()
    assert world.empty()


def test_a_value_that_contains_futures_pins_their_tasks(world):
    client, worker = world.client(), world.worker(nthreads=2)
    parent = client.submit("parent")
    child = worker.submit("child")
    worker.finish("child")
    worker.finish("parent", pins=["child", "parent", "unknown"])
    worker.release(child)
    assert worker.news() == ["run parent", "run child", "finished child"]
    got = client.want("child")
    assert client.news() == ["finished parent", "finished child"]
    client.release(parent)
    assert worker.news() == ["free parent"]
    client.release(got)
    assert worker.news() == ["free child"]
    assert world.empty()


def test_an_error_ends_all_that_depends_on_it(world):
    client, worker = world.client(), world.worker()
    a = client.submit("a")
    b = client.submit("b", [a])
    c = client.submit("c", [b])
    worker.fail("a")
    assert client.news() == ["erred a TASK", "erred b TASK", "erred c TASK"]
    for fid in (a, b, c):
        assert client.errors[fid] == client.errors[a]
    assert client.errors[c].key == "a"
    assert client.errors[c].frames == (b"exception",)
    assert client.errors[c].worker == "w"
    assert worker.news() == ["run a"]


def test_a_task_submitted_on_top_of_an_error_errs_at_once(world):
    client, worker = world.client(), world.worker()
    a = client.submit("a")
    worker.fail("a")
    b = client.submit("b", [a])
    client.submit("c", [b])
    assert client.news() == ["erred a TASK", "erred b TASK", "erred c TASK"]
    assert worker.news() == ["run a"]


def test_an_erred_key_reports_its_error_while_it_is_held_and_runs_anew_afterwards(world):
    client, worker = world.client(), world.worker()
    a = client.submit("a")
    worker.fail("a")
    again = client.submit("a")
    assert client.news() == ["erred a TASK", "erred a TASK"]
    client.release(a, again)
    assert world.empty()
    client.submit("a")
    assert worker.news() == ["run a", "run a"]


def test_retries_are_used_up_before_the_error_counts(world):
    client, worker = world.client(), world.worker()
    client.submit("a", retries=2)
    runs = []
    for _ in range(3):
        runs.append(worker.tasks["a"].run)
        assert client.news() == []
        worker.fail("a")
    assert runs == [1, 2, 3]
    assert worker.news() == ["run a"] * 3
    assert client.news() == ["erred a TASK"]


def test_a_released_task_that_has_not_started_is_dropped(world):
    client, worker = world.client(), world.worker()
    a, b, c = (client.submit(key) for key in "abc")  # one runs, one lies ahead at the worker, one waits
    assert worker.news() == ["run a", "run b"]
    client.release(b, c)
    assert worker.news() == ["drop b"]
    client.release(a)
    assert worker.news() == ["drop a"]
    assert world.empty()


def test_a_result_that_crosses_with_its_drop_is_freed(world):
    client, worker = world.client(), world.worker()
    a = client.submit("a")
    result = worker.result("a")
    client.release(a)
    worker.done(finished=[result])
    assert worker.news() == ["run a", "drop a", "free a"]
    assert world.empty()


def test_higher_priority_goes_first_then_the_children_of_older_parents(world):
    client, worker = world.client(), world.worker()
    client.submit("old")
    old = worker.tasks["old"].id
    client.submit("young")
    young = worker.tasks["young"].id
    with world.one_turn():
        client.submit("outside")
        worker.submit("child of young", parent=young)
        worker.submit("child of old", parent=old)
        client.submit("urgent", priority=10)
    assert worker.news() == ["run old", "run young"]
    worker.lend(2)
    assert worker.news() == ["run urgent", "run child of old"]
    worker.lend(4)
    assert worker.news() == ["run child of young", "run outside"]


def test_a_kept_task_runs_though_its_future_is_gone(world):
    client, worker = world.client(), world.worker()
    fid = client.submit("a")
    client.keep(fid)
    client.keep(fid)
    client.release(fid)
    world.lost(client)
    assert worker.news() == ["run a"]
    worker.finish("a")
    assert worker.news() == ["free a"]
    assert world.empty()


def test_a_kept_task_that_errs_is_forgotten(world):
    client, worker = world.client(), world.worker()
    fid = client.submit("a")
    client.keep(fid)
    client.release(fid)
    worker.fail("a")
    assert worker.news() == ["run a"]
    assert world.empty()


def test_keeping_what_is_done_holds_nothing(world):
    client, worker = world.client(), world.worker()
    fid = client.submit("a")
    worker.finish("a")
    client.keep(fid)
    client.release(fid)
    assert worker.news() == ["run a", "free a"]
    assert client.news() == ["finished a"]
    assert world.empty()


def test_cancel_ends_a_task_for_everybody_and_frees_its_key(world):
    first, second, worker = world.client("first"), world.client("second"), world.worker()
    a = first.submit("a")
    second.submit("a")
    first.submit("b", [a])
    first.cancel(a, reason="enough")
    assert first.news() == ["erred a CANCELLED", "erred b CANCELLED"]
    assert second.news() == ["erred a CANCELLED"]
    assert first.errors[a].text == "enough"
    assert worker.news() == ["run a", "drop a"]
    second.submit("a")
    second.submit("b")
    assert worker.news() == ["run a", "run b"]


def test_cancel_of_a_finished_task_frees_its_value_and_ends_running_dependents(world):
    client, worker = world.client(), world.worker(nthreads=4)
    a = client.submit("a")
    worker.finish("a")
    client.submit("b", [a])
    c = client.submit("c", [a])
    worker.finish("c")
    d = client.submit("d", [c])
    client.submit("e", [d])
    client.cancel(a)
    assert worker.news() == ["run a", "run b", "run c", "run d", "free a", "drop b"]
    assert client.news() == ["finished a", "finished c", "erred a CANCELLED", "erred b CANCELLED"]
    worker.finish("d")
    assert client.news() == ["finished d"]
    assert worker.news() == ["run e"]


def test_cancel_of_a_cancelled_task_changes_nothing(world):
    client, worker = world.client(), world.worker()
    a = client.submit("a")
    client.cancel(a)
    client.cancel(a)
    assert client.news() == ["erred a CANCELLED"]
    client.release(a)
    assert worker.news() == ["run a", "drop a"]
    assert world.empty()


def test_a_future_by_key_attaches_to_the_task(world):
    first, second, worker = world.client("first"), world.client("second"), world.worker()
    fid = first.submit("a")
    second.want("a")
    first.release(fid)
    worker.finish("a")
    assert second.news() == ["finished a"]
    assert worker.news() == ["run a"]


def test_a_future_by_an_unknown_key_ends_as_cancelled_and_can_be_used_and_released(world):
    client = world.client()
    fid = client.want("nowhere")
    assert client.news() == ["erred nowhere CANCELLED"]
    assert "nowhere" in client.errors[fid].text
    b = client.submit("b", [fid])
    assert client.news() == ["erred b CANCELLED"]
    client.release(fid, b)
    assert world.empty()


def test_a_lost_client_takes_its_tasks_along(world):
    first, second, worker = world.client("first"), world.client("second"), world.worker(nthreads=2)
    first.submit("mine")
    first.submit("ours")
    second.submit("ours")
    world.lost(first)
    assert worker.news() == ["run mine", "run ours", "drop mine"]
    worker.finish("ours")
    assert second.news() == ["finished ours"]


def test_a_worker_is_a_client_too_and_loses_its_futures_with_its_connection(world):
    client, first, second = world.client(), world.worker("first"), world.worker("second")
    client.submit("parent")
    first.submit("child")
    assert first.news() == ["run parent"]
    assert second.news() == ["run child"]
    first.die(executing=[])
    assert second.news() == ["drop child", "run parent"]


def test_give_back_queues_the_task_again(world):
    client, worker = world.client(), world.worker()
    client.submit("a")
    worker.give_back("a")
    assert worker.news() == ["run a", "run a"]
    assert worker.tasks["a"].run == 2


def test_reports_about_older_attempts_are_dropped(world):
    client, worker = world.client(), world.worker()
    client.submit("a")
    stale = worker.tasks["a"]
    worker.give_back("a")
    worker.tasks["a"], current = stale, worker.tasks["a"]
    worker.finish("a", value=(b"stale",))
    worker.tasks["a"] = stale
    worker.fail("a")
    worker.tasks["a"] = stale
    worker.give_back("a")
    worker.tasks["a"] = stale
    worker.miss("a", 1)
    assert client.news() == []
    worker.tasks["a"] = current
    worker.finish("a")
    assert client.news() == ["finished a"]
    assert worker.news() == ["run a", "run a"]


def test_a_batch_larger_than_the_limit_is_split():
    world = World(Config(batch_items=3))
    client, worker = world.client(), world.worker(nthreads=10)
    heard: list[int] = []
    hear = worker.hear

    def count(message):
        heard.append(len(message.tasks))
        hear(message)

    worker.hear = count
    with world.one_turn():
        for index in range(8):
            client.submit(f"t{index}")
    assert heard == [3, 3, 2]
    worker.finish(*[f"t{index}" for index in range(8)])
    assert client.news() == [f"finished t{index}" for index in range(8)]
    worker.news()
    world.end()


def test_an_error_of_a_kind_that_a_task_may_have_is_passed_on(world):
    client, worker = world.client(), world.worker()
    client.submit("a")
    worker.fail("a", ErrorKind.SERIALIZATION)
    assert client.news() == ["erred a SERIALIZATION"]
    assert worker.news() == ["run a"]


def test_what_a_workers_tasks_are_told_does_not_break_up_its_batches(world):
    worker = world.worker(nthreads=4)
    for key in "abcd":
        source = worker.submit(f"in {key}")
        worker.submit(f"out {key}", [source])
        worker.release(source)
        worker.finish(f"in {key}")
    worker.news()
    kinds: list[str] = []
    hear = worker.hear

    def note(message):
        kinds.append(type(message).__name__)
        hear(message)

    worker.hear = note
    worker.finish(*[f"out {key}" for key in "abcd"])
    assert sorted(kinds) == ["Free", "Report"]
    assert len(worker.news()) == 8
