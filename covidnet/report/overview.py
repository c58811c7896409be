"""Many runs -> a row each: what it is of, how good it is, what else was looked at. Reads their small files alone."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from covidnet.errors import UserError, some
from covidnet.evaluation.confounding import NEEDED
from covidnet.files.reading import UNREADABLE, read_yaml
from covidnet.report import verdicts
from covidnet.runs.documents import read_json
from covidnet.runs.files import AUDIT, CONFIG, EXTERNAL, MODELS, RESULTS, SHORTCUTS, counted_tests
from covidnet.runs.screen import with_interval
from covidnet.runs.states import State, state_of

Recipes = Mapping[str, Mapping[str, Any]]  # name -> section -> key -> value, as configs/recipe has them
OWN = "own keys"  # the recipe of a run that has those of none
DRAWN = "phantoms"
UNFINISHED = {
    "at work": "at work now",
    "can go on": "without results, which can go on or were never to be tested",
    "broken": "which ended before their first epoch was whole",
}
STYLES = {"PASS": "green", "WARN": "yellow", "FAIL": "bold red", "NOT RUN": "dim"}


def describe(run: Path, recipes: Recipes) -> dict[str, Any]:
    """Return what is known of a run, as plain types, for a row of the table or for a program.

    A run without results has ``run``, ``state``, ``date``, ``data`` and ``recipe`` alone; of one whose files cannot be
    read, ``problem`` says why. ``verdict`` is the worst of ``verdicts``, which look at no image: the report knows two
    more, whether linked images stand on two sides of the split and where the model looks.
    """
    state = state_of(run)
    try:
        told = _told(run, state, recipes)
        return told | (_scored(run) if (run / RESULTS).is_file() else {})
    except UserError as error:
        return {"run": str(run), "state": state, "problem": str(error)}


def _told(run: Path, state: State, recipes: Recipes) -> dict[str, Any]:
    try:
        found = read_yaml(run / CONFIG) if (run / CONFIG).is_file() else {}
    except UNREADABLE as error:
        raise UserError(f"{run / CONFIG} cannot be read: {error}") from error
    settings = found if isinstance(found, dict) else {}
    return {
        "run": str(run),
        "state": state,
        "date": _date(run),
        "data": _data(settings.get("data") or {}),
        "recipe": _recipe(settings, recipes),
    }


def _scored(run: Path) -> dict[str, Any]:
    results = read_json(run / RESULTS)
    scores: dict[str, Any] = next((results[name] for name in MODELS if name in results), {})
    shortcuts, audit, external = (read_json(run / name) for name in (SHORTCUTS, AUDIT, EXTERNAL))
    asked = verdicts.commands(run, ["ROOT"])
    found = [
        verdicts.chance_verdict(scores, len(scores.get("per_class") or {})),
        verdicts.size_verdict(scores) if scores.get("per_class") else None,
        verdicts.source_verdict((results.get("class_by") or {}).get(NEEDED), asked["audit"]),
        verdicts.groups_verdict(results.get("subgroups")),
        verdicts.audit_verdict(audit, asked["audit"]),
        verdicts.shortcuts_verdict(shortcuts, asked["shortcuts"]),
        verdicts.external_verdict(external, asked["external"]),
    ]
    known = [verdict for verdict in found if verdict]
    return {
        "accuracy": _value(scores, "accuracy"),
        "skill_without_lungs": {"value": shortcuts.get("skill_survives"), "interval": shortcuts.get("interval")}
        if shortcuts
        else None,
        "outside": _value({**external, **(external.get("overall") or {})}, "balanced_accuracy") if external else None,
        "verdict": verdicts.worst(known),
        "verdicts": [{"level": verdict.level, "question": verdict.question} for verdict in known],
    }


def _value(scores: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {"value": scores.get(key), "interval": (scores.get("intervals") or {}).get(key)}


def _date(run: Path) -> str:
    """Return the day on which the test was first looked at; of a run without that, when its files were last written."""
    looks = counted_tests(run)
    if looks and looks[0]:
        return looks[0][0][:10]
    files = [file for file in (run / RESULTS, run / CONFIG) if file.is_file()]
    return datetime.fromtimestamp(files[0].stat().st_mtime, UTC).date().isoformat() if files else ""


def _data(section: Mapping[str, Any]) -> str:
    """Return the last name of the folder of images, or the names of several."""
    arguments = section.get("init_args") or {}
    if arguments.get("roots"):
        return ", ".join(arguments["roots"])
    if arguments.get("root"):
        return Path(str(arguments["root"])).name
    return DRAWN if "Phantom" in str(section.get("class_path")) else "the database"


def _recipe(settings: Mapping[str, Any], recipes: Recipes) -> str:
    """Return the recipe whose keys a run has, the one with most keys first."""

    def has(section: str, key: str, value: object) -> bool:
        part = settings.get(section) or {}
        held = {**part, **(part.get("init_args") or {})}
        return bool(key in held and held[key] == value)

    for name, recipe in sorted(recipes.items(), key=lambda pair: -sum(map(len, pair[1].values()))):
        if all(has(section, key, value) for section, keys in recipe.items() for key, value in keys.items()):
            return name
    return OWN


def print_overview(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print a row for each run that has results, and a line on the others."""
    console = Console()
    title = escape(f"Runs of {folder}; below a number its 95 % interval")
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for column, least in {"run": 10, "date": 10, "data": 7, "recipe": 6}.items():
        table.add_column(column, min_width=least, overflow="fold")
    for column in ("accuracy", "without\nlungs", "elsewhere"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("verdict", min_width=7, no_wrap=True)
    for row in rows:
        if row["state"] == "finished" and "problem" not in row:
            table.add_row(
                *(escape(text) for text in (_short(folder, row["run"]), row["date"], row["data"], row["recipe"])),
                *(_percent(row[key]) for key in ("accuracy", "skill_without_lungs", "outside")),
                f"[{STYLES[row['verdict']]}]{row['verdict']}[/]",
            )
    if table.row_count:
        console.print(table)
        console.print("Without lungs: how much of the skill survives. Elsewhere: balanced accuracy there.")
    for row in rows:
        if "problem" in row:
            console.print(f"{row['run']}: {row['problem']}", markup=False, highlight=False, soft_wrap=True)
    for state, told in UNFINISHED.items():
        names = [_short(folder, row["run"]) for row in rows if row["state"] == state]
        if names:
            console.print(
                f"{len(names)} {told}: {some(names, between=', ')}", markup=False, highlight=False, soft_wrap=True
            )
    if not rows:
        print(f"No run lies in {folder}.")


def _short(folder: Path, run: str) -> str:
    name = Path(run).relative_to(folder).as_posix()
    return Path(run).name if name == "." else name


def _percent(found: Mapping[str, Any] | None) -> str:
    if not found or found["value"] is None:
        return "-"
    limits = [100 * end for end in found["interval"] or ()]
    return escape(with_interval(100 * found["value"], limits, ".1f", ends=".0f", between="\n"))
