"""Reporting guidelines -> which of their items a run answers by itself."""

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import NamedTuple


class Item(NamedTuple):
    """One item of a guideline, in our own words; ``answer`` is None where only the authors can give it."""

    number: str
    topic: str
    answer: str | None


class Guideline(NamedTuple):
    """A guideline with its items."""

    name: str
    reference: str
    items: list[Item]

    @property
    def answered(self) -> int:
        """How many items the run answers."""
        return sum(item.answer is not None for item in self.items)


def fill(answers: Mapping[str, str | None]) -> list[Guideline]:
    """Return the guidelines of ``checklist.json`` with ``answers`` by the names that it uses for them."""
    content = json.loads(files("covidnet.report").joinpath("checklist.json").read_text(encoding="utf-8"))
    return [
        Guideline(
            guideline["name"],
            guideline["reference"],
            [Item(number, topic, answers[name] if name else None) for number, topic, name in guideline["items"]],
        )
        for guideline in content
    ]
