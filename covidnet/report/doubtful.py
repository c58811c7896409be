"""The images whose labels are most doubtful, as a page shows them: for somebody to look at."""

from typing import NamedTuple

from covidnet.data.radiographs import Radiographs
from covidnet.evaluation.confident import NONE, Confident
from covidnet.report.pictures import jpeg, radiograph
from covidnet.runs.unseen import Unseen

SHOWN = 12


class DoubtfulCard(NamedTuple):
    """One image."""

    path: str
    label: str
    suggested: str
    of_label: float  # probability
    of_suggested: float
    doubt: float
    suspect: bool  # it counts as another class
    fold: int | None
    picture: str  # data URI


def doubtful_cards(seen: Unseen, found: Confident, data: Radiographs) -> list[DoubtfulCard]:
    """Return the most doubtful images, without heat: who looks at them should see what any reader sees.

    Raises:
        UnreadableImageError: Where one is no longer there.
        UserError: Where it is in none of the folders.
    """
    said = seen.said
    cards = []
    for number in map(int, found.order[:SHOWN]):
        label, suggested = said.labels[number], found.suggested[number]
        pixels = radiograph(data.image_file(said.paths[number]), data.reading)
        cards.append(
            DoubtfulCard(
                said.paths[number],
                said.classes[label],
                said.classes[suggested],
                float(said.probabilities[number, label]),
                float(said.probabilities[number, suggested]),
                float(found.doubt[number]),
                bool(found.counted[number] not in (NONE, label)),
                seen.folds[number] if seen.folds else None,
                jpeg(pixels),
            )
        )
    return cards
