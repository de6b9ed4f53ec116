"""Writes the messages of docs/wire.md from fastsched/wire/messages.py, so that the page cannot lie.

    python docs/make_wire.py            writes it
    python docs/make_wire.py --check    ends with 1 if the page is not what it would write

Codes and roles come from the tables of the module; sections, fields, types and what is said about them from its source.
"""

import argparse
import ast
import io
import itertools
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fastsched.wire.catalogue import ALLOWED, CODES
from fastsched.wire.messages import ErrorKind, Role, Stage, Verb

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "fastsched" / "wire" / "messages.py"
PAGE = ROOT / "docs" / "wire.md"
BEGIN = "<!-- written by docs/make_wire.py -->\n"
END = "<!-- end -->\n"

ITEMS = "items"  # the section of what is no message itself
HEADLINE = re.compile(r"# -- (.*?) -+$")


class Field(NamedTuple):
    """One field of a message or item."""

    name: str
    type: str
    meaning: str


class Shape(NamedTuple):
    """A message or an item."""

    section: str
    name: str
    meaning: str
    fields: list[Field]


class Type(NamedTuple):
    """A name for a type and a condition."""

    name: str
    type: str
    condition: str
    meaning: str


def comments_of(source: str) -> dict[int, str]:
    """The comment on each line that has one."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.start[0]: token.string for token in tokens if token.type == tokenize.COMMENT}


def shapes_of(source: str) -> Iterator[Shape]:
    """All messages and items, in the order of the source."""
    comments = comments_of(source)
    headlines = {line: match[1] for line, text in comments.items() if (match := HEADLINE.match(text))}
    for node in ast.parse(source).body:
        if not isinstance(node, ast.ClassDef) or "NamedTuple" not in map(ast.unparse, node.bases):
            continue
        fields = [
            Field(ast.unparse(line.target), ast.unparse(line.annotation), comments.get(line.lineno, "").lstrip("# "))
            for line in node.body
            if isinstance(line, ast.AnnAssign)
        ]
        section = headlines[max(line for line in headlines if line < node.lineno)]
        yield Shape(section, node.name, ast.get_docstring(node) or "", fields)


def types_of(source: str) -> Iterator[Type]:
    """The module's names for types."""
    comments = comments_of(source)
    for node in ast.parse(source).body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) == "TypeAlias" and node.value is not None:
            name, type_ = ast.unparse(node.target), ast.unparse(node.value)
            condition = ""
            if isinstance(node.value, ast.Subscript) and ast.unparse(node.value.value) == "Annotated":
                bare, text = node.value.slice.elts
                type_, condition = ast.unparse(bare), f"`{ast.literal_eval(text).format('value')}`"
            if name != "Message":
                yield Type(name, type_, condition, comments.get(node.lineno, "").lstrip("# "))


def generated(source: str) -> str:
    """The generated part of the page."""
    shapes = list(shapes_of(source))
    codes = {kind.__name__: code for kind, code in CODES.items()}
    lines = ["", "### Names for types", "", "| name | type | condition | |", "|---|---|---|---|"]
    lines += [f"| `{t.name}` | `{cell(t.type)}` | {t.condition} | {t.meaning} |" for t in types_of(source)]
    for section, members in itertools.groupby(shapes, key=lambda shape: shape.section):
        title = f"### {section[0].upper()}{section[1:].replace('->', '→')}"
        columns = ["name", "fields"] if section == ITEMS else ["code", "name", "fields"]
        lines += ["", title, "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
        for shape in members:
            name = f"**`{shape.name}`** <br> {' '.join(shape.meaning.split())}"
            code = [] if section == ITEMS else [str(codes[shape.name])]
            lines.append(f"| {' | '.join([*code, name, ' <br> '.join(map(shown, shape.fields))])} |")
    for kind in (ErrorKind, Verb, Stage):
        lines += ["", f"### {kind.__name__}", "", "| number | name |", "|---|---|"]
        lines += [f"| {member.value} | {member.name} |" for member in kind]
    lines += ["", "### Who may send what", "", "| role | messages |", "|---|---|"]
    for role in Role:
        names = sorted((kind.__name__ for kind in ALLOWED[role]), key=[shape.name for shape in shapes].index)
        lines.append(f"| {role.name.lower()} ({role.value}) | {', '.join(f'`{name}`' for name in names)} |")
    return "\n".join(lines) + "\n\n"


def shown(field: Field) -> str:
    text = f"`{field.name}`: `{cell(field.type)}`"
    return f"{text}, {field.meaning}" if field.meaning else text


def cell(text: str) -> str:
    """No bars in a table's cell."""
    return text.replace(" | ", " or ")


def written(page: str, source: str) -> str:
    """The page with its generated part made anew."""
    head, rest = page.split(BEGIN)
    _, tail = rest.split(END)
    return head + BEGIN + generated(source) + END + tail


def main(check: bool) -> int:
    page = PAGE.read_text()
    made = written(page, SOURCE.read_text())
    if check:
        return int(made != page)
    PAGE.write_text(made)
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the messages part of docs/wire.md.")
    parser.add_argument("--check", action="store_true", help="only say whether it is current")
    sys.exit(main(parser.parse_args().check))
