"""What a class of data or models takes, read out of its source: to import it would take seconds."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import docstring_parser

GIVEN = {"num_classes", "network", "options"}  # by the command line, not by a user
_IN_YAML = {"None": "null", "True": "true", "False": "false"}


class Key(NamedTuple):
    """An argument of a constructor, as a key."""

    default: str  # as YAML writes it; nothing where there is none
    text: str  # what it means
    kind: str  # what values it takes


class _Class(NamedTuple):
    module: str
    node: ast.ClassDef


def keys_of(path: str) -> dict[str, Key]:
    """Return what a class takes by name, its own keys first; empty where its source is not of this package."""
    found: dict[str, Key] = {}
    for owner in _lineage(path):
        found |= {name: key for name, key in own_keys(owner).items() if name not in found}
    return found


def own_keys(path: str) -> dict[str, Key]:
    """Return what the constructor takes that a class has itself, by name."""
    owner = _find(path)
    constructor = _constructor(owner.node) if owner else None
    if not owner or not constructor:
        return {}
    doc = docstring_parser.parse(ast.get_docstring(owner.node) or "")
    told = {one.arg_name: " ".join((one.description or "").replace("``", "`").split()) for one in doc.params}
    taken = constructor.args
    positional = [*taken.posonlyargs, *taken.args][1:]
    defaults = [*[None] * (len(positional) - len(taken.defaults)), *taken.defaults, *taken.kw_defaults]
    return {
        one.arg: Key(_written(default, owner.module), told.get(one.arg, ""), _kind(one.annotation, owner.module))
        for one, default in zip([*positional, *taken.kwonlyargs], defaults, strict=True)
        if one.arg not in GIVEN
    }


def _constructor(of: ast.ClassDef) -> ast.FunctionDef | None:
    functions = (node for node in of.body if isinstance(node, ast.FunctionDef))
    return next((node for node in functions if node.name == "__init__"), None)


def _lineage(path: str) -> Iterator[str]:
    """Yield the paths of a class and of the bases to which it hands what it does not take itself, the nearest first."""
    owner = _find(path)
    if owner is None:
        return
    yield path
    constructor = _constructor(owner.node)
    if constructor is None or constructor.args.kwarg:
        for base in owner.node.bases:
            if isinstance(base, ast.Name):
                yield from _lineage(_origin(base.id, owner.module))


def _find(path: str) -> _Class | None:
    module, _, name = path.rpartition(".")
    found = (node for node in _source(module).body if isinstance(node, ast.ClassDef) and node.name == name)
    return next((_Class(module, node) for node in found), None)


@cache
def _source(module: str) -> ast.Module:
    """Return the source of a module of this package; an empty one of another, whose import may take long."""
    spec = find_spec(module) if module.partition(".")[0] == __name__.partition(".")[0] else None
    return ast.parse(Path(spec.origin).read_bytes() if spec and spec.origin else "")


def _origin(name: str, module: str) -> str:
    """Return the full path of what a module calls by a name."""
    for node in _source(module).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            for one in node.names:
                if name == (one.asname or one.name):
                    return f"{node.module}.{one.name}"
    return f"{module}.{name}"


class _Meant(ast.NodeTransformer):
    """Puts what a name of the package stands for in its place: the values of a type, the number of a constant."""

    def __init__(self, module: str) -> None:
        self.module = module

    def visit_Name(self, node: ast.Name) -> ast.AST:
        module, _, name = _origin(node.id, self.module).rpartition(".")
        for one in _source(module).body:
            targets = one.targets if isinstance(one, ast.Assign) else [getattr(one, "target", None)]
            value = getattr(one, "value", None)
            if value and any(isinstance(target, ast.Name) and target.id == name for target in targets):
                meant: ast.AST = _Meant(module).visit(value)
                return meant
        return node


def _written(default: ast.expr | None, module: str) -> str:
    """Return a default as YAML writes it."""
    if default is None:
        return ""
    meant = _Meant(module).visit(default)
    try:
        text = str(ast.literal_eval(meant))
    except ValueError:
        text = ast.unparse(meant)
    return _IN_YAML.get(text, text)


def _kind(annotation: ast.expr | None, module: str) -> str:
    """Return what values a type has, in short: ``none | mild | strong``, ``number``."""
    if annotation is None:
        return ""
    text = ast.unparse(_Meant(module).visit(annotation))
    text = re.sub(r"Literal\[([^\]]*)\]", lambda found: found[1].replace("'", "").replace(", ", " | "), text)
    return re.sub(r"\bNone\b", "null", text)
