"""Exceptions: they arrive as what they were raised as, or as a text that says everything."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import subprocess
import sys
import traceback
import weakref
from types import TracebackType
from typing import Any

import numpy as np
import pytest

from fastsched import errors
from fastsched.errors import RemoteError
from fastsched.wire import payload
from fastsched.wire.payload import failures, tracebacks
from tests.wire import elsewhere


class Custom(Exception):
    """Wants two arguments, passes on one."""

    def __init__(self, code: int, detail: str) -> None:
        super().__init__(f"code {code}")
        self.code = code
        self.detail = detail


class KeywordOnly(ValueError):
    def __init__(self, *, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NoArguments(OSError):
    def __init__(self) -> None:
        super().__init__(2, "not there", "file")


class Stubborn(Exception):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.lock = (x for x in ())


class Explosive(Exception):
    """Its own way to pickle does not lead back."""

    def __reduce__(self) -> Any:
        return explode, ()


def explode() -> None:
    raise RuntimeError("boom")


class Imposter(Exception):
    """Its own way to pickle leads to something else."""

    def __reduce__(self) -> Any:
        return dict, ()


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def caught(exc: BaseException) -> BaseException:
    try:
        raise exc
    except BaseException as error:
        return error


def there_and_back(exc: BaseException) -> BaseException:
    return payload.loads_exception(*payload.dumps_exception(exc))


def places(trace: TracebackType | None) -> list[tuple[str, int]]:
    return [(frame.name, frame.lineno or 0) for frame in traceback.extract_tb(trace)]


@pytest.mark.parametrize(
    "exc",
    [
        ValueError("text"), KeyError("k"), ZeroDivisionError(), OSError(2, "gone", "file"),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "r"),
        StopIteration(3), SystemExit(4), KeyboardInterrupt(), AssertionError(),
        ModuleNotFoundError("m", name="n", path="p"),
        SyntaxError("bad", ("file", 1, 2, "text")), asyncio.CancelledError(), concurrent.futures.TimeoutError("t"),
        TimeoutError("t"),
        np.exceptions.AxisError(3, 2), subprocess.CalledProcessError(1, ["x"], b"out"), errors.WorkerLost("w"),
        errors.CancelledError("c"), Custom(3, "d"), Explosive("x"), Imposter("y"), KeywordOnly(reason="because"),
        NoArguments(), GeneratorExit(), MemoryError(),
        AttributeError("a", name="n", obj=1), RecursionError("deep"),
    ],
    ids=lambda exc: type(exc).__name__,
)  # fmt: skip
def test_an_exception_arrives_as_what_it_was(exc: BaseException) -> None:
    found = there_and_back(caught(exc))
    assert type(found) is type(exc)
    assert str(found) == str(exc)
    assert found.args == exc.args
    assert found.__dict__ == exc.__dict__


def test_a_custom_init_is_not_called_with_the_wrong_arguments() -> None:
    found = there_and_back(Custom(3, "detail"))
    assert isinstance(found, Custom)
    assert (found.code, found.detail, str(found)) == (3, "detail", "code 3")


def test_an_exception_of_a_local_class_arrives_as_that() -> None:
    class Local(Exception):
        pass

    assert type(there_and_back(Local("x"))) is Local


# -- tracebacks -------------------------------------------------------------------------------------------------------


def outer() -> None:
    inner()


def inner() -> None:
    raise ValueError("from inside")


def failing(function: Any = outer) -> BaseException:
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError


def test_the_traceback_shows_file_function_and_line() -> None:
    error = failing()
    found = there_and_back(error)
    assert places(found.__traceback__) == places(error.__traceback__)
    assert {frame.filename for frame in traceback.extract_tb(found.__traceback__)} == {__file__}
    text = "".join(traceback.format_exception(found))
    assert 'raise ValueError("from inside")' in text
    assert f'File "{__file__}", line {inner.__code__.co_firstlineno + 1}, in inner' in text


def test_the_traceback_survives_several_journeys() -> None:
    error = failing()
    found = there_and_back(there_and_back(there_and_back(error)))
    assert places(found.__traceback__) == places(error.__traceback__)


def test_raising_it_here_adds_the_frames_here() -> None:
    found = there_and_back(failing())

    def raise_it() -> None:
        raise found

    names = [name for name, _ in places(failing(raise_it).__traceback__)]
    assert names == ["failing", "raise_it", "failing", "outer", "inner"]


def test_the_interpreter_itself_prints_it() -> None:
    """Not only the traceback module: an uncaught exception is printed by C code."""
    program = (
        "import tests.wire.test_payload_exceptions as t, sys\n"
        "sys.excepthook = sys.__excepthook__\n"
        "raise t.there_and_back(t.failing())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=elsewhere.ROOT, check=False
    )
    assert f'File "{__file__}", line {inner.__code__.co_firstlineno + 1}, in inner' in done.stderr
    assert "ValueError: from inside" in done.stderr


def test_it_comes_from_another_process_with_everything() -> None:
    with pytest.raises(ValueError, match="from inside") as raised:
        elsewhere.call(outer)
    names = [name for name, _ in places(raised.value.__traceback__)]
    assert names[-2:] == ["outer", "inner"]


def test_our_own_frames_are_left_out() -> None:
    """An exception that a task raises begins with the task."""
    code = compile("def run(fn): fn()", "executor.py", "exec")
    room: dict[str, Any] = {"__name__": "fastsched.worker.executor"}
    exec(code, room)
    try:
        room["run"](outer)
    except ValueError as error:
        trace = error.__traceback__.tb_next  # without this test's own frame
        found = there_and_back(error.with_traceback(trace))
        text = payload.dumps_exception(error)[1]
    assert [name for name, _ in places(found.__traceback__)] == ["outer", "inner"]
    assert "executor.py" not in text


def test_an_exception_of_ours_keeps_its_frames() -> None:
    """If there is nobody else's frame, all are kept."""
    error = failing(lambda: payload.loads((b"garbage",)))
    error.__traceback__ = error.__traceback__.tb_next.tb_next
    (name,) = [name for name, _ in places(there_and_back(error).__traceback__)]
    assert name.endswith("loads")  # a compiled function stands there with its module


def test_a_very_long_traceback_is_shortened() -> None:
    def deep(n: int) -> None:
        if n == 0:
            raise ValueError
        deep(n - 1)

    found = there_and_back(failing(lambda: deep(500)))
    assert len(places(found.__traceback__)) == tracebacks.PLACES


def test_a_file_that_is_not_here_is_named_all_the_same() -> None:
    exec(compile("def nowhere():\n\n    1 / 0", "/no/such/file.py", "exec"), room := {})
    text = "".join(traceback.format_exception(there_and_back(failing(room["nowhere"]))))
    assert 'File "/no/such/file.py", line 3, in nowhere' in text


# -- chains, notes, groups --------------------------------------------------------------------------------------------


def test_causes_and_contexts_are_kept() -> None:
    def chained() -> None:
        try:
            try:
                inner()
            except ValueError:
                raise KeyError("second")  # noqa: B904
        except KeyError as error:
            raise TypeError("third") from error

    found = there_and_back(failing(chained))
    assert isinstance(found, TypeError)
    assert isinstance(found.__cause__, KeyError)
    assert found.__suppress_context__
    assert isinstance(found.__cause__.__context__, ValueError)
    assert not found.__cause__.__suppress_context__
    assert [name for name, _ in places(found.__cause__.__context__.__traceback__)] == ["chained", "inner"]
    text = "".join(traceback.format_exception(found))
    assert "The above exception was the direct cause" in text
    assert "During handling of the above exception" in text


def test_a_suppressed_context_stays_suppressed() -> None:
    def quiet() -> None:
        try:
            inner()
        except ValueError:
            raise KeyError("only this") from None

    found = there_and_back(failing(quiet))
    assert found.__cause__ is None
    assert found.__suppress_context__
    assert "from inside" not in "".join(traceback.format_exception(found))


def test_a_cycle_of_contexts_is_kept() -> None:
    one, other = ValueError("one"), KeyError("other")
    one.__context__, other.__context__ = other, one
    found = there_and_back(one)
    assert found.__context__.__context__ is found


def test_an_endless_chain_is_cut() -> None:
    error: BaseException = ValueError("first")
    for index in range(3 * failures.LINKS):
        later = ValueError(index)
        later.__cause__ = error
        error = later
    found, length = there_and_back(error), 0
    while found is not None:
        found, length = found.__cause__, length + 1
    assert length == failures.LINKS


def test_what_does_not_pickle_in_a_chain_is_replaced_by_its_text() -> None:
    error = ValueError("outer")
    error.__cause__ = caught(Stubborn("inner"))
    found = there_and_back(error)
    assert isinstance(found, ValueError)
    assert isinstance(found.__cause__, RemoteError)
    assert "Stubborn: inner" in str(found.__cause__)
    assert places(found.__cause__.__traceback__)


def test_groups_keep_their_members_with_their_tracebacks_and_causes() -> None:
    first, second = failing(), KeyError("k")
    second.__cause__ = failing()
    found = there_and_back(caught(ExceptionGroup("both", [first, ExceptionGroup("inner", [second])])))
    assert isinstance(found, ExceptionGroup)
    assert [name for name, _ in places(found.exceptions[0].__traceback__)] == ["failing", "outer", "inner"]
    deep = found.exceptions[1].exceptions[0]
    assert isinstance(deep, KeyError)
    assert isinstance(deep.__cause__, ValueError)
    assert places(deep.__cause__.__traceback__)


def test_a_group_with_a_member_that_does_not_pickle_arrives_as_text() -> None:
    found = there_and_back(ExceptionGroup("both", [ValueError("good"), Stubborn("bad")]))
    assert isinstance(found, RemoteError)
    assert "Stubborn: bad" in str(found)
    assert "ValueError: good" in str(found)


def test_notes_travel_and_one_is_added() -> None:
    error = ValueError("x")
    error.add_note("from the task")
    frames, text = payload.dumps_exception(error)
    assert payload.loads_exception(frames, text).__notes__ == ["from the task"]
    found = payload.loads_exception(frames, text, "on worker w, attempt 2")
    assert found.__notes__ == ["from the task", "on worker w, attempt 2"]
    assert "attempt 2" in "".join(traceback.format_exception(found))


# -- what cannot travel -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exc", [Stubborn("inside"), ExceptionGroup("inside", [Stubborn("member")])])
def test_what_does_not_pickle_or_not_back_arrives_as_text(exc: BaseException) -> None:
    frames, text = payload.dumps_exception(caught(exc))
    assert frames is None
    assert f"{type(exc).__name__}: inside" in text
    assert f'File "{__file__}"' in text
    found = payload.loads_exception(frames, text, "a note")
    assert isinstance(found, RemoteError)
    assert str(found) == text
    assert found.__notes__ == ["a note"]


@pytest.mark.parametrize(
    "frames",
    [(b"garbage",), payload.dumps(1).frames, payload.dumps([(1, 2)]).frames, payload.dumps([]).frames,
     payload.dumps([(payload.dumps(3).frames, "", (), -1, -1, False, ())]).frames,
     payload.dumps([((b"garbage",), "", (), -1, -1, False, ())]).frames,
     payload.dumps([(payload.dumps(ValueError()).frames, "", (), 7, -1, False, ())]).frames],
    ids=["garbage", "a number", "short links", "no links", "no exception", "garbage inside", "a link to nowhere"],
)  # fmt: skip
def test_frames_that_are_no_exception_arrive_as_text(frames: Any) -> None:
    found = payload.loads_exception(frames, "the text")
    assert isinstance(found, RemoteError)
    assert "the text" in str(found)


def test_an_exception_that_cannot_be_formatted_still_has_a_text() -> None:
    frames, text = payload.dumps_exception(caught(Silent()))
    assert "Silent" in text
    assert type(payload.loads_exception(frames, text)) is Silent


def test_a_long_text_keeps_its_beginning_and_its_end() -> None:
    _, text = payload.dumps_exception(ValueError("a" * 10**6 + "the end"))
    assert len(text) < 2 * failures.TEXT
    assert text.startswith("ValueError: aaa")
    assert text.endswith("the end\n")


def test_an_exception_with_a_huge_array_keeps_its_type_or_its_text() -> None:
    frames, text = payload.dumps_exception(ValueError(np.zeros(10_000)))
    found = payload.loads_exception(frames, text)
    assert type(found) is ValueError
    assert found.args[0].shape == (10_000,)


class Held:
    """Something in the frame of who asks for an exception."""


def raise_it_again(frames: Any, text: str) -> weakref.ref[Held]:
    held = Held()
    try:
        raise payload.loads_exception(frames, text)
    except ValueError:
        return weakref.ref(held)


def test_a_rebuilt_exception_is_in_no_cycle() -> None:
    """It, and what the frames of who asked for it hold, goes with its last reference, without the collector."""
    try:
        raise ValueError("x") from KeyError("cause")
    except ValueError as error:
        frames, text = payload.dumps_exception(error)
    gc.collect()
    gc.disable()
    try:
        assert raise_it_again(frames, text)() is None
    finally:
        gc.enable()


def test_a_rebuilt_frame_names_a_real_instruction_and_no_columns() -> None:
    """Tools that look for a frame's syntax node search around its last instruction; -1 sent IPython into a loop."""
    try:
        raise ValueError("x")
    except ValueError as error:
        frames, text = payload.dumps_exception(error)
    tb = payload.loads_exception(frames, text).__traceback__
    assert tb is not None
    positions = list(tb.tb_frame.f_code.co_positions())
    assert 0 <= tb.tb_lasti == tb.tb_frame.f_lasti < 2 * len(positions)
    assert positions[tb.tb_lasti // 2] == (tb.tb_lineno, tb.tb_lineno, None, None)
