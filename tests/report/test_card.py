"""Facts about the model card: a hub can read it, it says what the run's files say and no more, and names no place."""

import json
import re

import pytest
import yaml
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results
from made_run import CLASSES, write_run

from covidnet.commands.main import main
from covidnet.errors import UserError
from covidnet.report.card import plain, write_card

INTERVAL = [0.51234, 0.87654]


@pytest.fixture
def run_folder(tmp_path):
    return write_run(tmp_path)


def change(file, **values):
    """Change keys of every model's scores in results.json, or of another JSON file."""
    found = json.loads(file.read_text()) if file.is_file() else {}
    for scores in (found["best"], found["final"]) if "best" in found else (found,):
        scores.update(values)
    file.write_text(json.dumps(found))


def card_of(folder):
    return write_card(folder).read_text(encoding="utf-8")


def words(text):
    """Return the card's text as it is shown: without the marks of Markdown."""
    return re.sub(r"\\(.)", r"\1", re.sub(r"\s+", " ", text.replace("\u00a0", " ")))


def test_a_hub_reads_the_header_and_the_results(run_folder):
    change(run_folder / "results.json", balanced_accuracy=0.7, intervals={"balanced_accuracy": INTERVAL})
    card = ModelCard(card_of(run_folder))
    data = card.data.to_dict()
    assert data["pipeline_tag"] == "image-classification"
    assert data["library_name"] == "covidnet"
    assert data["license"] == "unknown"
    assert data["metrics"] == ["accuracy", "balanced_accuracy"]
    name, results = model_index_to_eval_results(data["model-index"])
    assert name == "convnet"
    assert [(one.metric_type, one.metric_value) for one in results] == [("accuracy", 0.7), ("balanced_accuracy", 0.7)]
    assert results[1].metric_name == "Balanced accuracy (95 % interval 0.512 to 0.877)"
    assert results[0].dataset_name == "xrays"


def test_numbers_are_those_of_the_best_model_with_their_intervals(run_folder):
    change(run_folder / "results.json", balanced_accuracy=0.712, intervals={"balanced_accuracy": INTERVAL})
    text = words(card_of(run_folder))
    assert "| Balanced accuracy | 71.2 % (51.2 to 87.7) |" in text
    assert "of one model (best epoch)" in text
    assert f"| {CLASSES[0]} | 5 | 40.0 % |" in text
    assert "| training | 3 | 3 | 6 |" in text


def test_what_was_not_done_is_told_with_its_command(run_folder):
    text = words(card_of(run_folder))
    assert "the lungs test has not been run. The command: `covidnet shortcuts RUN`" in text
    assert "tested on its own collection only. The command: `covidnet evaluate RUN FOLDER`" in text
    assert "This run recorded none." in text
    assert "The probabilities have not been calibrated." in text
    assert "not a medical device" in text


def test_what_was_done_is_told_in_its_own_sentence(run_folder):
    (run_folder / "shortcuts.json").write_text(json.dumps({"verdict": "FAIL", "sentence": "93 % survives."}))
    outside = {"overall": {"accuracy": 0.4}, "intervals": {"accuracy": [0.3, 0.5]}, "images": 9}
    drop = {"balanced_accuracy": {"value": 0.3, "interval": [0.2, 0.4]}}
    more = {"sentence": "It drops.", "root": "/data/secret/lundis", "per_source": {"a|b": outside}, "drop": drop}
    change(run_folder / "external.json", **outside, **more, checkpoint="/elsewhere/best.ckpt")
    temperature = {"temperature": 1.5, "ece": 0.02, "brier": 0.1, "intervals": {"ece": [0.01, 0.03]}}
    change(run_folder / "results.json", calibrated=temperature, ece=0.2, brier=0.2)
    text = card_of(run_folder)
    assert "**FAIL**: Does it need the lungs? 93 % survives." in text
    assert "covidnet shortcuts" not in text
    assert "It drops. Whether images of its training or validation are among them was not checked." in text
    assert "| a\\|b | 9 | 40.0\u00a0% (30.0 to 50.0) | - |" in text
    assert "0.200 as trained and 0.020 (0.010 to 0.030) with it" in text
    results = ModelCard(text).data.eval_results
    assert results[-1].dataset_name == "lundis (images from elsewhere)"
    assert results[-1].metric_value == 0.4
    assert "secret" not in text


def test_numbers_of_another_checkpoint_are_not_claimed(run_folder):
    change(run_folder / "external.json", overall={"accuracy": 1.0}, sentence="Perfect.", checkpoint="a/last.ckpt")
    text = card_of(run_folder)
    assert "Perfect." not in text
    assert "elsewhere" not in yaml.safe_dump(ModelCard(text).data.to_dict())


@pytest.mark.parametrize(("left_out", "says"), [(True, "None of them was in"), (False, "2 of them were in")])
def test_images_of_the_training_among_those_from_elsewhere_are_told(run_folder, left_out, says):
    seen = {"checked": True, "left_out": left_out, "images": {"a": "b", "c": "d"}}
    change(run_folder / "external.json", overall={"accuracy": 0.4}, sentence="It drops.", seen=seen)
    assert says in card_of(run_folder)


def test_a_card_of_drawn_images_says_so_first(run_folder):
    change(run_folder / "results.json", notice="DRAWN radiographs (phantoms), not images of people.")
    card = ModelCard(card_of(run_folder))
    first = card.text.strip().splitlines()[2]
    assert first.startswith("**DRAWN radiographs (phantoms), not images of people.**")
    assert card.data.eval_results[0].dataset_name == "Drawn radiographs (phantoms)"
    assert "drawn-images" in card.data.tags


def test_no_place_of_this_machine_is_named(run_folder, tmp_path):
    config = yaml.safe_load((run_folder / "config.yaml").read_text())
    config["model"]["init_args"]["weights"] = str(tmp_path / "w.pth")
    config["data"]["init_args"]["cache_dir"] = "~/jane/cache"
    (run_folder / "config.yaml").write_text(yaml.safe_dump(config))
    text = words(card_of(run_folder))
    assert str(tmp_path) not in text
    assert "jane" not in text
    assert "| model.weights | w.pth |" in text


def test_names_are_shown_and_never_marks(run_folder):
    text = card_of(run_folder)
    assert "<u>" not in text.split("---")[2]
    assert plain("a|b <u>*c*\n# d") == r"a\|b \<u\>\*c\* \# d"


def test_images_that_are_gone_leave_the_rest_of_the_card(run_folder, tmp_path):
    (tmp_path / "xrays").rename(tmp_path / "moved")
    text = card_of(run_folder)
    assert "Patients and duplicates of the images are not known." in text
    assert "| training | 3 | 3 | 6 |" in text


def test_the_command_writes_it_whole_beside_the_run(run_folder, capsys):
    before = set(run_folder.iterdir())
    assert main(["card", str(run_folder)]) == 0
    assert set(run_folder.iterdir()) - before == {run_folder / "model_card.md"}
    assert capsys.readouterr().out.strip() == str(run_folder / "model_card.md")


def test_the_report_comes_with_the_card(run_folder):
    assert main(["report", str(run_folder)]) == 0
    assert (run_folder / "model_card.md").is_file()


def test_what_is_no_run_is_told(tmp_path):
    with pytest.raises(UserError, match=r"results\.json"):
        write_card(tmp_path)
