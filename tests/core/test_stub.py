"""The stub _core.pyi says what the compiled module has: no name more, none less, the same numbers."""

from __future__ import annotations

import ast
from enum import IntEnum
from pathlib import Path

import pytest

from fastsched import _core

STUB = ast.parse(Path(_core.__file__).with_name("_core.pyi").read_text())
CLASSES = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef)}


def names(body: list[ast.stmt]) -> set[str]:
    """Public names that are defined or declared here."""
    found: set[str] = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return {name for name in found if not name.startswith("_")}


def test_the_core_has_the_verbs_of_the_stub() -> None:
    assert names(CLASSES["SchedulerCore"].body) == {n for n in dir(_core.SchedulerCore) if not n.startswith("_")}


def test_the_module_has_the_names_of_the_stub() -> None:
    imported = {"IntEnum", "NamedTuple", "Block", "cython"}
    aliases = {"Int64s", "Ids"}
    assert names(STUB.body) - aliases == {n for n in dir(_core) if not n.startswith("_")} - imported


@pytest.mark.parametrize("enum", [_core.State, _core.Effect, _core.Event], ids=lambda enum: enum.__name__)
def test_an_enum_has_the_numbers_of_the_stub(enum: type[IntEnum]) -> None:
    assigned = [node for node in CLASSES[enum.__name__].body if isinstance(node, ast.Assign)]
    stub = {ast.unparse(node.targets[0]): ast.literal_eval(node.value) for node in assigned}
    assert stub == {member.name: member.value for member in enum}
