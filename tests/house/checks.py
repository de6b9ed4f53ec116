"""Each check looks at a tree and answers with complaints, one line each; an empty list means that the rule holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatch
from graphlib import CycleError, TopologicalSorter

from tests.house import rules
from tests.house.rules import Floor
from tests.house.source import Function, Import, Source, Tree

Check = Callable[[Tree], list[str]]


def every_file_has_a_floor(tree: Tree) -> list[str]:
    """Each file stands on a floor that rules.FLOORS names."""
    return [f"{source.path}: on no floor; name it in rules.FLOORS" for source in tree if _floor(source.path) is None]


def imports_point_down(tree: Tree) -> list[str]:
    """No file imports one from a floor above its own."""
    paths = _paths(tree)
    complaints = []
    for source, item in _inner_imports(tree):
        target = paths.get(item.module, f"{tree.room(item.module)}/__init__.py")
        own, other = _floor(source.path), _floor(target)
        if target != rules.LATE and own is not None and other is not None and other > own:
            complaints.append(_at(source, item.line, f"{own.name} imports {item.module}, which is {other.name}"))
    return complaints


def roles_do_not_know_each_other(tree: Tree) -> list[str]:
    """A role's room is seen from inside and from the few files that join roles."""
    return [
        _at(source, item.line, f"imports {item.module}, the room of another role")
        for source, item in _inner_imports(tree)
        if tree.room(item.module) in rules.ROLES
        and tree.room(item.module) != tree.room(source.module)
        and not source.matches(*rules.SEES_ROLES)
    ]


def modules_have_one_home(tree: Tree) -> list[str]:
    """uvloop in one file, pickle in one file, sockets in net and spawn."""
    return [
        _at(source, item.line, f"imports {item.module}; its home is {' '.join(homes)}")
        for source, item in _all_imports(tree)
        if (homes := rules.HOMES.get(item.module.split(".")[0])) and not source.matches(*homes)
    ]


def machines_are_pure(tree: Tree) -> list[str]:
    """A machine imports nothing that makes it depend on when or where it runs."""
    return [
        _at(source, item.line, f"a machine imports {item.module}")
        for source, item in _all_imports(tree)
        if _floor(source.path) == Floor.MACHINE
        and _is_one_of(item.module, rules.IMPURE)
        and (source.path, item.module) not in rules.IMPURE_ALLOWED
    ]


def randomness_is_seeded(tree: Tree) -> list[str]:
    """Nothing asks the interpreter's own generator; a `Random(seed)` is an argument like time."""
    imported = [
        _at(source, item.line, f"imports {name} from random; use {rules.SEEDED}(seed)")
        for source, item in _all_imports(tree)
        for name in item.names
        if item.module == "random" and name != rules.SEEDED
    ]
    called = [
        _at(source, line, f"calls {name}; use {rules.SEEDED}(seed)")
        for source in tree
        for line, name in source.calls
        if name.startswith("random.") and name != f"random.{rules.SEEDED}"
    ]
    return imported + called


def the_wire_does_no_io(tree: Tree) -> list[str]:
    """wire/ turns bytes into objects and back, wherever they come from."""
    return [
        _at(source, item.line, f"the wire imports {item.module}")
        for source, item in _all_imports(tree)
        if source.matches("wire/*") and _is_one_of(item.module, rules.WIRE_MAY_NOT)
    ]


def imports_stand_at_the_top(tree: Tree) -> list[str]:
    """No import inside a function, except where start-up time is paid for."""
    return [
        _at(source, item.line, f"{item.function}() imports {item.module}")
        for source, item in _all_imports(tree)
        if item.function and source.path != rules.LATE
    ]


def imports_name_their_module(tree: Tree) -> list[str]:
    """No import_module(text), except where the late imports are."""
    return [
        _at(source, line, f"calls {name}")
        for source in tree
        for line, name in source.calls
        if name.rsplit(".", 1)[-1] in ("import_module", "__import__") and source.path not in rules.IMPORTS_BY_NAME
    ]


def modules_form_no_knot(tree: Tree) -> list[str]:
    """No module imports itself through others. (For the type checker alone, neighbours in a room may.)"""
    edges: dict[str, set[str]] = {source.module: set() for source in tree}
    for source, item in _inner_imports(tree):
        if not item.typing_only and source.path != rules.LATE and item.module != source.module:
            edges[source.module].add(item.module)
    return _knots(edges)


def rooms_form_no_knot(tree: Tree) -> list[str]:
    """No room imports itself through others, not even for the type checker."""
    edges: dict[str, set[str]] = {tree.room(source.module): set() for source in tree}
    for source, item in _inner_imports(tree):
        own, other = tree.room(source.module), tree.room(item.module)
        if own != other and source.path != rules.LATE:
            edges[own].add(other)
    return _knots(edges)


def clocks_are_monotonic(tree: Tree) -> list[str]:
    """Nothing reads the wall clock."""
    return [
        _at(source, line, f"{name}() jumps; use time.monotonic()")
        for source in tree
        for line, name in source.calls
        if name in rules.WALL_CLOCKS
    ]


def nobody_reaches_inside(tree: Tree) -> list[str]:
    """An underscore belongs to its object."""
    return [
        _at(source, line, f"reaches into {text}")
        for source in tree
        for line, text in source.reaches
        if text not in rules.REACHES_ALLOWED and not text.startswith(f"{tree.package}._")
    ]


def nothing_is_swallowed(tree: Tree) -> list[str]:
    """No `except Exception: pass`."""
    return [_at(source, line, "swallows every exception") for source in tree for line in source.silent]


def states_have_names(tree: Tree) -> list[str]:
    """States and kinds are compared with members of an enumeration, not with texts."""
    return [
        _at(source, line, f"compares with a bare text: {text}") for source in tree for line, text in source.bare_states
    ]


def every_module_says_what_it_is_for(tree: Tree) -> list[str]:
    """A docstring at the top; in a .pxd or .pxi a comment will do."""
    return [f"{source.path}: has no docstring" for source in tree if not source.has_docstring]


def files_are_in_proportion(tree: Tree) -> list[str]:
    """A file can be read in one sitting."""
    return [
        f"{source.path}: {source.lines} lines, the limit is {rules.LINES_PER_FILE}"
        for source in tree
        if source.lines > rules.LINES_PER_FILE and not _allowed(source.path, rules.FILES_ALLOWED)
    ]


def functions_are_in_proportion(tree: Tree) -> list[str]:
    """A function fits on a page, and its parameters in a head."""
    return [
        *(
            _at(
                source,
                function.line,
                f"{function.name} has {function.lines} lines, the limit is {rules.LINES_PER_FUNCTION}",
            )
            for source, function in _functions(tree)
            if function.lines > rules.LINES_PER_FUNCTION
            and not _allowed(f"{source.path}::{function.name}", rules.FUNCTIONS_ALLOWED)
        ),
        *(
            _at(source, function.line, f"{function.name} takes {function.parameters}, the limit is {rules.PARAMETERS}")
            for source, function in _functions(tree)
            if function.parameters > rules.PARAMETERS
            and not _allowed(f"{source.path}::{function.name}", rules.PARAMETERS_ALLOWED)
        ),
    ]


def exceptions_are_needed(tree: Tree) -> list[str]:
    """An allowance that nothing uses any more goes."""
    patterns = [*rules.FILES_ALLOWED, *rules.FUNCTIONS_ALLOWED, *rules.PARAMETERS_ALLOWED]
    known = [source.path for source in tree]
    known += [f"{source.path}::{function.name}" for source, function in _functions(tree)]
    return [
        f"rules: {pattern} is allowed but not there"
        for pattern in patterns
        if not any(fnmatch(k, pattern) for k in known)
    ]


CHECKS: tuple[Check, ...] = (
    every_file_has_a_floor,
    imports_point_down,
    roles_do_not_know_each_other,
    modules_have_one_home,
    machines_are_pure,
    randomness_is_seeded,
    the_wire_does_no_io,
    imports_stand_at_the_top,
    imports_name_their_module,
    modules_form_no_knot,
    rooms_form_no_knot,
    clocks_are_monotonic,
    nobody_reaches_inside,
    nothing_is_swallowed,
    states_have_names,
    every_module_says_what_it_is_for,
    files_are_in_proportion,
    functions_are_in_proportion,
)


def _at(source: Source, line: int, complaint: str) -> str:
    return f"{source.path}:{line}: {complaint}"


def _floor(path: str) -> Floor | None:
    return next((floor for pattern, floor in rules.FLOORS if _matches(path, pattern)), None)


def _matches(path: str, pattern: str) -> bool:
    """As fnmatch, but a pattern without a folder names a file at the top."""
    return fnmatch(path, pattern) and ("/" in pattern or "/" not in path)


def _allowed(name: str, allowances: dict[str, str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in allowances)


def _is_one_of(module: str, names: Iterable[str]) -> bool:
    return any(module == name or module.startswith(name + ".") for name in names)


def _paths(tree: Tree) -> dict[str, str]:
    return {source.module: source.path for source in tree}


def _all_imports(tree: Tree) -> list[tuple[Source, Import]]:
    return [(source, item) for source in tree for item in source.imports]


def _inner_imports(tree: Tree) -> list[tuple[Source, Import]]:
    return [(source, item) for source, item in _all_imports(tree) if tree.inside(item.module)]


def _functions(tree: Tree) -> list[tuple[Source, Function]]:
    return [(source, function) for source in tree for function in source.functions]


def _knots(edges: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        circle = error.args[1][:0:-1]  # in the direction of the imports, once round
        start = circle.index(min(circle))
        return ["knot: " + " -> ".join([*circle[start:], *circle[: start + 1]])]
    return []
