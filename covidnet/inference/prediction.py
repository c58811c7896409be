"""What a model says of one image, and how a notebook shows it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape

NOTICE = "Research software, not a medical device."
# Seen on light and on dark pages; a notebook gives no style of its own to rely on.
ROUND = "display:block;height:.6em;border-radius:.3em"
CALLED, OTHER, EMPTY = "#2f7cb5", "#2f7cb577", "#8884"


@dataclass(frozen=True)
class Prediction:
    """What a model says of one image.

    Attributes:
        predicted: The most probable class.
        probabilities: Of each class, as the model was trained: softmax of its logits, of an ensemble of their mean.
        calibrated: Of each class, after temperature scaling; None where nothing was fitted on validation images, and of
            a cross-validation, whose members have no validation images in common.
        prediction_set: The classes that cannot be ruled out: of each class's images, the share ``Predictor.coverage``
            has it in its set. Empty where none fits. None as above.
        novelty: How unlike the training images it is; above 1 are about 2 % of the validation images.
            None as above.
        decision: What it is called by the threshold that ``covidnet threshold`` has kept; None where there is none.
        disagreement: How far the members of an ensemble disagree, in nats (``evaluation.ensembles.disagreement``);
            None of a single model.
        path: The file that was given; None of what is none.
        notice: What must be known of the model, in a sentence.
    """

    predicted: str
    probabilities: dict[str, float]
    calibrated: dict[str, float] | None = None
    prediction_set: list[str] | None = None
    novelty: float | None = None
    decision: str | None = None
    disagreement: float | None = None
    path: str | None = field(default=None, compare=False)
    notice: str = field(default=NOTICE, compare=False)

    @property
    def called(self) -> str:
        """What it is called: by the threshold where one is kept, else the most probable class."""
        return self.decision or self.predicted

    @property
    def unfamiliar(self) -> bool | None:
        """Whether the image does not look like the training images; None where that is not known."""
        return None if self.novelty is None else self.novelty > 1

    def _repr_html_(self) -> str:
        """Return what a notebook shows: a bar a class, what cannot be ruled out, how strange the image is."""
        return f'<div style="max-width:34em">{"".join(_lines(self))}</div>'


def _lines(said: Prediction) -> Iterator[str]:
    """Yield what is known, as HTML; names of classes and files are text, whatever they hold."""
    name = f" <small>{escape(said.path)}</small>" if said.path else ""
    how = "Called" if said.decision else "Most probable"
    yield f"<div>{how}: <strong>{escape(said.called)}</strong>{name}</div>"
    if said.unfamiliar:
        yield "<div><strong>This image does not look like the training images: the rest means little.</strong></div>"
    shown = said.calibrated or said.probabilities
    rows = (_row(name, share, name == said.called) for name, share in shown.items())
    yield f'<table style="width:100%;color:inherit;font:inherit"><tbody>{"".join(rows)}</tbody></table>'
    facts = {"probabilities": "calibrated" if said.calibrated else "not calibrated"}
    if said.prediction_set is not None:
        facts["prediction set"] = ", ".join(said.prediction_set) or "no class fits"
    if said.novelty is not None:
        facts["novelty"] = f"{said.novelty:.2f} (above 1: unfamiliar)"
    if said.disagreement is not None:
        facts["disagreement"] = f"{said.disagreement:.3f} nats"
    yield f"<div>{'; '.join(f'{key}: {escape(value)}' for key, value in facts.items())}</div>"
    yield f"<div><small>{escape(said.notice)}</small></div>"


def _row(name: str, share: float, called: bool) -> str:
    filled = f'<span style="{ROUND};width:{100 * share:.1f}%;background:{CALLED if called else OTHER}"></span>'
    bar = f'<span style="{ROUND};background:{EMPTY}">{filled}</span>'
    text = f"<strong>{escape(name)}</strong>" if called else escape(name)
    return (
        f'<tr><td style="text-align:left;white-space:nowrap">{text}</td><td style="width:100%">{bar}</td>'
        f'<td style="white-space:nowrap">{100 * share:.1f} %</td></tr>'
    )
