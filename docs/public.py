"""Write the reference of Python and of metrics from the code: ``python docs/public.py``.

A test asks that they are up to date. ``docs/reference.py`` writes that of commands and keys.
"""

import inspect
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import docstring_parser
from reference import table

import covidnet
import covidnet.lightning
from covidnet.evaluation.names import METRICS, Scale

DOCS = Path(__file__).parent
# Where each public name is told. Those of Lightning are told by their keys, not by methods.
PUBLIC: dict[str, list[str]] = {
    "Train": ["train", "rebalance"],
    "Read a run": ["Run"],
    "Load and predict": ["load", "Predictor", "Prediction"],
    "Find lungs": ["lungs"],
    "Errors": ["UserError", "MachineError", "DivergedError", "UnreadableImageError"],
    "With a Lightning Trainer of your own": [
        "RadiographyDataModule",
        "PhantomDataModule",
        "Classifier",
        "ConvNet",
        "InceptionV3",
        "Probe",
        "Joining",
    ],
}
MEMBERS = {  # of a class that has more for other rooms; else all
    "Predictor": ["predict", "decode"],
    "Run": ["predictions", "test_images", "predictor", "verdicts", "report", "history", "settings"],
}
BY_KEYS = {"RadiographyDataModule", "PhantomDataModule", "Classifier", "ConvNet", "InceptionV3", "Probe"}


def metrics_page() -> str:
    """Return docs/reference-metrics.md."""
    rows = ((f"`{one.key}`", one.label, one.meaning, one.scale.name.lower()) for one in METRICS)
    scales = "\n".join(f"- **{scale.name.lower()}**: {scale.value}." for scale in Scale)
    parts = [
        "# Metrics, from the code",
        "`python docs/public.py` writes this page. Where they stand: [JSON keys](reference-json.md). How their "
        "intervals are made: [intervals](intervals.md).",
        table(("key", "label", "meaning", "scale"), rows),
        scales,
    ]
    return "\n\n".join(parts) + "\n"


def python_page() -> str:
    """Return docs/reference-python.md."""
    parts = [
        "# Python, from the code",
        "`python docs/public.py` writes this page. What stands here, `__all__` of `covidnet` and of "
        "`covidnet.lightning`, keeps its name and its arguments. All else in the package may change with any release. "
        "How it is used: [Python](python.md).",
    ]
    for title, names in PUBLIC.items():
        parts.append(f"## {title}")
        for name in names:
            parts += _told(name)
    return "\n\n".join(parts) + "\n"


def _told(name: str) -> Iterator[str]:
    """Yield what is to say of a function or a class: how it is called, what it does, takes, has and raises."""
    room = covidnet if name in covidnet.__all__ else covidnet.lightning
    owner: Callable[..., Any] = getattr(room, name)
    yield f"### `{room.__name__}.{name}`"
    error = isinstance(owner, type) and issubclass(owner, Exception)
    if name not in BY_KEYS and not error:
        yield f"```text\n{_call(name, owner)}\n```"
    yield from _document(owner.__doc__, arguments=name not in BY_KEYS)
    if name in BY_KEYS:
        yield "Its arguments are [keys](reference-keys.md)."
    elif isinstance(owner, type) and not error:
        names = MEMBERS.get(name) or [one for one, found in vars(owner).items() if one[0] != "_" and _is_member(found)]
        found = {one: inspect.getattr_static(owner, one) for one in names}
        listed = table(("has", "what it is"), ((f"`{_member(one, it)}`", _headline(it)) for one, it in found.items()))
        if listed.count("\n") > 1:
            yield listed


def _is_member(one: object) -> bool:
    return inspect.isfunction(one) or isinstance(one, property | cached_property)


def _headline(one: object) -> str:
    return _text((inspect.getdoc(one) or "").split("\n\n")[0])


def _member(name: str, one: object) -> str:
    return _call(name, one) if inspect.isfunction(one) else name


def _call(name: str, owner: Callable[..., Any]) -> str:
    """Return how a function is called: its arguments and their defaults, without types."""
    signature = inspect.signature(owner)
    bare = [one.replace(annotation=one.empty) for one in signature.parameters.values() if one.name != "self"]
    return f"{name}{signature.replace(parameters=bare, return_annotation=signature.empty)}"


def _document(text: str | None, arguments: bool) -> Iterator[str]:
    """Yield a docstring's text, then its arguments, attributes, result and errors."""
    told = docstring_parser.parse(text or "")
    yield from (_text(part) for part in (told.description or "").split("\n\n"))
    for kind, head in (("param", "argument"), ("attribute", "attribute")):
        rows = [(f"`{one.arg_name}`", _text(one.description or "")) for one in told.params if one.args[0] == kind]
        if rows and arguments:
            yield table((head, "meaning"), iter(rows))
    for one in told.raises:
        yield f"Raises `{one.type_name}`: {_text(one.description or '')}"


def _text(text: str) -> str:
    """Return a paragraph of a docstring as Markdown."""
    return " ".join(text.replace("``", "`").split())


PAGES: dict[str, Callable[[], str]] = {
    "reference-metrics.md": metrics_page,
    "reference-python.md": python_page,
}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
