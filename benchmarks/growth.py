"""How the cost of a task grows: with tasks that are pending, with clients, with workers, with inputs.

    python benchmarks/growth.py                              # everything: about ten minutes on two cores
    python benchmarks/growth.py --only workers --rounds 1
    python benchmarks/growth.py --load FILE --markdown docs/performance.md --svg docs/growth.svg

Workers are zero workers (`zero.py`), each point has a fresh scheduler. The figures to look at are those *on a core*:
they hold on a busy machine, too. Every figure of every round is saved.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script

from benchmarks import kernel
from benchmarks.comparing import machine
from benchmarks.comparing.run import Conditions
from benchmarks.comparing.tables import replace_between_marks
from benchmarks.growing.plot import as_svg
from benchmarks.growing.saved import Growth, Point
from benchmarks.growing.series import SERIES, Series, series_of
from benchmarks.growing.shown import MARK, as_markdown, as_text

__all__ = ["main"]

ROOT = Path(__file__).resolve().parents[1]
SAVED = Path(".benchmarks/growth.json")
SECONDS = 600.0  # for one point


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    try:
        growth = Growth.read(options.load) if options.load else _measure(options)
        print(as_text(growth))
        if options.svg:
            options.svg.write_text(as_svg(growth))
        if options.markdown:
            replace_between_marks(options.markdown, MARK, as_markdown(growth, (options.svg or Path("growth.svg")).name))
    except (machine.WrongBuildError, ValueError, OSError, subprocess.SubprocessError) as error:
        sys.exit(f"growth: {error}")
    except KeyboardInterrupt:
        sys.exit("growth: interrupted")


def _parser() -> argparse.ArgumentParser:
    names = ", ".join(series.name for series in SERIES)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--only", metavar="NAMES", help=f"what grows, with commas between: {names}")
    add("--rounds", type=int, default=3, help="fresh schedulers for each point (default: 3)")
    add("--smoke", action="store_true", help="everything as small as can be: does it work?")
    add("--json", type=Path, metavar="FILE", default=SAVED, help=f"where to save all figures (default: {SAVED})")
    add("--load", type=Path, metavar="FILE", help="do not measure: show what a run has saved")
    add("--markdown", type=Path, metavar="FILE", help="put the tables into this page, between its marks")
    add("--svg", type=Path, metavar="FILE", help="draw the plot")
    return parser


def _measure(options: argparse.Namespace) -> Growth:
    machine.refuse_what_is_not_built()
    if not kernel.available():
        raise OSError("this system has no /proc/self/schedstat, from which time on a core is read")
    chosen = SERIES if options.only is None else [series_of(name.strip()) for name in options.only.split(",")]
    watch = machine.Watch()
    conditions = Conditions(options.rounds, options.smoke)
    growth = Growth(conditions, machine.describe(sys.executable))
    points = {(series.name, size): Point(series.name, size) for series in chosen for size in _sizes(series, options)}
    growth.points.extend(points.values())
    for number in range(options.rounds):  # all points, then all again: what disturbs one round hits all
        for (name, size), point in points.items():
            print(f"round {number + 1} of {options.rounds}: {size:,} {series_of(name).title}", file=sys.stderr)
            point.rounds.append(_figures(name, size, options.smoke))
    watch.close(conditions)
    growth.save(options.json)
    print(f"all figures are in {options.json}", file=sys.stderr)
    return Growth.read(options.json)


def _sizes(series: Series, options: argparse.Namespace) -> Sequence[int]:
    return series.smoke if options.smoke else series.sizes


def _figures(name: str, size: int, smoke: bool) -> dict[str, float]:
    """One point, in a fresh process."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.growing.points",
        name,
        str(size),
        *(["--tasks", "200"] if smoke else []),
    ]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=SECONDS)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


if __name__ == "__main__":
    main()
