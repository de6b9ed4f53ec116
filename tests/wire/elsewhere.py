"""Another process, as a worker is one: it has another ``__main__``, another hash seed, and only what it is sent.

`call` sends a function and its arguments to a fresh interpreter and returns what it returned there, or raises what it
raised.
"""

from __future__ import annotations

import marshal
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastsched.wire import payload
from fastsched.wire.messages import Buffer

ROOT = Path(__file__).parents[2]


def flat(frames: Any) -> list[bytes] | None:
    """Frames as they would come off a connection."""
    return None if frames is None else [bytes(piece.view) if isinstance(piece, Buffer) else piece for piece in frames]


def run(program: list[str], data: bytes = b"", hash_seed: int = 1) -> bytes:
    """A fresh interpreter in the repository's root; what it printed."""
    environ = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *program], input=data, capture_output=True, env=environ, cwd=ROOT, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def call(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """``fn(*args, **kwargs)`` in another process."""
    fn_id, function = payload.functions.pickle_function(fn)
    frames, dependencies, _ = payload.dumps_call(args, kwargs, "the call elsewhere")
    assert not dependencies
    output = run(["-m", "tests.wire.elsewhere"], marshal.dumps((fn_id, flat(function), flat(frames))))
    ok, result, text = marshal.loads(output)
    if ok:
        return payload.loads(tuple(result))
    raise payload.loads_exception(None if result is None else tuple(result), text)


def serve() -> None:
    """The other end."""
    fn_id, function, frames = marshal.loads(sys.stdin.buffer.read())
    try:
        fn = payload.functions.load(fn_id, tuple(function))
        args, kwargs = payload.loads_call(tuple(frames))
        answer = True, flat(payload.dumps(fn(*args, **kwargs)).frames), ""
    except Exception as error:
        pickled, text = payload.dumps_exception(error)
        answer = False, flat(pickled), text
    sys.stdout.buffer.write(marshal.dumps(answer))


if __name__ == "__main__":
    serve()
