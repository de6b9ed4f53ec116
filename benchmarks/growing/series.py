"""The list of what grows, to which sizes, and which figures are shown. Data only."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SERIES", "Series", "series_of"]


@dataclass(frozen=True)
class Series:
    """One table, and one line of the plot.

    Attributes
    ----------
    name : str
    title : str
        What grows.
    text : str
        What is done at each size.
    sizes, smoke : tuple of int
        The sizes; and those for a look whether it works.
    figures : dict
        Heads of the columns, by names of figures.
    """

    name: str
    title: str
    text: str
    sizes: tuple[int, ...]
    smoke: tuple[int, ...]
    figures: dict[str, str]


SERIES = (
    Series(
        "pending",
        "tasks pending",
        "so many tasks are submitted while there is no worker; then 24 workers come and run them; then all futures go",
        (10_000, 100_000, 1_000_000),
        (500, 1000),
        {
            "on a core": "scheduler on a core",
            "on a core, submit": "of that submit",
            "on a core, run": "run",
            "on a core, release": "release",
            "submit": "`map`, time passing",
            "bytes pending": "memory pending",
            "bytes with values": "with values",
        },
    ),
    Series(
        "clients",
        "clients",
        "20,000 tasks, divided among so many clients of one process, on 24 workers",
        (1, 10, 100),
        (1, 3),
        {"on a core": "scheduler on a core", "passed": "time passing"},
    ),
    Series(
        "workers",
        "workers",
        "20,000 tasks on so many workers at once, then 1,000 one at a time; the machine alone has no sockets",
        (2, 10, 100, 1000),
        (2, 5),
        {
            "on a core": "scheduler on a core",
            "machine alone": "the machine alone",
            "passed": "time passing",
            "on a core, one at a time": "one at a time, on a core",
            "round trip": "round trip",
        },
    ),
    Series(
        "fan-in",
        "inputs of one task",
        "one task takes the results of so many others, on 24 workers; the cost is per input",
        (1000, 10_000, 100_000),
        (50, 100),
        {"on a core": "scheduler on a core", "passed": "time passing"},
    ),
)


def series_of(name: str) -> Series:
    """The series of that name; ValueError names those that there are."""
    for found in SERIES:
        if found.name == name:
            return found
    raise ValueError(f"nothing that grows is called {name!r}; there are {', '.join(s.name for s in SERIES)}")
