"""Write docs/reference-keys.md from the code: ``python docs/reference.py``. A test asks that it is up to date."""

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path

import docstring_parser

from covidnet.commands.help import KEYS, headline
from covidnet.commands.main import TOOLS
from covidnet.data.phantoms import Phantoms
from covidnet.data.radiographs import Radiographs
from covidnet.models.classifier import Classifier
from covidnet.models.convnet import ConvNet
from covidnet.models.inception import InceptionV3
from covidnet.training.args import COMMANDS, choices, group_names

PAGE = Path(__file__).with_name("reference-keys.md")
IN_YAML = {"None": "null", "True": "true", "False": "false"}
GIVEN = {"num_classes", "network", "options"}  # by the command line, not by a user
# What is told of a class once it has been told of those before it, below the section of its keys.
SECTIONS = {
    "Keys of the data": ("data", [(Radiographs, "any `data=`"), (Phantoms, "`data=phantom`")]),
    "Keys of the model": (
        "model",
        [(Classifier, "any `model=`"), (ConvNet, "`model=convnet`"), (InceptionV3, "`model=inception`")],
    ),
}


def keys(owner: type) -> dict[str, tuple[str, str]]:
    """Return each argument of a class's constructor -> its default, and what its docstring says of it."""
    told = {one.arg_name: one.description or "" for one in docstring_parser.parse(owner.__doc__ or "").params}
    return {
        name: (_default(one), " ".join(told.get(name, "").replace("``", "`").split()))
        for name, one in inspect.signature(owner).parameters.items()
        if name not in GIVEN and one.kind is not one.VAR_KEYWORD
    }


def _default(argument: inspect.Parameter) -> str:
    if argument.default is argument.empty:
        return ""
    written = str(argument.default)
    return f"`{IN_YAML.get(written, written)}`"


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    """Return a table in Markdown."""
    lines = [head, tuple("---" for _ in head), *(tuple(cell.replace("|", "\\|") for cell in row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def first_line(texts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Return names as code, with the first line that stands beside them."""
    return ((f"`{name}`", text.strip().splitlines()[0]) for name, text in texts.items())


def page() -> str:
    """Return docs/reference-keys.md."""
    commands = {name: command.text for name, command in COMMANDS.items()}
    tools = {name: module.__doc__ or "" for name, module in TOOLS.items()}
    groups = {f"{group}={name}": headline(group, name) for group in group_names() for name in choices(group)}
    parts = [
        "# Commands and keys, from the code",
        "`python docs/reference.py` writes this page. `covidnet COMMAND --help` tells what a command takes. "
        "Keys of Lightning: [lightning-keys.md](lightning-keys.md).",
        "## Commands",
        table(("command", "what it does"), first_line(commands | tools)),
        "## Groups",
        "Each name is a file `configs/<group>/<name>.yaml`, which sets keys.",
        table(("group", "what it is"), first_line(groups)),
    ]
    for title, (section, owners) in SECTIONS.items():
        parts += [f"## {title}", "The default is the constructor's. A group may set another."]
        seen: set[str] = set()
        for owner, where in owners:
            own = {name: one for name, one in keys(owner).items() if name not in seen}
            seen |= set(own)
            rows = ((f"`{section}.{name}`", default, text) for name, (default, text) in own.items())
            parts += [f"With {where}:", table(("key", "default", "meaning"), rows)]
    parts += ["## Keys that people look for", f"```text\n{KEYS.split(chr(10), 1)[1]}\n```"]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
