from pathlib import Path

from made_run import write_run

from covidnet.report.checklist import answer, fill
from covidnet.report.datacard import DataCard
from covidnet.runs.run import Run


def test_every_item_names_an_answer_that_exists_or_is_left_blank(tmp_path: Path) -> None:
    run = Run(write_run(tmp_path))
    optional = dict.fromkeys(("audit", "shortcuts", "external"))
    claim, tripod = fill(answer(run, DataCard(run.results["counts"], None, None, {}, None), None, optional))
    assert len(claim.items) == 44
    assert [item.number for item in tripod.items][-1] == "27a-c"
    blank = {item.number for item in claim.items if item.answer is None}
    assert {"2", "33", "44"} <= blank
    assert not {"9", "19", "22", "26", "28"} & blank
