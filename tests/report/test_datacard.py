from pathlib import Path

from made_run import CLASSES, write_run, write_table

from covidnet.report.datacard import make_data_card
from covidnet.runs.run import Run


def test_without_a_table_sources_and_links_are_unknown(tmp_path: Path) -> None:
    run = Run(write_run(tmp_path))
    card = make_data_card(run.split, run.results["counts"], run.classes, run.open_data())
    assert card.sources is None
    assert card.links is None
    assert card.sizes[CLASSES[0]] == ([24], [24])
    assert card.problem is None


def test_a_group_on_two_sides_of_the_split_is_counted(tmp_path: Path) -> None:
    run = Run(write_run(tmp_path))
    first, second = (row["path"] for row in run.split[:2])  # train and val
    rows: list[list[object]] = [[first, "p1", "hospital"], [second, "p1", ""]]
    write_table(tmp_path / "xrays" / "metadata.csv", ["path", "patient", "source"], rows)
    card = make_data_card(run.split, run.results["counts"], run.classes, run.open_data())
    assert card.links is not None
    assert card.links[1:] == (2, 1, 1, 8, 10)
    assert card.sources is not None
    assert card.sources[CLASSES[0]] == {"hospital": 1, "unknown": 4}


def test_a_root_that_is_gone_is_told(tmp_path: Path) -> None:
    run = Run(write_run(tmp_path))
    (tmp_path / "xrays").rename(tmp_path / "elsewhere")
    card = make_data_card(run.split, run.results["counts"], run.classes, run.open_data())
    assert card.problem
    assert not card.sizes
