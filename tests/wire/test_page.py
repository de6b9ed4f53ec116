"""docs/wire.md shows the wire as it is: the messages, the limits, the frames of the handshake."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fastsched.config import Config
from fastsched.wire import handshake
from fastsched.wire.catalogue import MESSAGES
from fastsched.wire.framing import BUFFER, FIRST_CODE, LAST_CODE, PIECE

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "wire.md").read_text()


def section(title: str) -> str:
    """The text under a headline."""
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_the_messages_are_current() -> None:
    command = [sys.executable, str(ROOT / "docs" / "make_wire.py"), "--check"]
    run = subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, check=False)
    assert run.returncode == 0, "write it again: python docs/make_wire.py"


@pytest.mark.parametrize(("code", "kind"), MESSAGES.items())
def test_every_message_is_there_with_its_code_and_a_meaning(code: int, kind: type) -> None:
    (meaning,) = re.findall(
        rf"^\| {code} \| \*\*`{kind.__name__}`\*\* <br> (.+?) \|", section("Messages"), re.MULTILINE
    )
    assert meaning


def test_every_limit_of_the_decoder_is_named_and_exists() -> None:
    named = set(re.findall(r"\| `(\w+)` \|", section("Limits")))
    assert named <= Config().as_dict().keys()
    source = "".join((ROOT / "fastsched" / "wire" / name).read_text() for name in ("framing.py", "codec.pyx"))
    assert named == set(re.findall(r"config\.(\w+)", source))


@pytest.mark.parametrize("frame", ["HELLO", "CHALLENGE", "PROOF", "WELCOME", "REFUSED"])
def test_the_frames_of_the_handshake_have_the_lengths_that_the_page_says(frame: str) -> None:
    text = section("The handshake")
    rows = re.search(rf"^\| {frame} \|.*?(?=^\| [A-Z]|\n\n)", text, re.MULTILINE | re.DOTALL)
    assert rows is not None
    last = int(re.findall(r"(\d+) \| [^|]*\|$", rows[0], re.MULTILINE)[-1])
    layouts = {"HELLO": "HELLO", "CHALLENGE": "CHALLENGE", "PROOF": "PROOF", "WELCOME": "PROOF", "REFUSED": "REFUSED"}
    size = getattr(handshake, f"_{layouts[frame]}").size
    assert last == size - 1
    assert size <= 128
    assert frame == "REFUSED" or f"{size} bytes" in next(line for line in text.splitlines() if frame in line)


def test_the_kinds_of_frames_are_those_of_the_code() -> None:
    text = section("Packets and frames")
    assert f"| {FIRST_CODE} to {LAST_CODE} |" in text
    assert f"| {PIECE} | a piece" in text
    assert f"| {BUFFER} | a buffer" in text
