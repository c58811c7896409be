"""Which classes a text from elsewhere may name: those of this program and of what it is built on.

A class's name in a configuration or a checkpoint is code to import and to call. What the user types is the user's own
word; a file may be a stranger's.
"""

import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from pkgutil import resolve_name
from typing import TypeVar

import yaml

from covidnet.errors import UserError

PACKAGES = ("covidnet", "pytorch_lightning", "lightning_fabric", "torch", "torchmetrics")
VARIABLE = "COVIDNET_TRUST"  # in the environment: more packages, with commas between them
MOST_VALUES = 100_000  # of a configuration, counted as often as an alias repeats them
NEVER = sys.stdlib_module_names | {"jsonargparse"}  # not even then: they start programs and remove files
_NAME = re.compile(r"(?<![\w./\\-])([A-Za-z_]\w*)\.[A-Za-z_]")  # the first part of a dotted name

Kind = TypeVar("Kind")


def trusted_packages() -> list[str]:
    """Return the packages whose classes a file may name."""
    named = {name.strip() for name in os.environ.get(VARIABLE, "").split(",")}
    return [*PACKAGES, *sorted(name for name in named - NEVER if name.isidentifier())]


def limit_names(typed: Iterable[str]) -> None:
    """Let the command line's parser import nothing but the trusted packages and those that the user typed.

    Where a class was defined counts, not where it was found: ``torch.os.system`` is none of torch's. Of the standard
    library nothing is let in, whoever names it.
    """
    from jsonargparse import set_parsing_settings  # a program that loads a model goes without it

    own = {name for text in typed for name in _NAME.findall(text)} - NEVER
    allowed = sorted({*trusted_packages(), *own})
    # A dictionary that names a class stays a dictionary where a key may hold anything.
    set_parsing_settings(
        import_path_denylist=["*"], import_path_allowlist=allowed, instantiate_subclass_spec_in_any=False
    )


def find_class(path: object, kind: type[Kind], where: object) -> type[Kind]:
    """Return the class that a file names, if it is a ``kind`` in one of the trusted packages.

    Raises:
        UserError: Naming ``where`` it stands, before anything is imported that is not trusted.
    """
    if not isinstance(path, str) or path.partition(".")[0] not in trusted_packages():
        raise UserError(f"{where} names the class {path!r}. {how_to_trust(str(path))}")
    try:
        found = resolve_name(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{where} names the class {path!r}, which is not here: {error}.") from error
    if not (isinstance(found, type) and issubclass(found, kind)):
        raise UserError(f"{where} names {path!r}, which is no {kind.__name__}.")
    return found


def how_to_trust(path: str) -> str:
    """Return what a file may name, and how to let it name more."""
    package = path.partition(".")[0]
    only = f"A file may name classes of {', '.join(PACKAGES)} alone, because to name a class is to run code."
    if package in NEVER or not package.isidentifier():
        return only
    return f"{only} If you know that code and trust it, set {VARIABLE}={package} in the environment, or type the name."


def refuse_bomb(file: Path) -> None:
    """Refuse a YAML file of a few bytes that stands for millions of values.

    Raises:
        UserError: Where it does. What else is wrong with a file is told by who reads it.
    """
    sizes: dict[int, int] = {}

    def size(node: yaml.Node) -> int:
        if id(node) not in sizes:
            sizes[id(node)] = 1  # what holds itself is refused where it is built
            inner = node.value if isinstance(node, yaml.CollectionNode) else []
            pairs = [part for pair in inner for part in (pair if isinstance(pair, tuple) else (pair,))]
            sizes[id(node)] = 1 + sum(size(part) for part in pairs)
        return sizes[id(node)]

    try:
        node = yaml.compose(file.read_text(encoding="utf-8"), yaml.SafeLoader)
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return
    if node is not None and size(node) > MOST_VALUES:
        raise UserError(f"{file} stands for more than {MOST_VALUES:,} values: no configuration does.")
