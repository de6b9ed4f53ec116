"""What workers write to standard error is handed on and remembered, and nobody ever waits for a reader."""

from __future__ import annotations

import os
import select

import pytest

from fastsched.spawn import stderr
from fastsched.spawn.stderr import LINES, Terminal, Voice


class Pipe:
    """A pipe that stands for our standard error."""

    def __init__(self) -> None:
        self.end, self.fd = os.pipe()
        os.set_blocking(self.end, False)

    def read(self) -> bytes:
        found = b""
        while select.select([self.end], [], [], 0)[0] and (data := os.read(self.end, 1 << 20)):
            found += data
        return found


@pytest.fixture
def pipe():
    pipe = Pipe()
    yield pipe
    os.close(pipe.fd)
    os.close(pipe.end)


@pytest.fixture(params=["opened again", "shared"])
def terminal(request, pipe, monkeypatch):
    if request.param == "shared":  # as on macOS
        monkeypatch.setattr(stderr, "_opened_again", lambda fd: fd)
    terminal = Terminal(pipe.fd)
    yield terminal
    terminal.close()


@pytest.fixture
def voice():
    voice = Voice()
    yield voice
    voice.close()


def say(voice: Voice, data: bytes) -> None:
    os.write(voice._theirs, data)


def test_what_a_worker_says_is_handed_on_as_it_is(pipe, terminal, voice):
    say(voice, b"half a line, \xff")
    assert voice.hear(terminal)
    assert not voice.hear(terminal)
    assert pipe.read() == b"half a line, \xff"


def test_last_words_are_the_last_lines_and_were_handed_on_before(pipe, terminal, voice):
    lines = [f"line {number}" for number in range(100)]
    say(voice, "\n\n".join(lines).encode() + b"\nExtension modules: a, b (total: 2)\nbad \xff\n")
    words = voice.last_words(terminal).split("\n")
    assert words == [*lines[-LINES + 1 :], "bad \N{REPLACEMENT CHARACTER}"]
    assert pipe.read().startswith(b"line 0\n\nline 1\n")


def test_a_long_line_is_cut_and_a_flood_is_not_kept(pipe, terminal, voice):
    for _ in range(100):
        say(voice, b"x" * 10_000)
        voice.hear(terminal)
        pipe.read()
    assert voice.last_words(terminal) == "x" * 300
    assert len(voice._kept) == 0


def test_the_end_of_all_writers_is_noticed(terminal, voice):
    voice.is_theirs()
    assert not voice.hear(terminal)
    assert voice.ended
    assert voice.last_words(terminal) == ""


def test_a_terminal_that_nobody_reads_is_never_waited_for(pipe, terminal):
    for _ in range(100):
        terminal.write(b"y" * 10_000)
    assert terminal.full
    assert terminal.unsent
    terminal.finish()
    got = pipe.read()
    while terminal.unsent:
        terminal.flush()
        got += pipe.read()
    assert got == b"y" * 1_000_000
    assert not terminal.full


def test_what_is_far_too_much_is_dropped(terminal):
    for _ in range(200):
        terminal.write(b"z" * 10_000)
    assert len(terminal._unsent) < 1_200_000


def test_a_terminal_whose_reader_has_gone_takes_everything(terminal, pipe):
    os.close(pipe.end)
    for _ in range(100):
        terminal.write(b"y" * 10_000)
    assert not terminal.unsent
    pipe.end = os.dup(pipe.fd)


def test_our_own_file_is_not_made_non_blocking_for_others(pipe, terminal):
    assert os.get_blocking(pipe.fd)


def test_a_file_is_written_at_its_end_by_all(tmp_path):
    """Opened again, it would have an offset of its own, and overwrite what others have said."""
    with open(tmp_path / "log", "wb", buffering=0) as file:
        file.write(b"client\n")
        terminal = Terminal(file.fileno())
        terminal.write(b"worker\n")
        file.write(b"client\n")
        terminal.write(b"worker\n")
        terminal.close()
    assert (tmp_path / "log").read_bytes() == b"client\nworker\nclient\nworker\n"
