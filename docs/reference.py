"""Write docs/reference-keys.md from the code: ``python docs/reference.py``. A test asks that it is up to date."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from covidnet.commands.help import KEYS, examples, headline
from covidnet.commands.keys import Key, own_keys
from covidnet.commands.main import TOOLS
from covidnet.training.args import COMMANDS, choices, group_names

PAGE = Path(__file__).with_name("reference-keys.md")
# What is told of a class once it has been told of those before it, below the section of its keys.
SECTIONS = {
    "Keys of the data": (
        "data",
        [
            ("covidnet.data.radiographs.Radiographs", "any `data=`"),
            ("covidnet.data.phantoms.Phantoms", "`data=phantom`"),
        ],
    ),
    "Keys of the model": (
        "model",
        [
            ("covidnet.models.classifier.Classifier", "any `model=`"),
            ("covidnet.models.convnet.ConvNet", "`model=convnet`"),
            ("covidnet.models.encoded.Encoded", "`model=inception` or `model=probe`"),
            ("covidnet.models.inception.InceptionV3", "`model=inception`"),
            ("covidnet.models.probe.Probe", "`model=probe`"),
        ],
    ),
}


def default_of(key: Key) -> str:
    """Return a default as code; nothing where there is none."""
    return f"`{key.default}`" if key.default else ""


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
        seen: dict[str, str] = {}  # the default of each key that was told
        for owner, where in owners:
            own = {name: one for name, one in own_keys(owner).items() if seen.get(name) != one.default}
            seen |= {name: one.default for name, one in own.items()}
            rows = ((f"`{section}.{name}`", default_of(one), one.text) for name, one in own.items())
            parts += [f"With {where}:", table(("key", "default", "meaning"), rows)]
    looked_for = f"{KEYS.split(chr(10), 1)[1]}\n\nexamples:\n{examples('python train.py')}"
    parts += ["## Keys that people look for", f"```text\n{looked_for}\n```"]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
