"""Kinds of option values that click does not have.

One concern: from a text to a number with a unit. Called by the commands; imports durations.
"""

from __future__ import annotations

import click

from fastsched.resources import limit_of
from fastsched.timing import seconds

__all__ = ["DURATION", "LOG_LEVEL", "MEMORY"]


class Memory(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic since click 8.2
    """A memory limit, as `fastsched.resources.limit_of` reads it."""

    name = "memory"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """See `click.ParamType.convert`."""
        try:
            limit_of(value, 1, 1)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return value


class Duration(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A time span, as `fastsched.timing.seconds` reads it."""

    name = "duration"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See `click.ParamType.convert`."""
        try:
            span = seconds(value)
        except ValueError:
            span = None
        if span is None:
            self.fail(f"{value!r} is no duration such as 90, 500ms or 10min", param, ctx)
        return span


DURATION = Duration()
MEMORY = Memory()
LOG_LEVEL = click.Choice(["debug", "info", "warning", "error"])
