"""Items, messages and their texts, made where no signal handler can strike."""

from typing import Any, TypeVar

T = TypeVar("T", bound=tuple[Any, ...])

def make(kind: type[T], fields: tuple[Any, ...]) -> T:
    """A named tuple with these fields: ``kind(*fields)`` without its bytecode.

    The number of fields is checked in debug builds only.

    Parameters
    ----------
    kind : type
        A subclass of `typing.NamedTuple`.
    fields : tuple
        All of them, in order; defaults are not filled in.

    Raises
    ------
    TypeError
        If `kind` is no kind of tuple.
    """

def fields(item: tuple[Any, ...]) -> tuple[Any, ...]:
    """The fields of a named tuple as a plain one, which compiled code takes apart four times as fast.

    Raises
    ------
    SystemError
        If it is no kind of tuple.
    """

def quoted(text: str) -> str:
    """``repr(text)``, without the look for signals that `repr` begins with."""
