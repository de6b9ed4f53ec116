"""Writes the table of docs/configuration.md from fastsched/config.py, so that the page cannot lie.

    python docs/make_config.py            writes it
    python docs/make_config.py --check    ends with 1 if the page is not what it would write

A section's headline, a field's default and the comment beside it, which says what it is for, come from the source.
"""

import argparse
import ast
import io
import re
import sys
import tokenize
from pathlib import Path
from typing import NamedTuple

from fastsched.config import Config

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "configuration.md"
BEGIN = "<!-- written by docs/make_config.py -->\n"
END = "<!-- end -->\n"

UNITS = {
    "bytes": "bytes",
    "budget": "bytes",
    "seconds": "seconds",
    "interval": "seconds",
    "ttl": "seconds",
}  # by a name's last word
HEADLINE = re.compile(r"# -- (.*?) -+$")


class Field(NamedTuple):
    """A line of the table."""

    section: str
    name: str
    default: float
    meaning: str

    @property
    def variable(self) -> str:
        return "FASTSCHED_" + self.name.upper()

    @property
    def unit(self) -> str:
        return UNITS.get(self.name.rpartition("_")[2], "")


def fields_of(source: str) -> list[Field]:
    """All fields of `Config`, in the order of its source."""
    comments = {
        token.start[0]: token.string
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    headlines = {line: match[1] for line, text in comments.items() if (match := HEADLINE.match(text))}
    config = next(n for n in ast.parse(source).body if isinstance(n, ast.ClassDef) and n.name == Config.__name__)
    fields = []
    for node in config.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
            section = headlines[max(line for line in headlines if line < node.lineno)]
            fields.append(Field(section, name, getattr(Config(), name), comments.get(node.lineno, "").lstrip("# ")))
    return fields


def shown(value: float, unit: str) -> str:
    """A default as a person writes it: 64 MiB, 10,000, 0.005 s."""
    if unit == "seconds":
        return f"{value:g} s"
    for power, prefix in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if unit == "bytes" and value >= 1 << power:
            return f"{value / (1 << power):g} {prefix}"
    return f"{value:,}"


def table(fields: list[Field]) -> str:
    """The generated part of the page."""
    lines = []
    section = None
    for field in fields:
        if field.section != section:
            section = field.section
            lines += [
                "",
                f"### {section[0].upper()}{section[1:]}",
                "",
                "| field, variable | default | what it is for |",
                "|---|---|---|",
            ]
        names = f"`{field.name}` <br> `{field.variable}`"
        lines.append(f"| {names} | {shown(field.default, field.unit)} | {field.meaning} |")
    return "\n".join(lines) + "\n\n"


def written(page: str, fields: list[Field]) -> str:
    """The page with its generated part made anew."""
    head, rest = page.split(BEGIN)
    _, tail = rest.split(END)
    return head + BEGIN + table(fields) + END + tail


def main(check: bool) -> int:
    page = PAGE.read_text()
    made = written(page, fields_of((ROOT / "fastsched" / "config.py").read_text()))
    if check:
        return int(made != page)
    PAGE.write_text(made)
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the table of docs/configuration.md.")
    parser.add_argument("--check", action="store_true", help="only say whether it is current")
    sys.exit(main(parser.parse_args().check))
