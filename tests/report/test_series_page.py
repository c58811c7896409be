"""One page of a series: its sections, its runs, the images whose labels are most doubtful."""

import json
from pathlib import Path

import pytest
from helpers import call, read_json
from made_series import write_crossval
from test_page import Page

from covidnet.commands import report
from covidnet.errors import UserError
from covidnet.report.renew import renew
from covidnet.report.series import write_series_report

SECTIONS = ["verdicts", "members", "results", "classes", "confusion", "curves", "calibration", "labels", "outside"]


def test_a_cross_validation_has_a_page_that_asks_no_network_and_links_its_runs(tmp_path, capsys):
    folder = write_crossval(tmp_path)
    call(report, folder)
    assert capsys.readouterr().out.splitlines() == [str(folder / "report.html")]  # it has no card
    page = Page(folder / "report.html")
    assert [attributes["id"] for attributes in page.all("section")] == SECTIONS
    links = {attributes["href"] for attributes in page.all("a")}
    assert "fold_1/report.html" in links  # the other run has none
    assert all(link.startswith(("#", "fold_")) for link in links)
    assert all(image["src"].startswith("data:") and image["alt"] for image in page.all("img"))
    assert len(page.all("img")) == 10  # all of them, the most doubtful first
    assert page.text.index("doubt 0.660") < page.text.index("doubt 0.63")
    for told in ("70.0 % [40.0 to 90.0]", "Each image once.", "A note.", "Fold 2", "covidnet labels", "<u>COVID"):
        assert told in page.text
    assert not page.all("u")


def test_a_repeat_has_one_of_its_ensemble_or_of_what_there_is(tmp_path):
    folder = write_crossval(tmp_path)
    pooled = read_json(folder / "crossval.json")["pooled"]
    for number in (1, 2):
        (folder / f"fold_{number}").rename(folder / f"seed_{number}")
    (folder / "crossval.json").unlink()
    ensemble = {key: value for key, value in pooled.items() if key != "calibrated"}
    best = {"accuracy": {"mean": 0.7, "sd": 0.1, "min": 0.6, "max": 0.8, "values": [0.6, 0.8]}}
    record = {"runs": ["seed_1", "seed_2"], "best": best, "ensemble": ensemble}
    (folder / "repeat.json").write_text(json.dumps(record))
    text = Page(write_series_report(folder)).text
    assert "for the ensemble of 2 seeds, on 10 test images" in text
    assert "60.0 % to 80.0 %" in text
    (folder / "repeat.json").write_text(json.dumps({"runs": ["seed_1", "seed_2"]}))
    renew(folder / "external.json")
    assert [one["id"] for one in Page(folder / "report.html").all("section")] == [
        name for name in SECTIONS if name not in ("results", "classes", "confusion")
    ]


def test_a_series_without_its_images_or_its_end_says_so(tmp_path: Path):
    folder = write_crossval(tmp_path)
    (tmp_path / "xrays" / "NORMAL").rename(tmp_path / "elsewhere")
    assert "could not be shown" in Page(write_series_report(folder)).text
    (folder / "crossval.json").write_text(json.dumps({"folds": [1, 2]}))
    with pytest.raises(UserError, match="has not ended"):
        write_series_report(folder)
