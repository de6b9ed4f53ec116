"""cloudpickle, with one correction.

One concern: things that travel by value. cloudpickle gives a class of ``__main__`` an identity, so that an instance
that comes back is an instance of the very class that was sent. But it then also sets all attributes of that class
again, to what came back: methods become copies that see copies of the globals. So a class is left alone in the
process that defined it; elsewhere it follows what is sent. Called by `pickling`.
"""

from __future__ import annotations

import io
import weakref
from collections.abc import Callable
from functools import cache
from typing import Any

from fastsched import _late

__all__ = ["dumps"]

_defined_here: weakref.WeakKeyDictionary[type, bool] = weakref.WeakKeyDictionary()


def dumps(obj: Any, protocol: int, buffer_callback: Callable[[Any], Any] | None = None) -> bytes:
    """As `cloudpickle.dumps`."""
    out = io.BytesIO()
    _pickler()(out, protocol, buffer_callback).dump(obj)
    return out.getvalue()


@cache
def _pickler() -> Any:
    """The class is made at its first use: cloudpickle is imported late."""
    cloudpickle: Any = _late.cloudpickle()

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        def reducer_override(self, obj: Any) -> Any:
            reduced = super().reducer_override(obj)
            if not isinstance(obj, type) or type(reduced) is not tuple or len(reduced) < 6:
                return reduced
            made, arguments, state, _, _, setter = reduced
            _defined_here.setdefault(obj, True)
            return made, arguments, (setter, state), None, None, set_class_state

    return Pickler


def set_class_state(cls: type, sent: tuple[Callable[[type, Any], None], Any]) -> None:
    """Give a class that arrived its attributes, unless it is from here."""
    setter, state = sent
    if not _defined_here.setdefault(cls, False):
        setter(cls, state)
