"""What the house rules need to know about a source file, read without importing it.

`Tree` reads a package; each `Source` in it states facts (imports, functions, calls, reaches into other objects). Python
is read through `ast`; Cython, for which the standard library has no parser, line by line with strings and comments
blanked out.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

SUFFIXES = {".py", ".pyx", ".pxd", ".pxi"}
STATE_WORDS = {"kind", "op", "state", "status"}
TUPLE_API = {"_asdict", "_field_defaults", "_fields", "_make", "_replace"}


@dataclass(frozen=True)
class Import:
    """One imported module, as an absolute dotted name."""

    line: int
    module: str
    names: tuple[str, ...] = ()  # of `from module import names`
    function: str = ""  # the function that it stands in
    typing_only: bool = False  # under `if TYPE_CHECKING:`


@dataclass(frozen=True)
class Function:
    """One function or method; neither the docstring's lines nor self, cls and `*rest` are counted."""

    line: int
    name: str
    lines: int
    parameters: int


@dataclass
class Source:
    """The facts about one file."""

    path: str  # relative to the package: "wire/codec.py"
    module: str  # "fastsched.wire.codec"
    lines: int
    has_docstring: bool
    imports: list[Import] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    calls: list[tuple[int, str]] = field(default_factory=list)  # "time.time", "sleep"
    reaches: list[tuple[int, str]] = field(default_factory=list)  # "peer._outbox"
    silent: list[int] = field(default_factory=list)  # lines of `except Exception: pass`
    bare_states: list[tuple[int, str]] = field(default_factory=list)  # `x.state == "ready"`

    def matches(self, *patterns: str) -> bool:
        """Is this file named by one of the patterns, relative to the package?"""
        return any(fnmatch(self.path, pattern) for pattern in patterns)


class Tree:
    """All source files under a package's directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.package = root.name
        paths = sorted(path for path in root.rglob("*") if path.suffix in SUFFIXES)
        self.modules = {self._module(path) for path in paths}
        self.sources = [self._read(path) for path in paths]

    def __iter__(self) -> Iterator[Source]:
        return iter(self.sources)

    def inside(self, module: str) -> bool:
        """Does this dotted name belong to the package?"""
        return module == self.package or module.startswith(self.package + ".")

    def room(self, module: str) -> str:
        """The first name below the package: "wire" for "fastsched.wire.codec", "" for the package itself."""
        return (module + "..").split(".")[1]

    def _module(self, path: Path) -> str:
        parts = path.relative_to(self.root.parent).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def _read(self, path: Path) -> Source:
        text = path.read_text()
        name = path.relative_to(self.root).as_posix()
        lines = text.count("\n")
        if path.suffix == ".py":
            module = ast.parse(text, filename=str(path))
            source = Source(name, self._module(path), lines, ast.get_docstring(module) is not None)
            _PythonReader(source, self.modules).visit(module)
        else:
            opens_with = text.lstrip()[:3]
            documented = opens_with == '"""' or (path.suffix != ".pyx" and opens_with.startswith("#"))
            source = Source(name, self._module(path), lines, documented)
            _read_cython(source, text, self.modules)
        return source


def _targets(base: str, names: Sequence[str], modules: set[str]) -> list[str]:
    """`from base import names`: which modules does it load? A name that is a module is one, else it is in the base."""
    found = [f"{base}.{name}" for name in names if f"{base}.{name}" in modules]
    return found if len(found) == len(names) and names else [*found, base]


class _PythonReader(ast.NodeVisitor):
    """Collects the facts of one Python file."""

    def __init__(self, source: Source, modules: set[str]) -> None:
        self.source = source
        self.modules = modules
        self.functions: list[str] = []
        self.made_here: set[str] = set()  # names for new objects of the class itself
        self.typing_only = False

    def _import(self, node: ast.stmt, module: str, names: tuple[str, ...] = ()) -> None:
        inside = self.functions[-1] if self.functions else ""
        self.source.imports.append(Import(node.lineno, module, names, inside, self.typing_only))

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._import(node, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = node.module or ""
        if node.level:
            parts = self.source.module.split(".")
            keep = len(parts) - node.level + self.source.path.endswith("__init__.py")
            base = ".".join([*parts[:keep], *([node.module] if node.module else [])])
        names = tuple(alias.name for alias in node.names)
        for module in _targets(base, names, self.modules):
            self._import(node, module, names)

    def visit_If(self, node: ast.If) -> None:
        if "TYPE_CHECKING" not in ast.unparse(node.test):
            self.generic_visit(node)
            return
        self.typing_only = True
        for child in node.body:
            self.visit(child)
        self.typing_only = False
        for child in node.orelse:
            self.visit(child)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        end = node.end_lineno or node.lineno
        lines = end - node.lineno + 1
        if ast.get_docstring(node) is not None:
            lines -= (node.body[0].end_lineno or 0) - node.body[0].lineno + 1
        names = [item.arg for item in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        count = len([name for name in names if name not in ("self", "cls")])
        self.source.functions.append(Function(node.lineno, node.name, lines, count))
        self.functions.append(node.name)
        self.generic_visit(node)
        self.functions.pop()
        self.made_here.clear()

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Assign(self, node: ast.Assign) -> None:
        if isinstance(node.value, ast.Call) and ast.unparse(node.value.func) in (
            "cls",
            "cls.__new__",
            "super().__new__",
        ):
            self.made_here |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        self.source.calls.append((node.lineno, ast.unparse(node.func)))
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        name = node.attr
        private = name.startswith("_") and not name.endswith("__") and name not in TUPLE_API
        if private and not self._is_own(node.value):
            self.source.reaches.append((node.lineno, ast.unparse(node)))
        self.generic_visit(node)

    def _is_own(self, receiver: ast.expr) -> bool:
        """self, cls and what was just made from cls; and the other one in `__eq__` and its kin."""
        comparing = bool(self.functions) and self.functions[-1].startswith("__")
        own = {"self", "cls", "super()", "type(self)", *(("other",) if comparing else ())}
        return ast.unparse(receiver) in own | self.made_here

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        caught = ast.unparse(node.type) if node.type else "everything"
        if caught in ("everything", "Exception", "BaseException") and all(map(_does_nothing, node.body)):
            self.source.silent.append(node.lineno)
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        sides = [node.left, *node.comparators]
        names = {side.attr for side in sides if isinstance(side, ast.Attribute)}
        texts = [side for side in sides if isinstance(side, ast.Constant) and isinstance(side.value, str)]
        if names & STATE_WORDS and texts:
            self.source.bare_states.append((node.lineno, ast.unparse(node)))
        self.generic_visit(node)


def _does_nothing(node: ast.stmt) -> bool:
    """Pass, continue, or a lone constant such as `...`."""
    return isinstance(node, ast.Pass | ast.Continue) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    )


_LITERAL = re.compile(r'("""|\'\'\').*?\1|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|#[^\n]*', re.DOTALL)
_IMPORT = re.compile(r"^([ \t]*)(?:from[ \t]+(\.*[\w.]*)[ \t]+)?c?import[ \t]+(\([^)]*\)|[^\n]*)", re.MULTILINE)
_HEADER = re.compile(r"^([ \t]*)(?:async[ \t]+def|cpdef|cdef|def)[ \t][^=(\n]*?(\w+)[ \t]*\(", re.MULTILINE)
_REACH = re.compile(r"\b(\w+|\)|\])\._(?!_)(\w+)")
_SILENT = re.compile(
    r"^[ \t]*except(?:[ \t]+(?:Base)?Exception)?[ \t]*:[ \t]*(?:pass|continue|\n[ \t]*(?:pass|continue)\b)", re.M
)
_BARE = re.compile(rf"\.({'|'.join(sorted(STATE_WORDS))})[ \t]*[!=]=[ \t]*[\"'][^\n]*")


def _read_cython(source: Source, text: str, modules: set[str]) -> None:
    """Collect the facts of one Cython file."""
    code = _LITERAL.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)

    def line(position: int) -> int:
        return code.count("\n", 0, position) + 1

    for match in _HEADER.finditer(code):
        function = _cython_function(code, match, text)
        if function is not None:
            source.functions.append(function)
    for match in _IMPORT.finditer(code):
        where = line(match.start())
        inside = next((f.name for f in reversed(source.functions) if match[1] and f.line < where), "")
        names = [part.split()[0] for part in match[3].strip("()").replace("\n", " ").split(",") if part.strip()]
        base = match[2] or ""
        if base.startswith("."):
            base = ".".join([source.module.rsplit(".", 1)[0], *filter(None, [base.lstrip(".")])])
        for module in _targets(base, names, modules) if base else names:
            source.imports.append(Import(where, module, tuple(names) if base else (), inside))
    source.calls += [(line(match.start()), match[1]) for match in re.finditer(r"\b([\w.]+)\(", code)]
    source.reaches += [
        (line(match.start()), match[0])
        for match in _REACH.finditer(_IMPORT.sub(_blank, code))  # a module of the package is no object's
        if match[1] not in ("self", "cls", "libc")
    ]
    source.silent += [line(match.start()) for match in _SILENT.finditer(code)]
    source.bare_states += [
        (line(match.start()), match[0].strip()) for match in _BARE.finditer(text) if code[match.start()] == "."
    ]


def _blank(match: re.Match[str]) -> str:
    """Nothing, in as many lines and columns."""
    return re.sub(r"[^\n]", " ", match[0])


def _cython_function(code: str, header: re.Match[str], text: str) -> Function | None:
    """The function that begins at this header, or None for a mere declaration (in a .pxd, or extern)."""
    depth, position = 0, header.end() - 1
    for position in range(header.end() - 1, len(code)):
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(code[position], 0)
        if depth == 0:
            break
    rest = code[position + 1 : code.find("\n", position)]
    if not rest.rstrip().endswith(":"):
        return None
    inner = code[header.end() : position]
    while inner != (inner := re.sub(r"\[[^\[\]]*\]|\([^()]*\)", "", inner)):
        pass
    names = [part.split("=")[0].split()[-1] for part in inner.split(",") if part.split("=")[0].split()]
    count = len([name for name in names if name not in ("self", "cls") and not name.startswith("*") and name != "/"])

    first = code.count("\n", 0, header.start())
    last = code.count("\n", 0, position)
    body, original = code.split("\n"), text.split("\n")
    indent, end = len(header[1]), last
    for number in range(last + 1, len(body)):
        if body[number].strip() and len(body[number]) - len(body[number].lstrip()) <= indent:
            break
        end = number if original[number].strip() else end
    block = "\n".join(original[last + 1 : end + 1])
    docstring = re.match(r'\s*(?:"""|\'\'\').*?(?:"""|\'\'\')', block, re.DOTALL)
    spoken = docstring[0].strip().count("\n") + 1 if docstring else 0
    return Function(first + 1, header[2], end - first + 1 - spoken, count)
