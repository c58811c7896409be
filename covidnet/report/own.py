"""What a run's own test and its data allow to be said: for the page and for the card."""

from covidnet.report import verdicts
from covidnet.report.datacard import DataCard
from covidnet.report.groups import source_by_class
from covidnet.report.verdicts import Verdict
from covidnet.runs.run import Run


def own_verdicts(run: Run, card: DataCard, audit: str) -> list[Verdict | None]:
    """Return the verdicts on chance, size, leaks, sources and groups; None for each of which nothing is to be said.

    Args:
        run: With the scores of its test.
        card: Of its data.
        audit: The command that shows more of the data.
    """
    return [
        verdicts.chance_verdict(run.scores, len(run.classes)),
        verdicts.size_verdict(run.scores),
        verdicts.leak_verdict(card.links, audit),
        verdicts.source_verdict(source_by_class(run, card), audit),
        verdicts.groups_verdict(run.results.get("subgroups")),
    ]
