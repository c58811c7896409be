"""Each known data set trains from a miniature of it with one command; a split that it gives is followed exactly."""

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import QUICK, RUN, mistake, read_json, read_rows, slow
from known_sets import KNOWN, Miniature, draw

from covidnet.commands.main import main as tools
from covidnet.commands.train import main
from covidnet.training.args import choices

ARGS = ["data.test_per_class=2", "data.image_size=8", "data.batch_size=8", "trainer.max_epochs=1", *QUICK]
pytestmark = pytest.mark.filterwarnings("ignore:.*left out")  # images without a row, which some of them have


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_data_set_trains_with_one_command(tmp_path, name):
    expected = KNOWN[name](tmp_path)
    main(["fit", f"data={name}", f"data.root={tmp_path}", *ARGS])
    rows = read_rows(RUN / "split.csv")
    assert {row["path"]: row["label"] for row in rows} == expected.labels
    hold_given_split({row["path"]: row["split"] for row in rows}, expected)


def hold_given_split(split: dict[str, str], expected: Miniature) -> None:
    """Hold each side to be as it was given, and no patient on two sides: what is lacking is drawn from the training."""
    for side in {"val", "test"} & set(expected.sides.values()):
        given = {path for path, one in expected.sides.items() if one == side}
        assert {path for path, one in split.items() if one == side} == given
    sides = defaultdict(set)
    for path, patient in expected.patients.items():
        sides[patient].add(split[path])
    assert {len(held) for held in sides.values()} <= {1}


def test_every_data_set_of_the_configs_has_a_miniature():
    assert set(choices("data")) == {*KNOWN, "phantom", "radiography"}


def swap(file: str, old: str, new: str) -> Callable[[Path], None]:
    """Return what writes something else into a file of a data set."""

    def change(root: Path) -> None:
        text = (root / file).read_text()
        assert old in text
        (root / file).write_text(text.replace(old, new))

    return change


def add_to_test(root: Path) -> None:
    draw(root, "test/PNEUMONIA/person2_virus_7.jpeg", "Pneumonia")


PLANTED = {  # data set -> what puts a patient of the training into the test
    "nih": swap("Data_Entry_2017.csv", "00000017_000.png,Pneumonia|Effusion,0,17,", "00000017_000.png,Pneumonia,0,3,"),
    "kermany": add_to_test,
    "covidx": swap("test.txt", "17 MIDRC-17(35)", "3 MIDRC-17(35)"),
}


@slow
@pytest.mark.parametrize("name", PLANTED)
def test_a_patient_on_two_sides_of_a_given_split_fails_the_audit(tmp_path, name, capsys, monkeypatch):
    monkeypatch.setattr("covidnet.evidence.audit_checks.probe", lambda *_: None)  # which tell nothing of the split
    KNOWN[name](tmp_path)
    verdicts = []
    for plant in (None, PLANTED[name]):
        if plant:
            plant(tmp_path)
        tools(["audit", str(tmp_path), f"data={name}", "--json", "audit.json", "--metadata", "none"])
        verdicts += [check for check in read_json(Path("audit.json"))["checks"] if check["name"] == "split"]
    assert [check["verdict"] for check in verdicts] == ["PASS", "FAIL"]
    assert "1 patients or groups of copies have images on two sides of the split" in verdicts[1]["sentence"]


def test_a_planted_patient_is_told_before_training(tmp_path):
    KNOWN["nih"](tmp_path)
    PLANTED["nih"](tmp_path)
    with pytest.warns(UserWarning, match="have images on two sides of the split that was given, 1 test images among"):
        main(["fit", "data=nih", f"data.root={tmp_path}", *ARGS])


@pytest.mark.parametrize(
    ("name", "gone", "says"),
    [
        ("nih", "test_list.txt", "data.split_lists=<root>/test_list.txt must be one file in "),
        ("nih", "Data_Entry_2017.csv", "data.table=<root>/Data_Entry_2017*.csv must be one file in "),
        ("covidx", "", "data.root is missing: data.table does not say in which folder the images lie."),
    ],
)
def test_what_a_known_data_set_lacks_is_told_with_the_key_to_change(tmp_path, name, gone, says, capsys):
    KNOWN[name](tmp_path)
    if gone:
        (tmp_path / gone).unlink()
    assert says in mistake(["fit", f"data={name}", *([f"data.root={tmp_path}"] if gone else []), *ARGS], capsys)


def test_two_tables_of_the_name_are_an_error_that_names_both(tmp_path, capsys):
    KNOWN["nih"](tmp_path)
    (tmp_path / "Data_Entry_2017_v2020.csv").write_text("")
    message = mistake(["fit", "data=nih", f"data.root={tmp_path}", *ARGS], capsys)
    assert f"there are 2: {tmp_path}/Data_Entry_2017.csv and {tmp_path}/Data_Entry_2017_v2020.csv" in message


def test_typed_keys_go_before_those_of_a_known_data_set(tmp_path):
    expected = KNOWN["rsna"](tmp_path)
    keys = ["data.columns={path: patientId, label: Target}", "data.labels={Opacity: 1, None: 0}"]
    data = main(["fit", "data=rsna", f"data.root={tmp_path}", *keys, *ARGS]).datamodule
    assert data.classes == ["Opacity", "None"]
    assert sum(data.folder.class_counts.values()) > len(expected.labels)


def test_the_words_for_the_audit_look_at_the_same_images(tmp_path, monkeypatch):
    monkeypatch.setattr("covidnet.evidence.audit_checks.probe", lambda *_: None)
    KNOWN["vindr"](tmp_path)
    data = main(["fit", "data=vindr", f"data.root={tmp_path}", *ARGS]).datamodule
    tools(["audit", *data.words, "--json", "audit.json"])
    report = read_json(Path("audit.json"))
    split = next(check for check in report["checks"] if check["name"] == "split")
    assert "(14 train, 4 val, 6 test)" in split["sentence"]


def test_the_audit_tells_which_data_sets_it_knows(tmp_path, capsys):
    assert "audit knows chexpert, covidx, kermany, nih, padchest, radiography, rsna, siim_covid, vindr" in mistake(
        lambda: tools(["audit", str(tmp_path), "data=nih14"]), capsys
    )
