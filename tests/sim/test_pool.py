"""The processes that run seeds: whatever becomes of a seed, it is named, and the others are run."""

from __future__ import annotations

import json
import sys

import pytest

from tests.sim.__main__ import main
from tests.sim.pool import Block, Pool
from tests.sim.scenarios import KINDS, kind_of
from tests.sim.seeds import blocks_of, run_seed

CHILD = """
import json, os, sys
for line in sys.stdin:
    for seed in json.loads(line):
        print("begins", seed, flush=True)
        if seed == 3:
            print("failed", json.dumps([seed, "AssertionError: three", "all of it"]), flush=True)
        if seed == 5:
            os._exit(7)
        if seed == 7:
            while True:
                pass
    print("done", flush=True)
"""


def run(*blocks: Block, program: str = CHILD, most_seconds: float = 60.0) -> dict[Block, list[tuple[int, str]]]:
    with Pool(blocks, 2, (sys.executable, "-c", program), most_seconds) as pool:
        return {block: [(one.seed, one.why) for one in failures] for block, failures in pool.finished()}


def test_all_blocks_are_run_and_failures_are_told_with_theirs() -> None:
    assert run((0, 2), (1, 3), (4, 6)) == {(0, 2): [], (1, 3): [(3, "AssertionError: three")], (4, 6): []}


def test_a_seed_that_ends_its_process_is_named_and_the_others_of_its_block_are_run() -> None:
    found = run((1, 5, 3), (2,))
    assert found == {(1, 5, 3): [(5, "ended its process with 7"), (3, "AssertionError: three")], (2,): []}


def test_a_seed_that_never_ends_is_named() -> None:
    assert run((7, 3), most_seconds=1.0) == {(7, 3): [(7, "did not end within 1 s"), (3, "AssertionError: three")]}


def test_a_child_that_cannot_begin_is_no_seeds_fault() -> None:
    with pytest.raises(RuntimeError, match="ended with 4 before it began"):
        run((1,), program="raise SystemExit(4)")


def test_results_can_be_had_block_by_block() -> None:
    with Pool([(1,), (3,)], 1, (sys.executable, "-c", CHILD)) as pool:
        assert [failure.seed for failure in pool.result((3,))] == [3]
        assert pool.result((1,)) == []


@pytest.mark.parametrize("seeds", [range(1), range(7, 100), range(3000)], ids=str)
def test_blocks_are_of_one_kind_and_hold_each_seed_once(seeds: range) -> None:
    blocks = list(blocks_of(seeds))
    assert sorted(seed for block in blocks for seed in block) == list(seeds)
    assert all(len({kind_of(seed).name for seed in block}) == 1 for block in blocks)
    kind = kind_of(seeds.start).name
    of_first = [block for block in blocks if kind_of(block[0]).name == kind]
    assert list(blocks_of(seeds, frozenset((kind,)))) == of_first


def test_a_failing_seed_says_how_to_see_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_seed(0) is None
    monkeypatch.setattr("tests.sim.cluster.MOST_STEPS", 50)
    failure = run_seed(0)
    assert failure is not None
    assert failure.why.startswith("AssertionError: not quiet after 51 steps")
    assert "python -m tests.sim 0" in failure.headline
    assert "sends" in str(failure)  # its journal
    assert json.loads(json.dumps(failure))[0] == 0  # it can be told to another process


def test_the_command_runs_one_seed_or_many() -> None:
    said: list[str] = []
    assert main(["0", "--journal"], said.append) == 0
    assert said[-1] == f"{KINDS[0].name} 0: ok"
    assert "sends" in said[0]
    assert main(["--seeds", "3", "--processes", "1", "--first", "1"], said.append) == 0
    assert said[-1].startswith("3 of 3 seeds")
