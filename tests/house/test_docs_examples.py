"""What README and docs show is run: marked blocks as scripts in a fresh interpreter, ``>>>`` in docstrings as doctests.

A marked block is a fenced ``python`` block under ``<!-- run -->``. Under ``<!-- run: goes on -->`` it goes on where the
marked block above it stopped. If ``<!-- prints -->`` and a fenced block follow, the script prints exactly that.
"""

from __future__ import annotations

import doctest
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import fastsched

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

BLOCK = re.compile(
    r"^<!-- run(?P<on>: goes on)? -->\n+```python\n(?P<code>.*?)^```\n"
    r"(?:\n*<!-- prints -->\n+```\w*\n(?P<prints>.*?)^```)?",
    re.MULTILINE | re.DOTALL,
)


class Example(NamedTuple):
    """A script that a page shows."""

    place: str  # "README.md:12"
    code: str
    prints: str | None


def examples(page: Path) -> list[Example]:
    """All marked blocks of a page, each with what it goes on from."""
    text = page.read_text()
    found: list[Example] = []
    for match in BLOCK.finditer(text):
        line = text.count("\n", 0, match.start("code"))
        before = found[-1].code if match["on"] else ""
        found.append(Example(f"{page.name}:{line}", before + match["code"], match["prints"]))
    return found


def said_by(example: Example, where: Path) -> str:
    """Run the example as a user would: a script in a file, no main guard, from another directory."""
    script = where / "example.py"
    script.write_text(example.code)
    environment = os.environ | {"PYTHONPATH": str(Path(fastsched.__file__).parents[1])}
    command = [sys.executable, str(script)]
    run = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, timeout=50, check=False)
    assert (run.returncode, run.stderr) == (0, ""), run.stderr
    return run.stdout


@pytest.mark.parametrize("example", [e for page in PAGES for e in examples(page)], ids=lambda example: example.place)
def test_an_example_runs_and_prints_what_the_page_says(example: Example, tmp_path: Path) -> None:
    said = said_by(example, tmp_path)
    if example.prints is not None:
        assert said == example.prints


def test_the_readme_has_an_example_that_runs() -> None:
    assert examples(ROOT / "README.md")


def modules_with_doctests() -> list[str]:
    paths = [path for path in sorted((ROOT / "fastsched").rglob("*.py")) if ">>> " in path.read_text()]
    return [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]


@pytest.mark.parametrize("module", modules_with_doctests())
def test_the_examples_in_docstrings_are_true(module: str) -> None:
    result = doctest.testmod(
        importlib.import_module(module), optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    )
    assert result.attempted > 0
    assert result.failed == 0


PAGE = """
<!-- run -->

```python
x = 1
print(x)
```

<!-- prints -->

```text
1
```

```python
never run
```

<!-- run: goes on -->
```python
print(x + 1)
```
"""


def test_marked_blocks_are_found_with_what_they_print(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert examples(page) == [
        Example("page.md:4", "x = 1\nprint(x)\n", "1\n"),
        Example("page.md:20", "x = 1\nprint(x)\nprint(x + 1)\n", None),
    ]
    assert said_by(examples(page)[1], tmp_path) == "1\n2\n"


@pytest.mark.parametrize("code", ["raise SystemExit(3)", "import sys; print('noise', file=sys.stderr)"])
def test_a_failing_or_noisy_example_is_seen(tmp_path: Path, code: str) -> None:
    with pytest.raises(AssertionError):
        said_by(Example("page.md:1", code, None), tmp_path)
