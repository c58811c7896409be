"""Facts about covidnet rebalance: what the last layer is fitted to, how strongly, and the run that comes of it."""

import re
from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import torch
from helpers import call, mistake, read_json, read_rows, slow, untold_keys
from made_run import CLASSES, write_run, write_table
from numpy.typing import NDArray
from torch import nn

import covidnet
from bench.rebalance import measure
from covidnet.commands import threshold
from covidnet.commands.main import main
from covidnet.data.division.sources import even_weights
from covidnet.data.phantom import CLASSES as CHESTS
from covidnet.errors import UserError
from covidnet.evaluation.last_layer import fit_last_layer
from covidnet.evidence import lungs_test
from covidnet.inference.predictor import Predictor
from covidnet.models.last_linear import take_last_linear
from covidnet.models.network import Network
from covidnet.runs.checkpoint import Checkpoint
from covidnet.runs.files import counted_tests
from covidnet.runs.run import Run
from covidnet.training.rebalance import rebalance
from covidnet.training.reweighting import STRENGTHS, Material


def material(seed: int, agree: float = 0.9, held: int = 60, known: bool = False) -> Material:
    """Return images of two classes: a faint feature tells the class, loud ones the source, which mostly agrees.

    With ``known`` the class of a training image is told by another feature alone, as by a network that has learned its
    answer by heart.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, 600)
    sources = np.where(rng.uniform(size=600) < agree, labels, rng.integers(0, 3, 600))
    first = np.arange(600) < held
    signs = 2 * labels - 1
    sign = np.where(first | (not known), signs, 0) + rng.normal(0, 0.6, 600)
    heart = np.where(first | (not known), 0, signs) + rng.normal(0, 0.3, 600)
    features = np.column_stack([sign, heart, 3 * np.eye(3)[sources] + rng.normal(0, 1, (600, 3))]).astype(np.float32)
    named = np.array(["north", "south", "east"], dtype=object)[sources]
    return Material.of(features, labels, named, np.arange(600), first)


def worst_recall(made: Material, logits: NDArray[np.floating]) -> float:
    right = logits.argmax(axis=1) == made.labels
    return min(
        right[(made.labels == label) & (made.sources == name)].mean() for label in (0, 1) for name in set(made.sources)
    )


def test_classes_weigh_alike_and_so_do_the_sources_of_a_class() -> None:
    labels, sources = [0] * 10 + [1] * 4, ["a"] * 9 + ["b"] + ["a"] * 4
    weights = even_weights(sources, labels)
    assert weights[:9].sum() == pytest.approx(weights[9]) == pytest.approx(0.25)
    assert weights[10:].sum() == pytest.approx(0.5)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_last_layer_does_not_depend_on_the_unit_of_its_features(classes: int) -> None:
    rng = np.random.default_rng(0)
    features, labels, weights = rng.normal(size=(60, 5)), np.arange(60) % classes, rng.uniform(0.1, 1, 60)
    one, other = (fit_last_layer(scale * features + 3, labels, weights, 0.01) for scale in (1, 1000))
    assert one.weight.shape == (classes, 5)
    said = one.logits(features + 3)
    np.testing.assert_allclose(other.logits(1000 * features + 3), said, atol=1e-3)
    np.testing.assert_allclose(one.tempered(4).logits(features + 3), said / 4)


def test_weights_by_source_lift_the_recall_where_the_source_misleads() -> None:
    made, new = material(0), material(1, agree=0.0)
    choice = made.choose()
    rows = made.usable(training=choice.training)
    balanced = made.fit(rows, choice.strength)
    plain = fit_last_layer(made.features[rows], made.labels[rows], np.ones(rows.sum()), choice.strength)
    assert worst_recall(new, balanced.logits(new.features)) > worst_recall(new, plain.logits(new.features)) + 0.1


@pytest.mark.parametrize(("held", "known"), [(60, False), (300, True)])
def test_training_images_are_taken_only_where_left_out_sources_gain_by_them(held: int, known: bool) -> None:
    choice = material(0, held=held, known=known).choose()
    assert choice.training != known
    assert choice.strength in STRENGTHS
    assert all(len(losses) == len(STRENGTHS) for losses in choice.losses.values())


def test_what_calibrates_a_layer_was_said_by_layers_that_had_not_seen_the_image() -> None:
    rng = np.random.default_rng(0)
    held = np.ones(60, dtype=bool)
    patients = np.arange(60) // 2
    labels = rng.integers(0, 2, 30)[patients]  # chance, which more features than images can learn by heart
    features = rng.normal(size=(30, 200))[patients].astype(np.float32)  # both images of a patient look alike
    made = Material.of(features, labels, np.array(["a", "b"], dtype=object)[patients % 2], patients, held)
    learned = made.fit(held, STRENGTHS[0]).logits(features).argmax(axis=1) == labels
    unseen = made.out_of_fold(STRENGTHS[0], training=False).argmax(axis=1) == labels
    assert made.choose().chosen_by == "left-out patients"  # no source tells anything
    assert learned.all()
    assert unseen.mean() < 0.8


def test_patients_of_two_classes_leave_images_of_each_class_to_fit_to() -> None:
    patients, labels = np.array([0, 0, 3, 3, 6]), np.array([0, 1, 0, 0, 1])
    sources = np.full(5, "north", dtype=object)
    material = Material.of(np.eye(5, dtype=np.float32), labels, sources, patients, np.full(5, True))
    assert np.isfinite(material.out_of_fold(1.0, training=False)).all()


def test_small_sources_are_one_group_and_classes_of_one_source_are_found() -> None:
    labels = np.repeat([0, 1, 2], 20)
    sources = np.array(["a"] * 14 + ["b"] * 3 + ["c"] * 3 + ["a"] * 20 + ["d"] * 10 + ["a"] * 10, dtype=object)
    made = Material.of(np.zeros((60, 1), np.float32), labels, sources, np.arange(60), np.ones(60, dtype=bool))
    assert made.alone() == [1]
    counted = [(group["class"], group["source"], group["images"]) for group in made.groups("xyz", training=False)]
    assert counted == [("x", "a", 14), ("x", "other sources", 6), ("y", "a", 20), ("z", "a", 10), ("z", "d", 10)]


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_last_linear_layer_is_found_in_a_head_of_several(mirrored: bool) -> None:
    head = nn.Sequential(nn.Linear(48, 6), nn.ReLU(), nn.Linear(6, 2))
    network = Network(nn.Sequential(nn.Flatten(), head), 2, average_mirrored=mirrored).eval()
    images = torch.rand(3, 3, 4, 4)
    logits, last = network(images), head[2]
    assert take_last_linear(network, images) == "network.1.2"
    torch.testing.assert_close(last(network(images)), logits)


def test_a_network_that_ends_with_something_else_is_refused() -> None:
    network = Network(nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(48, 2), nn.Softmax(1))), 2, name="Odd").eval()
    with pytest.raises(UserError, match="Odd does not end with a linear layer"):
        take_last_linear(network, torch.rand(3, 3, 4, 4))


def with_sources(tmp_path: Path, source_of: Callable[[str, int], str]) -> Path:
    """Return a made run with a table of sources."""
    run = write_run(tmp_path, per_class=36)
    root = tmp_path / "xrays"
    rows = [[f"{name}/{name} ({number}).png", source_of(name, number)] for name in CLASSES for number in range(1, 37)]
    write_table(root / "metadata.csv", ["path", "source"], rows)
    return run


@slow
def test_a_rebalanced_run_is_a_run_like_any_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = with_sources(tmp_path, lambda name, number: "north" if number % 4 else "south")
    before = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    assert main(["rebalance", str(run), f"--json={tmp_path / 'found.json'}", "--device=cpu"]) == 0
    said = capsys.readouterr().out
    assert {file: file.read_bytes() for file in before} == before
    new = run.with_name("version_1")
    results = read_json(new / "results.json")
    found = results["rebalanced"]
    assert untold_keys(results) == untold_keys(read_json(tmp_path / "found.json")) == set()
    assert found["sentence"].startswith("The last layer of convnet/version_0 was fitted anew to its 24 validation")
    pages = ((new / name).read_text() for name in ("report.html", "model_card.md"))
    assert all("fitted anew to its 24 validation" in text for text in (said, *pages))
    assert (new / "split.csv").read_bytes() == (run / "split.csv").read_bytes()
    assert [what for _, what in counted_tests(new)] == ["rebalanced"]

    first, second = (Checkpoint(one / "checkpoints" / "best.ckpt").model().state_dict() for one in (run, new))
    assert {name for name, value in first.items() if not torch.equal(value, second[name])} == {
        "network.7.weight",
        "network.7.bias",
    }
    rows = read_rows(new / "predictions.csv")
    predicted = Predictor(new, "cpu").predict([tmp_path / "xrays" / row["path"] for row in rows])
    column = f"prob_{CLASSES[0]}"
    assert [one.probabilities[CLASSES[0]] for one in predicted] == pytest.approx(
        [float(r[column]) for r in rows], abs=1e-5
    )
    # A threshold follows from what is kept of the validation images: asked anew, the model would know them.
    kept = [[row["path"], row["label"], row["label"], 0.6, 0.4] for row in read_rows(new / "val_predictions.csv")]
    write_table(new / "val_predictions.csv", [*rows[0]], kept)
    call(threshold, new, "--class", CLASSES[0], "--sensitivity", 1, "--device=cpu")
    temperature = Checkpoint(new / "checkpoints" / "best.ckpt").calibration["temperature"]
    expected = 1 / (1 + (0.4 / 0.6) ** (1 / temperature))
    assert read_json(new / "results.json")["best"]["decision"]["threshold"] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("source_of", "told"),
    [
        (lambda name, number: "", "No table names the source"),
        (lambda name, number: name, "Each class of .* is of one source"),
        (None, r"1 of 72 images of .* are not where they were in its training: .*xrays/NORMAL/NORMAL \(3\)\.png"),
    ],
    ids=["no source", "one source a class", "an image is gone"],
)
def test_what_cannot_be_balanced_is_refused_and_leaves_nothing(
    source_of: Callable[[str, int], str] | None, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = with_sources(tmp_path, source_of or (lambda name, number: "north" if number % 4 else "south"))
    if source_of is None:
        (tmp_path / "xrays" / "NORMAL" / "NORMAL (3).png").unlink()
    message = mistake(lambda: main(["rebalance", str(run), "--device=cpu"]), capsys)
    assert re.search(told, message)
    assert not run.with_name("version_1").exists()


def test_a_class_of_one_source_is_named_and_a_rebalanced_run_is_not_rebalanced_again(tmp_path: Path) -> None:
    run = with_sources(tmp_path, lambda name, number: "south" if name == "NORMAL" and number % 4 == 0 else "north")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / ".lock").touch()  # as a killed one leaves it
    new = covidnet.rebalance(run, tmp_path / "new", "cpu", report=False)
    assert new.folder == tmp_path / "new"
    assert new.report is None
    assert f"{CLASSES[0]} is of one source, north" in new.results["rebalanced"]["sentence"]
    with pytest.raises(UserError, match="must be a new or an empty folder"):
        covidnet.rebalance(covidnet.Run(run), new.folder)
    with pytest.raises(UserError, match="is rebalanced already"):
        covidnet.rebalance(new)
    with pytest.raises(UserError, match=r"holds no results\.json"):
        covidnet.rebalance(tmp_path / "xrays")


def test_the_lungs_test_rebalances_what_it_trains_where_the_run_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = with_sources(tmp_path, lambda name, number: "north" if number % 4 else "south")
    new, _ = rebalance(run, device="cpu")
    where = lungs_test.Lungs(masks="box", told="", ending="", runs=tmp_path)
    monkeypatch.setattr(lungs_test, "_run", lambda *_: copytree(run, tmp_path / "covered" / "convnet" / "version_0"))
    assert lungs_test._trained(Run(run), where, "covered").folder.name == "version_0"
    for _ in range(2):  # the second time it is there
        trained = lungs_test._trained(Run(new), where, "covered")
        assert (trained.folder.name, "rebalanced" in trained.results) == ("version_1", True)


@slow
def test_the_recall_where_the_marker_disagrees_rises_by_20_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # and back
    for name, number in (("COUNTS", 150), ("TEST_COUNTS", 60)):  # fewer than usual, which take long to draw
        monkeypatch.setattr(f"covidnet.data.phantoms.{name}", dict.fromkeys(CHESTS, number))
    found = measure(tmp_path, 0, 0.95, ["trainer.max_epochs=10"])
    assert found["disagree after"] >= found["disagree before"] + 20
