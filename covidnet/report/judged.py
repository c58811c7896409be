"""What a run's numbers allow to be said, and what that is said of: its data, its heat maps, its other files."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from covidnet.data.radiographs import Radiographs
from covidnet.errors import UserError
from covidnet.imaging.radiograph import UnreadableImageError
from covidnet.report import verdicts
from covidnet.report.datacard import DataCard, make_data_card
from covidnet.report.facts import data_of
from covidnet.report.gallery import Gallery, make_gallery
from covidnet.report.own import own_verdicts
from covidnet.report.verdicts import ORDER, Verdict
from covidnet.runs.files import AUDIT, EXTERNAL, SHORTCUTS
from covidnet.runs.run import Run


@dataclass(frozen=True)
class Judged:
    """A run that was looked at, before a page of it is drawn."""

    data: Radiographs | None
    card: DataCard
    gallery: Gallery | None
    gallery_problem: str | None  # why there is none
    optional: Mapping[str, Any]  # name -> what its JSON file holds, None where the run has no such file
    commands: Mapping[str, str]  # name -> the command that makes it
    verdicts: list[Verdict]  # the worst first


def judge(run: Run) -> Judged:
    """Look at a run, its data and a sample of its test images.

    Raises:
        UserError: Where one of its files cannot be read.
    """
    data, problem = data_of(run)
    card = make_data_card(run.split, run.results.get("counts", {}), run.classes, data)
    gallery, gallery_problem = _gallery(run, data)
    optional = {name.removesuffix(".json"): run.read_json(name) for name in (SHORTCUTS, AUDIT, EXTERNAL)}
    commands = verdicts.commands(run.folder, data.words if data else ["ROOT"])
    found = [
        *own_verdicts(run, card, commands["audit"]),
        verdicts.audit_verdict(optional["audit"], commands["audit"]),
        verdicts.shortcuts_verdict(optional["shortcuts"], commands["shortcuts"]),
        verdicts.heat_verdict(gallery.overall if gallery else None),
        verdicts.external_verdict(optional["external"], commands["external"]),
    ]
    ranked = sorted(filter(None, found), key=lambda one: ORDER.index(one.level))
    return Judged(data, card, gallery, gallery_problem or problem, optional, commands, ranked)


def _gallery(run: Run, data: Radiographs | None) -> tuple[Gallery | None, str | None]:
    """Return the heat maps of a run, or why there are none."""
    if data is None:
        return None, None
    if run.predictions is None:
        return None, "predictions.csv is not there, so the test images are not known."
    try:
        return make_gallery(run, run.predictions, data), None
    except UnreadableImageError as error:
        return None, (
            f"The images of the test could not be shown: one of them {error}. They were sought below {data.place}; a "
            "relative path counts from the folder in which the command runs."
        )
    except (UserError, ImportError, AttributeError) as error:
        return None, str(error)
