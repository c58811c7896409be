"""A run whose table tells of people: what it says of each group, what it keeps to itself, how well sources show."""

import numpy as np
import pytest
from helpers import CLASSES, QUICK, RUN, mistake, paint, read_json, slow, untold_keys

from covidnet.commands.train import main
from covidnet.data.phantoms import write_phantoms
from covidnet.report.card import write_card
from covidnet.report.page import write_report

SECRETS = ("Mrs Smith", "id4711", "0815free")
DATA = ["data.test_per_class=40", "data.image_size=12"]


@pytest.fixture
def told(tmp_path, monkeypatch):
    """Painted images with a table: views go with the class, sources do not, and some columns are nobody's business."""
    monkeypatch.chdir(tmp_path)
    root = paint(tmp_path / "xrays", ("A", "B"), per_class=150, size=12)
    rows = ["path,patient,view,Age,sex,source,scanner,name,ward"]
    for number, file in enumerate(sorted(root.rglob("*.png"))):
        view = "AP" if (file.parent.name == "A") == (number % 8 != 0) else "PA"
        ward = "one" if number % 3 else ""
        source, sex, age = ("north", "south")[number % 2], "FM"[number // 2 % 2], 5 + number % 80
        name = f"{SECRETS[0]} {number},{ward}"
        rows.append(f"{file.parent.name}/{file.name},{SECRETS[1]}{number},{view},{age},{sex},{source},X,{name}")
    (root / "metadata.csv").write_text("\n".join(rows) + "\n")
    return root


@slow
def test_a_run_tells_each_group_and_no_name(told, capsys):
    keys = ["run", f"data.root={told}", *DATA, "trainer.max_epochs=1", *QUICK]
    assert "has 300 different values" in mistake([*keys, "data.subgroups=[name]"], capsys)
    assert "names the column 'wart'" in mistake([*keys, "data.subgroups=[wart]"], capsys)
    main([*keys, "data.subgroups=[ward]", "data.age_bins=[40]", "table=true"])
    assert "ap in the " in capsys.readouterr().out.replace("Gap", "gap")
    results = read_json(RUN / "results.json")
    assert untold_keys(results) == set()
    assert set(results["class_by"]) == {"view", "sex", "age", "source", "machine", "ward"} == set(results["subgroups"])
    assert set(results["subgroups"]["age"]["groups"]) == {"0 to 39", "40 or more"}
    views = results["class_by"]["view"]
    counts = [sum(sum(row.values()) for row in table.values()) for table in views["counts"].values()]
    assert counts == [176, 44, 80]
    assert sum(sum(row.values()) for row in views["table"].values()) == 300
    assert views["interval"][0] < views["cramers_v"] < views["interval"][1]
    assert set(results["source_probe"]) == {"A", "B"}
    shown = [write_report(RUN).read_text(), write_card(RUN).read_text(), (RUN / "results.json").read_text()]
    assert [secret for secret in SECRETS for text in shown if secret in text] == []
    page = shown[0]
    assert "Can the class be told by its source?" in page
    assert "By view" in page
    assert "Cramér&#39;s V of class and source" in page
    assert "AUROC of the source" in page


@slow
def test_the_source_of_phantoms_is_found_where_a_marker_shows_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = write_phantoms(tmp_path / "drawn", dict.fromkeys(CLASSES, 150), size=64, shortcut=0.5)
    main(["run", f"data.root={root}", "trainer.max_epochs=10", *QUICK])
    found = read_json(RUN / "results.json")["source_probe"]
    assert np.mean([of_class["auroc"] for of_class in found.values()]) >= 0.9
