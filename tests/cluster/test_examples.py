"""The examples run as a user runs them: scripts, from another directory, silent on stderr, with the right results."""

from __future__ import annotations

import importlib
import re
import resource
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from urllib.parse import urljoin

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))


def run(where: Path, *command: str, timeout: float = 50) -> str:
    """What a script prints; it must end well and say nothing on stderr."""
    done = subprocess.run(
        [sys.executable, *command], cwd=where, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@pytest.fixture
def launch_tasks(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module behind `make demo`."""
    monkeypatch.syspath_prepend(EXAMPLES)
    return importlib.import_module("launch_tasks")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_importing_an_example_does_nothing(script: Path) -> None:
    assert run(EXAMPLES, "-c", f"import {script.stem}") == ""


def test_fibonacci_on_one_thread(tmp_path: Path) -> None:
    said = run(tmp_path, str(EXAMPLES / "fibonacci.py"))
    assert said.startswith("fib(100) = 354224848179261915075, one worker with one thread, ")
    assert run(tmp_path, str(EXAMPLES / "fibonacci.py"), "10").startswith("fib(10) = 55,")


def test_the_three_styles_agree(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("one two three\n\nfour five\none two three\n")
    said = run(tmp_path, str(EXAMPLES / "three_styles.py"), text.as_uri())
    assert [line.split() for line in said.splitlines()] == [
        ["gather_the_data:", "8", "words"],
        ["build_on_futures:", "8", "words"],
        ["submit_from_the_worker:", "8", "words"],
    ]


def test_the_demo_tells_the_truth(tmp_path: Path, launch_tasks: ModuleType) -> None:
    said = run(tmp_path, str(EXAMPLES / "launch_tasks.py"), "--files", "40", "--workers", "2")
    tree = Path(launch_tasks.source_tree())
    sources = [Path(tree, name).read_bytes() for name in list(launch_tasks.python_files(tree))[:40]]
    lines = sum(source.count(b"\n") for source in sources)
    assert re.search(r"^\[#+\] 40 of 40 files$", said, re.MULTILINE)
    assert f" in {lines:,} lines of 40 files\n" in said
    assert re.search(r"^42 tasks in .* s, .* ms per task$", said, re.MULTILINE)
    assert "\nfib(100) = 354224848179261915075\n101 tasks in " in said
    (times,) = re.findall(r"^self +([\d,]+) +\d+$", said, re.MULTILINE)
    mentioned = sum(len(re.findall(rb"\bself\b", source)) for source in sources)  # comments and strings too
    assert mentioned / 2 < int(times.replace(",", "")) <= mentioned


def test_the_quadrature_is_as_good_as_was_asked(tmp_path: Path) -> None:
    said = run(tmp_path, str(EXAMPLES / "quadrature.py"), "1e-7")
    (error, tasks) = re.search(r", (\S+) from the truth\n(\d+) tasks", said).groups()  # type: ignore[union-attr]
    assert float(error) < 1e-7
    assert int(tasks) % 2 == 1
    assert int(tasks) > 50


def test_the_queens_are_all_found(tmp_path: Path) -> None:
    said = run(tmp_path, str(EXAMPLES / "queens.py"), "7")
    assert re.findall(r"7 queens: (\d+) ways; (\d+) tasks on (\d)", said) == [("40", "254", "1"), ("40", "254", "2")]


def test_the_crawl_hashes_every_file_once_and_equal_trees_alike(tmp_path: Path) -> None:
    for tree in ("a", "b"):
        (tmp_path / tree / "deep" / "deeper").mkdir(parents=True)
        (tmp_path / tree / "deep" / "deeper" / "file").write_text("12345")
        (tmp_path / tree / "file").write_text("123")
        (tmp_path / tree / "loop").symlink_to(tmp_path / tree)
    first, second = (run(tmp_path, str(EXAMPLES / "crawl.py"), tree) for tree in ("a", "b"))
    assert "\n2 files, 0.0 MB in " in first
    assert first.split()[1] == second.split()[1]
    (tmp_path / "b" / "deep" / "deeper" / "file").write_text("12346")
    assert run(tmp_path, str(EXAMPLES / "crawl.py"), "b").split()[1] != first.split()[1]


def test_the_stream_answers_every_item(tmp_path: Path) -> None:
    said = run(tmp_path, str(EXAMPLES / "stream.py"), "60", "300")
    assert re.search(r"^60 items, 300 a second, .*\np50 [\d.]+ ms, p99 [\d.]+ ms\n\d+ of 60 were later", said)


def shape(said: str) -> list[str]:
    """Lines with their figures and names blotted out."""
    lines = [re.sub(r"[\d.,]+", "0", line) for line in said.strip().splitlines()]
    return [re.sub(r"^\w+ +0 +0$", "...", line) for line in lines]


def test_the_readme_shows_what_the_demo_prints(tmp_path: Path) -> None:
    readme = (EXAMPLES.parent / "README.md").read_text()
    (shown,) = re.findall(r"<!-- the output of make demo -->\n\n```text\n(.*?)```", readme, re.DOTALL)
    assert shape(shown) == shape(run(tmp_path, str(EXAMPLES / "launch_tasks.py"), "--files", "40"))
    assert "fib(100) = 354224848179261915075" in shown


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_the_whole_demo_needs_less_than_a_minute_of_two_cores(tmp_path: Path) -> None:
    """Counted in processor time: by the clock it depends on what else runs here."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "fib(100) = 354224848179261915075" in run(tmp_path, str(EXAMPLES / "launch_tasks.py"), timeout=180)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2 * 60


def test_the_demo_serves_every_file_that_its_index_names(tmp_path: Path, launch_tasks: ModuleType) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "site-packages").mkdir()
    for name in ("b/with space & #1?.py", "a.py", "site-packages/installed.py", "b/text.txt"):
        (tmp_path / name).write_text(name)
    (tmp_path / "nowhere.py").symlink_to(tmp_path / "gone.py")
    with launch_tasks.serve(tmp_path) as index_uri:
        names = launch_tasks.download(index_uri).decode().splitlines()
        contents = [launch_tasks.download(urljoin(index_uri, name)).decode() for name in names]
    assert contents == ["a.py", "b/with space & #1?.py"]


def test_the_demo_counts_the_names_of_broken_files_up_to_the_fault(tmp_path: Path, launch_tasks: ModuleType) -> None:
    (tmp_path / "broken.py").write_text("a = b + b\nif a:\n'''never closed\n")
    (tmp_path / "latin.py").write_bytes(b"# coding: no-such-encoding\na = 1\n")
    with launch_tasks.serve(tmp_path) as index_uri:
        broken = launch_tasks.names_in_file(urljoin(index_uri, "broken.py"))
        latin = launch_tasks.names_in_file(urljoin(index_uri, "latin.py"))
    assert (broken["lines"], broken["names"]["b"]) == (3, 2)
    assert latin == {"lines": 2, "names": {}}


def test_the_demo_finds_source_files_when_the_library_is_an_archive(
    tmp_path: Path, launch_tasks: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "python311.zip").write_bytes(b"PK")
    monkeypatch.setattr(launch_tasks.sysconfig, "get_path", lambda name: str(tmp_path / "python311.zip"))
    monkeypatch.setattr(launch_tasks.os, "__file__", str(tmp_path / "python311.zip" / "os.pyc"))
    assert "__init__.py" in launch_tasks.python_files(launch_tasks.source_tree())


def test_a_download_that_fails_says_of_what(tmp_path: Path, launch_tasks: ModuleType) -> None:
    with launch_tasks.serve(tmp_path) as index_uri, pytest.raises(OSError, match=r"gone\.py: 404"):
        launch_tasks.download(urljoin(index_uri, "gone.py"))
