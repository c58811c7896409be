"""The verdicts of a report in few words, for the screen: a line a level."""

from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from covidnet.report.verdicts import ORDER, Level, Verdict
from covidnet.runs.screen import INDENT, screen

BADGES: dict[Level, str] = {  # ink on a ground of its own: to be read on dark and on light screens
    "FAIL": "bold white on red",
    "WARN": "black on yellow",
    "NOT RUN": "reverse",
    "PASS": "black on green",
}
# What a verdict comes to, by the question that it answers.
BRIEF: dict[str, dict[Level, str]] = {
    "Is it better than guessing?": {"PASS": "better than guessing", "FAIL": "not shown to be better than guessing"},
    "Is the test large enough?": {
        "PASS": "the test is large enough",
        "WARN": "the test is small",
        "FAIL": "a class has no test image",
    },
    "Are training and test images of different people?": {
        "PASS": "no patient is on two sides",
        "WARN": "not all patients are known",
        "FAIL": "training and test share patients",
        "NOT RUN": "patients",
    },
    "Can the class be told by its source?": {
        "PASS": "the source does not tell the class",
        "WARN": "class and source may go together",
        "FAIL": "the class follows the source",
        "NOT RUN": "sources",
    },
    "Does it work alike for all groups?": {"PASS": "alike for all groups", "WARN": "groups get different scores"},
    "Does the model look at the lungs?": {"PASS": "it looks at the lungs", "WARN": "it looks past the lungs"},
    "Does it need the lungs?": {
        "PASS": "it needs the lungs",
        "WARN": "part of its skill may need no lungs",
        "FAIL": "its skill needs no lungs",
        "NOT RUN": "lungs test",
    },
    "Is the data sound?": {
        "PASS": "the data are sound",
        "WARN": "the audit warns",
        "FAIL": "the audit found faults",
        "NOT RUN": "audit of the data",
    },
    "Are the labels right?": {
        "PASS": "no label is in doubt",
        "WARN": "some labels are in doubt",
        "NOT RUN": "doubtful labels",
    },
    "Does it hold on other hospitals' images?": {
        "PASS": "no drop was shown elsewhere",
        "WARN": "look at what it does elsewhere",
        "FAIL": "it fails elsewhere",
        "NOT RUN": "other hospitals",
    },
}


def brief(verdict: Verdict) -> str:
    """Return what a verdict comes to, in few words; its question where there are none."""
    question = next((known for known in BRIEF if _same(known, verdict.question)), verdict.question)
    return BRIEF.get(question, {}).get(verdict.level, verdict.question)


def _same(known: str, question: str) -> bool:
    """Tell one question; that of the lungs may be asked of the box that stands for them."""
    return question == known or (known.startswith("Does the model look at") and question.startswith(known[:22]))


def print_brief(found: Sequence[Verdict]) -> None:
    """Print what the verdicts come to, the worst first."""
    table = Table.grid(padding=(0, 1))
    table.add_column(width=INDENT - 1)
    table.add_column()
    for level in ORDER:
        words = [brief(verdict) for verdict in found if verdict.level == level]
        if words:
            table.add_row(Text(level, BADGES[level]), Text("; ".join(words)))
    screen().print(table, soft_wrap=False)


def commands_left(found: Iterable[Verdict]) -> list[str]:
    """Return the commands that would say more, each once."""
    return list(dict.fromkeys(verdict.command for verdict in found if verdict.command))
