"""What a search has found: its record, its best configuration and its table."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml
from optuna.trial import FrozenTrial, TrialState
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from covidnet.files.whole import write_whole
from covidnet.runs.files import write_results
from covidnet.series.study import SharedStudy, best_value
from covidnet.training.args import GROUPS, typed

RECORD, BEST = "search.json", "best.yaml"
FACTS = ("ended", "epochs", "seconds")  # what is told of each trial besides
SHOWN = 10  # so many trials are in the table; all are in the record


class Outcome:
    """Writes and prints what the trials of a study have found so far.

    Args:
        study: Holds the trials.
        monitor: The value by which they are judged.
        mode: "min" or "max": which values are better.
        model: Names the model in the command that trains the best configuration again.
        configured: Parameters of a trial -> its whole configuration.
    """

    def __init__(
        self,
        study: SharedStudy,
        monitor: str,
        mode: str,
        model: str,
        configured: Callable[[Mapping[str, Any]], dict[str, Any]],
    ) -> None:
        self.study, self.monitor, self.model, self.configured = study, monitor, model, configured
        self.mode = mode
        self.folder = study.folder

    def write(self, recipe: Mapping[str, Any], importance: Mapping[str, float] | None = None) -> None:
        """Write what is known of all trials, and the best one's whole configuration."""
        with self.study.lock:
            trials = self.study.finished()
            best = _best(trials)
            summary = {
                "monitor": self.monitor,
                "mode": self.mode,
                "finished": len(trials),
                "whole": _whole(trials),
                "best": self._facts(best) if best else None,
                "importance": importance or {},
                "trials": [self._facts(trial) for trial in sorted(trials, key=lambda trial: trial.number)],
            }
            write_results(self.folder / RECORD, {**summary, "recipe": recipe})
            if best:
                write_whole(self.folder / BEST, self._best_yaml(best).encode())

    def show(self, importance: Mapping[str, float]) -> None:
        """Print the best trials, what matters and how to use what was found."""
        trials = self.study.finished()
        Console().print(self._table(trials))
        if importance:
            shares = ", ".join(f"{key} {share:.0%}" for key, share in importance.items())
            print(f"What the differences between whole trials come from (fANOVA): {shares}.")
        if _best(trials) is None:
            print("No trial was trained to its end, so there is no best one: give narrower ranges.")
            return
        print(
            "Chosen on the validation split; the test split was not evaluated. The best configuration, then its test:"
        )
        print(f"  {self._again()}")
        print(f"trials={2 * len(trials)} adds trials to these, name=NAME begins anew.")

    def _table(self, trials: Sequence[FrozenTrial]) -> Table:
        whole = _whole(trials)
        counted = f"{len(trials)} trials, {whole} whole, {len(trials) - whole} ended early"
        table = Table(title=f"{self.folder}: {counted}", title_justify="left", box=SIMPLE_HEAD, show_edge=False)
        keys = list(self.study.space)
        names = [escape(key.removeprefix("model.").replace("_", " ")) for key in keys]
        for heading in ("trial", self.monitor, "epochs", *names):
            table.add_column(heading, justify="right")
        table.add_column("")
        for trial in trials[:SHOWN]:
            shown = [str(trial.number), told(self._value(trial)), str(trial.user_attrs.get("epochs", "-"))]
            chosen = [escape(told(trial.params[key])) for key in keys]
            table.add_row(*shown, *chosen, trial.user_attrs.get("ended", ""))
        return table

    def _best_yaml(self, best: FrozenTrial) -> str:
        facts = f"{self.monitor} {told(best.value)} in {best.user_attrs.get('epochs')} epochs"
        head = f"# Trial {best.number} of {self.folder}: {facts}.\n# {self._again()}\n"
        return head + yaml.safe_dump(self.configured(best.params), sort_keys=False)

    def _again(self) -> str:
        model = [] if self.model == GROUPS["model"] else [f"model={self.model}"]
        return typed("run", [*model, "--config", str(self.folder / BEST)])

    def _facts(self, trial: FrozenTrial) -> dict[str, Any]:
        known: dict[str, Any] = {key: value for key, value in trial.user_attrs.items() if key in FACTS}
        parameters = dict(sorted(trial.params.items()))
        return {"trial": trial.number, self.monitor: self._value(trial), **known, "parameters": parameters}

    def _value(self, trial: FrozenTrial) -> float | None:
        return best_value(trial, minimize=self.mode == "min")


def listed(params: Mapping[str, Any]) -> str:
    """Return the parameters of a trial in a line."""
    return " ".join(f"{key}={told(value)}" for key, value in sorted(params.items()))


def told(value: Any) -> str:
    """Return a value in four digits at most; "-" for None."""
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _best(trials: Sequence[FrozenTrial]) -> FrozenTrial | None:
    """Return the best of trials that are sorted; None where none was trained to its end."""
    return trials[0] if trials and trials[0].state == TrialState.COMPLETE else None


def _whole(trials: Sequence[FrozenTrial]) -> int:
    return sum(trial.state == TrialState.COMPLETE for trial in trials)
