"""Compare fastsched with yardsticks, in fresh processes that take turns.

    python benchmarks/compare.py                          # everything: about twenty minutes on two cores
    python benchmarks/compare.py --only sync,map --pairs 5
    python benchmarks/compare.py --peers                  # other systems side by side: pip install .[peers]
    python benchmarks/compare.py --load FILE --markdown docs/performance.md

Figures of a machine that does something else meanwhile say nothing, except that it works. Every raw sample is saved.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script

from benchmarks.comparing import machine, peers, tables
from benchmarks.comparing.rounds import Runner, subjects_of, take_rounds
from benchmarks.comparing.run import Conditions, Result, Run
from benchmarks.workloads.catalogue import PEERS, SUBJECTS, WORKLOADS, Workload, workload
from benchmarks.workloads.placing import can_pin

__all__ = ["main"]

SAVED = Path(".benchmarks/compare.json")


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    try:
        run = Run.read(options.load) if options.load else _measure(options)
        print(tables.as_text(run))
        if peers.compared(run):
            print("\n" + peers.as_text(run))
        if options.markdown:
            _write(options.markdown, run)
    except (machine.WrongBuildError, ValueError, OSError) as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _fail("interrupted")


def _parser() -> argparse.ArgumentParser:
    names = ", ".join(entry.name for entry in WORKLOADS)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--only", metavar="NAMES", help=f"workloads, with commas between: {names}")
    add("--pairs", type=_positive, default=9, help="rounds of fresh processes (default: 9)")
    add("--free-only", action="store_true", help="leave out the variant with pinned processes")
    add("--peers", action="store_true", help="measure other schedulers, too")
    add("--peer-python", metavar="PATH", default=sys.executable, help="the interpreter that has them, if not this one")
    add("--json", type=Path, metavar="FILE", default=SAVED, help=f"where to save all samples (default: {SAVED})")
    add("--load", type=Path, metavar="FILE", help="do not measure: show what a run has saved")
    add("--markdown", type=Path, metavar="FILE", help="put the table into this page, between its marks")
    add("--smoke", action="store_true", help="everything as small as can be: does it work?")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a number from 1 on, not {text!r}")
    return int(text)


def _write(page: Path, run: Run) -> None:
    tables.replace_between_marks(page, tables.MARK, tables.as_markdown(run))
    if peers.compared(run):
        tables.replace_between_marks(page, peers.MARK, peers.as_markdown(run))


def _measure(options: argparse.Namespace) -> Run:
    machine.refuse_what_is_not_built()
    chosen = _chosen(options.only)
    runner = Runner(sys.executable, options.peer_python, options.smoke)
    others = _peers(runner) if options.peers else []
    watch = machine.Watch()
    run = Run(Conditions(options.pairs, options.smoke), machine.describe(options.peer_python))
    for entry in chosen:
        for pinned in _variants(entry, options.free_only):
            result = Result(entry.name, pinned)
            run.results.append(result)
            result.rounds.extend(
                take_rounds(runner.take, entry, subjects_of(entry, others), pinned, options.pairs, say=_say)
            )
    watch.close(run.conditions)
    run.save(options.json)
    _say(f"all samples are in {options.json}")
    return Run.read(options.json)  # what is shown is what was saved, with its rounding


def _chosen(names: str | None) -> Sequence[Workload]:
    return WORKLOADS if names is None else [workload(name.strip()) for name in names.split(",")]


def _peers(runner: Runner) -> list[str]:
    """Which of the other systems are there."""
    there = []
    for name in PEERS:
        subject = SUBJECTS[name]
        if not subject.package or runner.has(subject.package):
            there.append(name)
        else:
            _say(f"{subject.title} is not installed for {runner.peer_python}: not measured")
    return there


def _variants(entry: Workload, free_only: bool) -> Sequence[bool]:
    """Free, and pinned where that makes sense and is possible."""
    return (False, True) if entry.pinned and can_pin() and not free_only else (False,)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _fail(text: str) -> NoReturn:
    print(f"compare: {text}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the sample under way ends with us
    main()
