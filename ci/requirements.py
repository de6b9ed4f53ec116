"""Print requirements of pyproject.toml, one a line: ``requirements.py EXTRA...``, or ``--lowest`` for the oldest ones.

An extra can then be installed without building the package again, and the lower ends of the ranges can be tested.
"""

import re
import sys
import tomllib
from pathlib import Path

PROJECT = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())["project"]


def lowest(requirement: str) -> str:
    """Turn ``numpy>=2.0,<3; marker`` into ``numpy==2.0; marker``."""
    return re.sub(r">=([^,;]+)(,<[^;]+)?", r"==\1", requirement)


def main(arguments: list[str]) -> None:
    """Print what the arguments ask for."""
    if arguments == ["--lowest"]:
        print("\n".join(map(lowest, PROJECT["dependencies"])))
        return
    for extra in arguments:
        print("\n".join(PROJECT["optional-dependencies"][extra]))


if __name__ == "__main__":
    main(sys.argv[1:])
