"""Tracebacks as data, and back.

One concern: a traceback object cannot be pickled, but what it shows can: file, function and line of each frame.
`rebuild` makes real frames of that (functions with these names that raise at once) and a real traceback over them, so
that `traceback`, loggers and debuggers show the place where the exception was raised as if it had been raised here.
After tblib (https://github.com/ionelmc/python-tblib). Called by `failures`.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import cache
from types import CodeType, FrameType, TracebackType
from typing import TypeAlias

from fastsched import _late

__all__ = ["Place", "rebuild", "summary", "users_part"]

Place: TypeAlias = tuple[str, str, int]  # file, function, line

PLACES = 200  # of a longer traceback (a RecursionError's) the first and the last half are kept


class _Here(Exception):  # noqa: N818
    """Raised to get hold of a frame."""


@cache
def _raising() -> CodeType:
    """Code that raises and has no columns, so that no part of the line that is shown for it is underlined."""
    ast = _late.ast()
    tree = ast.parse("raise _Here")
    for node in ast.walk(tree):
        if isinstance(node, (ast.stmt, ast.expr)):
            node.col_offset = node.end_col_offset = -1
    return compile(tree, "<here>", "exec")


def users_part(traceback: TracebackType | None) -> TracebackType | None:
    """The traceback without the frames of ours that it begins with (all of it, if there are no others)."""
    rest = traceback
    while rest is not None and str(rest.tb_frame.f_globals.get("__name__", "")).startswith("fastsched."):
        rest = rest.tb_next
    return traceback if rest is None else rest


def summary(traceback: TracebackType | None) -> tuple[Place, ...]:
    """What a traceback shows, outermost first."""
    places = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        places.append((code.co_filename, code.co_name, traceback.tb_lineno or 0))
        traceback = traceback.tb_next
    if len(places) > PLACES:
        places[PLACES // 2 : -PLACES // 2] = []
    return tuple(places)


def rebuild(places: tuple[Place, ...]) -> TracebackType | None:
    """A real traceback that shows this."""
    traceback = None
    for file, function, line in reversed(places):
        code = _raising().replace(co_filename=file, co_name=function, co_qualname=function, co_firstlineno=line)
        frame = _frame(code, file)
        # a real instruction: tools that look for the node of a frame's last one search without an end for another
        traceback = TracebackType(traceback, frame, frame.f_lasti, line)
    return traceback


def _frame(code: CodeType, file: str) -> FrameType:
    """A frame that has run `code` and hangs on nothing.

    Its ``f_back`` must not lead to whoever asks for it: those frames hold the exception that the traceback is for, and
    would live as long as it, in a cycle. The last frame of a suspended generator has nothing behind it.
    """
    namespace: dict[str, object] = {"_Here": _Here, "__name__": "<remote>", "__file__": file}
    generator = _raised_in(code, namespace)
    frame = next(generator)
    namespace["__generator__"] = generator  # it stays suspended for as long as the frame lives
    return frame


def _raised_in(code: CodeType, namespace: dict[str, object]) -> Generator[FrameType, None, None]:
    try:
        exec(code, namespace)
    except _Here as error:
        found = [error.__traceback__]
    del code, namespace  # this frame is behind the one that it gives away, and must not lead back to it
    yield _second_frame(found.pop())


def _second_frame(traceback: TracebackType | None) -> FrameType:
    assert traceback is not None and traceback.tb_next is not None
    return traceback.tb_next.tb_frame
