"""The README says what is so: its links lead somewhere, and the names that it promises exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import fastsched

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def links(text: str) -> list[str]:
    """Where relative links lead to."""
    return [target for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) if "://" not in target]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    assert [target for target in links(page.read_text()) if not (page.parent / target).exists()] == []


def test_a_dead_link_is_seen() -> None:
    assert links("[a](docs/a.md#part), [](b.md), [c](https://c.org), [d](#here)") == ["docs/a.md", "b.md"]


def test_errors_that_the_readme_names_are_public() -> None:
    named = set(re.findall(r"`([A-Z]\w+(?:Lost|Workers|Error))`", README))
    assert named >= {"WorkerLost", "NoWorkers", "SchedulerLost", "DataLost", "CancelledError", "SerializationError"}
    assert {name for name in named if name not in fastsched.__all__} == set()


def test_commands_that_the_readme_shows_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = set(re.findall(r"make (\w+)(?=\s+#|`)", README))
    assert shown >= {"demo", "test", "docs"}
    assert shown <= targets
