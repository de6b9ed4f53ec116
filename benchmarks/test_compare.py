"""The machinery of comparison, so that a figure can be believed; and one look whether all of it works."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks import compare
from benchmarks.comparing import machine, peers, rounds
from benchmarks.comparing.figures import figures_of
from benchmarks.comparing.rounds import Failure, Round, Runner, Take, subjects_of, take_rounds
from benchmarks.comparing.run import Conditions, Result, Run
from benchmarks.comparing.tables import MARK, as_markdown, as_text, duration, replace_between_marks
from benchmarks.workloads.catalogue import PEERS, SUBJECTS, WORKLOADS, Workload, Yardstick, workload
from benchmarks.workloads.measuring import Sample
from fastsched import _core
from tests.servers.spawned import wait_for_end

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"
FLOORS = [name for name, subject in SUBJECTS.items() if subject.module == "benchmarks.floors"]


def entry(**changes: Any) -> Workload:
    fields = {"name": "sync", "text": "", "per": "task", "size": 9, "small": 3, "smoke": 1}
    return Workload(**{**fields, "yardsticks": (Yardstick("echo", 2.0),), **changes})


def pair(ours: float, theirs: float) -> Round:
    return {"fastsched": Sample([ours]), "echo": Sample([theirs])}


Asked = list[str]


def scripted(answers: dict[str, Sample | Failure]) -> tuple[Take, Asked]:
    """Answers with these, and a list of who was asked."""
    asked: Asked = []

    def take(workload: Workload, subject: str, pinned: bool) -> Sample | Failure:
        asked.append(subject)
        return answers[subject]

    return take, asked


BEGIN, END = f"<!-- {MARK}: begin -->", f"<!-- {MARK}: end -->"


def silent(_: str) -> None:
    """Says nothing."""


# -- figures -----------------------------------------------------------------------------------------------------------


def test_a_ratio_is_the_median_over_pairs_and_not_of_medians() -> None:
    taken = [pair(1.0, 1.0), pair(8.0, 4.0), pair(9.0, 1.0)]
    ratio = figures_of(entry(), taken).ratios["echo"]
    assert (ratio.low, ratio.median, ratio.high) == (1.5, 2.0, 5.5)


def test_a_cost_is_the_median_of_medians_and_its_tail_needs_many_times() -> None:
    figures = figures_of(entry(), [{"fastsched": Sample([float(i) for i in range(101)]), "echo": Sample([1.0, 5.0])}])
    assert (figures.costs["fastsched"].typical, figures.costs["fastsched"].p99) == (50.0, 99.0)
    assert (figures.costs["echo"].typical, figures.costs["echo"].p99) == (3.0, None)


def test_a_cost_is_a_mean_where_a_few_times_are_very_long() -> None:
    figures = figures_of(entry(by_mean=True), [{"fastsched": Sample([1.0, 1.0, 7.0]), "echo": Sample([1.0])}])
    assert (figures.costs["fastsched"].typical, figures.ratios["echo"].median) == (3.0, 3.0)


def test_tails_have_ratios_of_their_own() -> None:
    ours, theirs = Sample([float(i) for i in range(101)]), Sample([2.0 * i for i in range(101)])
    figures = figures_of(entry(), [{"fastsched": ours, "echo": theirs}])
    assert figures.tails["echo"].median == 0.5


@pytest.mark.parametrize(("required", "met"), [(None, None), (2.0, True), (1.9, False)])
def test_what_is_required_is_met_or_missed(required: float | None, met: bool | None) -> None:
    assert figures_of(entry(required=required), [pair(2.0, 1.0)]).met is met


def test_a_workload_that_failed_has_missed_what_is_required() -> None:
    figures = figures_of(entry(required=1.0), [{"fastsched": Failure("ended with 1"), "echo": Sample([1.0])}])
    assert (figures.met, figures.ratios, figures.failures) == (False, {}, {"fastsched": "ended with 1"})


# -- rounds ------------------------------------------------------------------------------------------------------------


def test_rounds_take_turns_in_who_is_first() -> None:
    take, asked = scripted({"fastsched": Sample([1.0]), "echo": Sample([1.0])})
    assert len(list(take_rounds(take, entry(), ["fastsched", "echo"], False, 3, silent))) == 3
    assert asked == ["fastsched", "echo", "echo", "fastsched", "fastsched", "echo"]


def test_who_failed_is_not_asked_again() -> None:
    take, asked = scripted({"fastsched": Sample([1.0]), "echo": Failure("no")})
    taken = list(take_rounds(take, entry(), ["fastsched", "echo"], False, 3, silent))
    assert asked.count("echo") == 1
    assert [r["echo"] for r in taken] == [Failure("no")] * 3


def test_peers_take_part_only_if_they_are_there() -> None:
    assert subjects_of(workload("sync"), []) == ["fastsched", "echo", "executor"]
    assert subjects_of(workload("sync"), ["ray", "dask"]) == ["fastsched", "echo", "executor", "ray", "dask"]


def test_peers_take_part_only_in_what_they_can_do() -> None:
    assert subjects_of(workload("nested"), ["executor", "frisky", "dask"]) == ["fastsched", "calls", "dask"]
    assert subjects_of(workload("core"), ["executor", "dask"]) == ["fastsched"]


def script(folder: Path, text: str) -> str:
    """An interpreter that does this instead."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_sample_that_fails_says_why(tmp_path: Path) -> None:
    python = script(tmp_path, "echo Traceback >&2; echo ValueError: of no use >&2; exit 3")
    failure = Runner(python, python).take(workload("sync"), "echo", False)
    assert failure == Failure("ended with 3: ValueError: of no use")


def test_a_sample_that_hangs_is_ended_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "SECONDS", 0.5)
    python = script(tmp_path, f"sleep 1000 & echo $! > {tmp_path}/child; wait")
    assert Runner(python, python).take(workload("sync"), "echo", False) == Failure("no result in 0.5 s")
    child = int((tmp_path / "child").read_text())
    assert wait_for_end(child, 10.0)  # it was killed; when it is gone is up to the system


@pytest.mark.parametrize("name", FLOORS)
def test_floors_give_times(name: str) -> None:
    sample = Runner(sys.executable, sys.executable, smoke=True).take(workload("fib"), name, pinned=False)
    assert isinstance(sample, Sample), sample
    assert min(sample.times) > 0


# -- catalogue ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [entry.name for entry in WORKLOADS])
def test_every_subject_of_a_workload_can_be_measured(name: str) -> None:
    found = workload(name)
    for subject in subjects_of(found, PEERS):
        assert callable(importlib.import_module(found.module_of(subject)).measure)


def test_every_workload_is_explained_in_the_documentation() -> None:
    headings = {line.removeprefix("### ") for line in PAGE.read_text().splitlines() if line.startswith("### ")}
    assert [entry.name for entry in WORKLOADS if entry.name not in headings] == []


# -- a run, saved and shown --------------------------------------------------------------------------------------------


def run_of(*results: Result, others: float | None = 0.0) -> Run:
    about = {"fastsched": "1.0", "commit": "abc", "python": "3.11", "packages": {"numpy": "2.0"}, "peers": {}}
    return Run(
        Conditions(2, load_before=[0.1, 0, 0], load_after=[1.0, 1.0, 1.0], others=others),
        {**about, "processor": "Z80", "cores": 2, "system": "CP/M"},
        list(results),
    )


def test_a_run_is_read_back_as_it_was_saved(tmp_path: Path) -> None:
    failed: Round = {"fastsched": Sample([3.0], {"close": 1.0}), "echo": Failure("no")}
    run = run_of(Result("sync", False, [pair(1.0, 2.0), failed]), Result("sync", True, [pair(1.0, 2.0)]))
    run.save(tmp_path / "folder" / "run.json")
    assert Run.read(tmp_path / "folder" / "run.json") == run


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"format": 0}\n')
    with pytest.raises(ValueError, match="format 1 but 0"):
        Run.read(tmp_path / "run.json")


def test_tables_show_costs_ratios_and_what_is_required() -> None:
    run = run_of(Result("sync", False, [pair(0.002, 0.001)] * 2), Result("map", False, [pair(5e-5, 1e-5)]))
    text = as_text(run)
    assert "2 ms" in text and "≤ 1 ms: MISSED" in text and "2 (2 to 2)" in text and "≤ 2" in text
    assert "50 µs (20 k/s)" in text and "≥ 10 k/s: met" in text
    assert len({row.count("|") for row in as_markdown(run).splitlines() if row.startswith("|")}) == 1


def test_peers_stand_side_by_side_with_what_they_lack() -> None:
    many = Sample([1.0] * 100)
    taken: Round = {"fastsched": many, "dask": Sample([4.0] * 100), "ray": Failure("no")}
    run = run_of(Result("nested", False, [taken]), Result("core", False, [pair(1.0, 1.0)]))
    (row,) = (line for line in peers.as_markdown(run).splitlines() if line.startswith("| nested"))
    assert row.split(" | ")[2:] == ["1 s", "1 s", *["no nested tasks"] * 4, "failed", "0.25, 0.25 |"]
    assert peers.compared(run) and not peers.compared(run_of(Result("core", False, [pair(1.0, 1.0)])))


@pytest.mark.parametrize(
    ("others", "said"), [(0.05, "0.05 of 2 cores: quiet"), (0.5, "0.50 of 2 cores: NOT quiet"), (None, "not known")]
)
def test_a_table_says_whether_the_machine_was_quiet(others: float | None, said: str) -> None:
    assert said in as_text(run_of(others=others))


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="this system has no /proc/stat")
def test_what_our_children_did_is_not_the_work_of_others() -> None:
    def others(work: list[str], ours: bool) -> float:
        watch, conditions = machine.Watch(), Conditions(1)
        process = subprocess.Popen(work, start_new_session=True)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is nobody's child for `times` yet
        if ours:
            process.wait()
        watch.close(conditions)
        process.wait()
        return conditions.others or 0.0

    burn = [sys.executable, "-c", "import time\nwhile time.process_time() < 0.5: pass"]
    assert others(burn, ours=False) - others(burn, ours=True) > 0.3


@pytest.mark.parametrize(("seconds", "text"), [(1.23456e-6, "1.23 µs"), (0.0482, "48.2 ms"), (1234.0, "1,234 s")])
def test_durations_have_three_digits(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_table_of_a_page_is_replaced_and_the_rest_kept(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    for text in ("new", "newer"):
        replace_between_marks(page, MARK, text)
    assert page.read_text() == f"before\n{BEGIN}\n\nnewer\n\n{END}\nafter\n"


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n")
    with pytest.raises(ValueError, match="table: begin"):
        replace_between_marks(page, MARK, "new")
    assert page.read_text() == "before\n"


# -- the command -------------------------------------------------------------------------------------------------------


def fails(capsys: pytest.CaptureFixture[str], arguments: Sequence[str]) -> str:
    with pytest.raises(SystemExit) as end:
        compare.main(arguments)
    assert end.value.code == 2
    return capsys.readouterr().err


def test_a_debug_build_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    debug = {**_core.build(), "debug": True}
    monkeypatch.setattr(_core, "build", lambda: debug)
    assert "is a debug build" in fails(capsys, ["--only", "core"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "sync,sink"], "no workload is called 'sink'; there are sync, "),
        (["--pairs", "0"], "--pairs"),
        (["--load", "nowhere.json"], "nowhere.json"),
        (["--peers", "--peer-python", "/nowhere/python"], "/nowhere/python"),
    ],
)
def test_wrong_options_are_named(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said in fails(capsys, arguments)


def test_it_works_from_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved, page = tmp_path / "run.json", tmp_path / "page.md"
    page.write_text(f"{BEGIN}\n{END}\n")
    options = ["--smoke", "--pairs", "1", "--only", "sync,open,core,zero,convoy-worker", "--free-only"]
    if _core.build()["debug"]:
        pytest.skip("a debug build is refused")
    compare.main([*options, "--json", os.fspath(saved), "--markdown", os.fspath(page)])
    first = capsys.readouterr().out
    assert "failed" not in first and "a smoke run" in first
    compare.main(["--load", os.fspath(saved)])
    assert capsys.readouterr().out == first
    assert "| [sync](#sync) | free |" in page.read_text()
