"""What a run says on the screen: how numbers and times are written, its result in a line, its scores in a table."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from covidnet.evaluation.names import BY_KEY, OVERALL, PER_CLASS, POOLED, Metric
from covidnet.evaluation.subgroups import gap_sentences
from covidnet.runs.files import MODELS

FIRST = ("loss", "weighted_loss", "accuracy", "balanced_accuracy", "mcc")  # in this order; all others follow
CALIBRATED = ("loss", "brier", "ece")
MINUTE, HOUR = 60, 3600  # seconds
INDENT = 9  # columns before what stands behind a word, such as "NOT RUN"


def screen() -> Console:
    """Return the screen for lines: plain ones where it is no terminal, in a notebook too; nothing breaks a command."""
    return Console(force_jupyter=False, highlight=False, soft_wrap=True)


def duration(seconds: float) -> str:
    """Write a time in the units that matter: 1.1 s (of whole seconds 1 s), 31 s, 2 min 05 s, 3 h 20 min."""
    if seconds < MINUTE - 0.5:
        return f"{seconds:.1f} s" if isinstance(seconds, float) and seconds < 9.95 else f"{seconds:.0f} s"
    whole = round(seconds)
    if whole < HOUR:
        return f"{whole // MINUTE} min {whole % MINUTE:02} s"
    return f"{whole // HOUR:,} h {whole % HOUR // MINUTE:02} min"


class Tally:
    """How far several works of one kind have come, and how much time is left: about as much a work as those before.

    Args:
        total: How many there are.
        done: How many were done before, which tell nothing of the time.
    """

    def __init__(self, total: int, done: int = 0) -> None:
        self.total, self.done, self.before = total, done, done
        self.began = self.last = time.monotonic()

    @property
    def place(self) -> str:
        """Which of all the one is that is under way."""
        return f"{self.done + 1} of {self.total}"

    def finished(self, name: str, found: str, about: str = "") -> str:
        """Return the line of the one that is finished: its name and place, what it found, its time, the time left.

        What is ``about`` it stands at the end, where it moves no column.
        """
        place, now = self.place, time.monotonic()
        took, self.last = now - self.last, now
        self.done += 1
        each = (now - self.began) / (self.done - self.before)
        left = (self.total - self.done) * each
        parts = [name, place, found, duration(took), f"about {duration(round(left))} left" if left else "", about]
        return "   ".join(filter(None, parts))


def percent_told(scores: Mapping[str, Any], key: str = "balanced_accuracy") -> str:
    """Write a share that a model scores in percent, with its interval if it has one; a dash where it is unknown."""
    value = scores.get(key)
    if value is None:
        return "-"
    interval = (scores.get("intervals") or {}).get(key)
    limits = f" [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]" if interval else ""
    return f"{100 * value:.1f} %{limits}"


def found_told(results: Mapping[str, Any]) -> str:
    """Return what one of several runs has found, for its line: balanced accuracy, and epochs where it trained."""
    scores = results[next(name for name in MODELS if name in results)]
    epochs = f"{results['epochs']:>3} epochs" if "epochs" in results else ""
    return "   ".join(filter(None, [percent_told(scores), epochs]))


def print_next(commands: Iterable[str], title: str = "next") -> None:
    """Print commands to be copied, each on a line of its own."""
    for number, command in enumerate(commands):
        screen().print(f"{'' if number else title:<{INDENT}}{command}", markup=False)


def result_told(results: Mapping[str, Any]) -> str:
    """Return what results.json says of the model that counts, in a line: balanced accuracy, images, epoch."""
    scores = results[next(name for name in MODELS if name in results)]
    images = sum(of_class["support"] for of_class in scores["per_class"].values())
    epoch = results.get("best_epoch")
    of = f"epoch {epoch}: " if epoch and "best" in results else ""
    return f"{of}balanced accuracy {percent_told(scores)} on {images:,} test images"


def print_scores(models: Mapping[str, Mapping[str, Any]], title: str, caption: str = "") -> None:
    """Print the scores of one or more models side by side, each with its 95 % interval."""
    table = Table(title=title, title_justify="left", caption=caption or None, caption_justify="left")
    table.add_column("test [95 % interval]")
    for name in models:
        table.add_column(name, justify="right")
    first = [OVERALL[key] for key in FIRST]
    _add_rows(table, [*first, *(metric for key, metric in OVERALL.items() if key not in FIRST)], models.values())
    _add_rows(table, POOLED.values(), models.values())
    if all("calibrated" in scores for scores in models.values()):
        calibrated = [scores["calibrated"] for scores in models.values()]
        table.add_section()
        _add_rows(table, [BY_KEY["temperature"]], calibrated)
        for key in CALIBRATED:
            table.add_row(f"{OVERALL[key].label}, calibrated", *(_cell(scores, key) for scores in calibrated))
    if all("prediction_sets" in scores for scores in models.values()):
        sets = [scores["prediction_sets"] for scores in models.values()]
        table.add_section()
        _add_rows(table, [BY_KEY["coverage"]], sets, before=f"sets of {sets[0]['stated']:.0%}: ")
        _add_rows(table, [BY_KEY["size"], BY_KEY["empty"]], sets)
    for name in next(iter(models.values()))["per_class"]:
        table.add_section()
        of_class = [scores["per_class"][name] for scores in models.values()]
        _add_rows(table, PER_CLASS.values(), of_class, before=f"{name}: ")
    Console().print(table)


def print_gaps(subgroups: Mapping[str, Any]) -> None:
    """Print the gaps between groups that chance alone would not make, where a table tells groups."""
    told = gap_sentences(subgroups)
    for line in told:
        print(f"Gap in the {line}.")
    if subgroups and not told:
        print(f"No gap between the groups by {', '.join(subgroups)} is more than chance would make.")


def with_interval(
    value: float | None,
    interval: Sequence[float] | None,
    form: str,
    *,
    ends: str | None = None,
    between: str = " ",
) -> str:
    """Write ``value [low, high]``, a dash where there is no value; counts are written whole.

    Args:
        value: What was measured.
        interval: Its limits; None where there are none.
        form: How the value is written, such as ``.3f``.
        ends: How its limits are written; as the value where left out.
        between: Stands between value and interval.
    """
    if value is None:
        return "-"
    whole = isinstance(value, int)
    shown = f"{value:,}" if whole else f"{value:{form}}"
    return f"{shown}{between}{in_brackets(interval, ',' if whole else ends or form)}" if interval else shown


def in_brackets(interval: Sequence[float], form: str) -> str:
    """Write ``[low, high]``."""
    low, high = interval
    return f"[{low:{form}}, {high:{form}}]"


def _add_rows(
    table: Table, metrics: Iterable[Metric], columns: Iterable[Mapping[str, Any]], *, before: str = ""
) -> None:
    known = list(columns)
    for metric in metrics:
        table.add_row(f"{before}{metric.label}", *(_cell(scores, metric.key) for scores in known))


def _cell(scores: Mapping[str, Any], key: str) -> str:
    return with_interval(scores[key], scores["intervals"].get(key), ".4f", ends=".3f")
