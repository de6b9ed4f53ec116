"""Is a Python frame entered? A signal handler that raises strikes only where there is one."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")


def without_frames(verb: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Call a verb of a machine; AssertionError if it enters a Python frame, wherever that is."""
    entered: list[str] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            entered.append(f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_qualname}")

    collecting = gc.isenabled()
    gc.disable()  # a collection in between may run what others left behind, and is not the verb's
    sys.setprofile(note)
    try:
        answer = verb(*args, **kwargs)
    finally:
        sys.setprofile(None)
        if collecting:
            gc.enable()
    assert entered == [], f"{verb} enters Python frames"
    return answer
