"""Facts about covidnet predict and covidnet.load: training's own pixels and numbers, and what cannot be read."""

import csv
import io
import json
import re

import numpy as np
import pytest
import torch
from helpers import CLASSES, QUICK, paint
from PIL import Image

import covidnet
from bench.hostile import dicom
from covidnet.commands.main import main as tools
from covidnet.commands.train import main
from covidnet.imaging.radiograph import UnreadableImageError


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on painted images, which lie in xrays/ beside it."""
    folder = tmp_path_factory.mktemp("trained")
    keys = {
        "data.root": paint(folder / "xrays"),
        "data.cache_dir": folder / "cache",
        "trainer.default_root_dir": folder,
    }
    sizes = ["data.image_size=12", "data.test_per_class=3", "data.batch_size=8", "trainer.max_epochs=3"]
    main([*(f"{key}={value}" for key, value in keys.items()), *sizes, *QUICK])
    return folder / "convnet" / "version_0"


@pytest.fixture
def images(trained):
    """Three painted images, one a class."""
    return [trained.parents[1] / "xrays" / name / f"{name} (1).png" for name in CLASSES]


def read_csv(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_the_test_split_gives_predictions_csv_again(trained, capsys):
    assert tools(["predict", f"ckpt_path={trained}"]) == 0
    found = read_csv(capsys.readouterr().out)
    kept = read_csv((trained / "predictions.csv").read_text())
    assert len(found) == len(kept) == 9
    for row, known in zip(found, kept, strict=True):
        for key, value in known.items():
            if key.startswith("prob_"):
                assert float(row[key]) == pytest.approx(float(value), abs=1e-6)
            else:
                assert row[key] == value
        assert sum(float(row[f"calibrated_{name}"]) for name in CLASSES) == pytest.approx(1)


def test_a_file_predicts_what_it_does_in_the_split(trained, capsys):
    kept = read_csv((trained / "predictions.csv").read_text())
    root = trained.parents[1] / "xrays"
    assert tools(["predict", str(trained), *(str(root / row["path"]) for row in kept)]) == 0
    found = read_csv(capsys.readouterr().out)
    for row, known in zip(found, kept, strict=True):
        assert row["label"] == ""
        assert row["predicted"] == known["predicted"]
        assert float(row["prob_NORMAL"]) == pytest.approx(float(known["prob_NORMAL"]), abs=1e-6)


def test_train_py_predict_is_the_same_command(trained, images, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["train.py", f"ckpt_path={trained}", "predict", str(images[0])])
    assert tools(default="run") == 0
    assert read_csv(capsys.readouterr().out)[0]["path"] == str(images[0])


def test_an_unreadable_file_is_one_line_and_the_rest_goes_on(trained, images, tmp_path, capsys):
    (tmp_path / "empty.png").touch()
    (tmp_path / "page.png").write_text("<html>")
    given = [images[0], tmp_path / "empty.png", images[1], tmp_path / "page.png"]
    assert tools(["predict", str(trained), *map(str, given), "--batch-size", "2"]) == 3
    printed = capsys.readouterr()
    rows = read_csv(printed.out)
    assert [row["path"] for row in rows] == [str(path) for path in given]
    assert [row["error"] for row in rows][::2] == ["", ""]
    assert rows[1]["error"] == "is empty (0 bytes)"
    assert "web page" in rows[3]["error"]
    assert rows[1]["predicted"] == rows[1]["prob_NORMAL"] == rows[1]["calibrated_NORMAL"] == ""
    assert "2 of 4 files could not be read" in printed.err


def test_folders_and_patterns_name_each_image_once(trained, tmp_path, capsys):
    root = paint(tmp_path / "xrays")
    images = [root / name / f"{name} (1).png" for name in CLASSES]
    (root / "NORMAL" / "notes.txt").write_text("not an image")
    assert tools(["predict", str(trained), str(root / "*" / "*(1).png"), str(root / "NORMAL"), str(images[0])]) == 0
    paths = [row["path"] for row in read_csv(capsys.readouterr().out)]
    assert sorted(paths[:3]) == sorted(map(str, images))
    assert len(paths) == len(set(paths)) == 2 + 12


@pytest.fixture
def mixed(tmp_path):
    """A folder of a PNG, DICOM files of which one has no ending, and files that are no images."""
    root = tmp_path / "mixed"
    (root / "1.2.840.1").mkdir(parents=True)
    grey = (np.add.outer(np.arange(30), np.arange(40)) * 3).astype(np.uint8)
    Image.fromarray(grey).save(root / "a.png")
    Image.fromarray(grey).save(root / "b.gif")
    (root / "c.dcm").write_bytes(dicom(grey))
    (root / "1.2.840.1" / "1.2.840.1.7").write_bytes(dicom(grey))
    (root / "notes.txt").write_text("not an image")
    return root


def test_a_mixed_folder_is_predicted_as_a_whole_and_what_is_left_out_is_told(trained, mixed, capsys):
    assert tools(["predict", str(trained), str(mixed)]) == 0
    printed = capsys.readouterr()
    rows = read_csv(printed.out)
    assert [row["path"].removeprefix(f"{mixed}/") for row in rows] == [
        "1.2.840.1/1.2.840.1.7",
        "a.png",
        "b.gif",
        "c.dcm",
    ]
    assert len({row["prob_NORMAL"] for row in rows}) == 1
    assert f"1 files or folders are left out:\n  {mixed}/notes.txt is no image (.txt)\n" in printed.err


def test_pictures_of_a_kind_that_is_not_read_are_told_and_end_in_code_3(trained, mixed, capsys):
    for number in range(3):
        (mixed / f"{number}.heic").touch()
    assert tools(["predict", str(trained), str(mixed)]) == 3
    printed = capsys.readouterr()
    assert len(read_csv(printed.out)) == 4
    assert re.search(
        r"4 files or folders are left out:\n  \S+\.heic is HEIC, .* save it as PNG \(3 such\)\n", printed.err
    )


def test_a_folder_of_other_files_alone_is_told_what_they_are(trained, tmp_path, capsys):
    (tmp_path / "1.nii").touch()
    with pytest.raises(SystemExit):
        tools(["predict", str(trained), str(tmp_path)])
    assert re.search(r"holds no images \(\S+/1\.nii is a volume", capsys.readouterr().err)


def test_predict_reads_another_part_of_the_body_where_that_is_insisted_on(trained, tmp_path, capsys):
    (tmp_path / "chest").write_bytes(dicom(np.arange(900, dtype=np.uint8).reshape(30, 30), BodyPartExamined="SKULL"))
    assert tools(["predict", str(trained), str(tmp_path)]) == 3
    refused = read_csv(capsys.readouterr().out)[0]["error"]
    assert "SKULL, not the chest; where its header is wrong, insist: data.body_part=any, or --body-part any" in refused
    assert tools(["predict", str(trained), str(tmp_path), "--body-part", "any"]) == 0
    assert read_csv(capsys.readouterr().out)[0]["error"] == ""
    assert len(covidnet.load(trained, body_part="any").predict(tmp_path / "chest")) == 1


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["{run}", "nowhere.png"], "nowhere.png does not exist, and as a pattern it matches nothing"),
        (["nowhere", "x.png"], "nowhere does not exist. Give the directory of a run"),
        (["{run}", "{empty}"], "holds no images"),
        (["{run}", "--out", "x.pdf"], "its ending tells no format"),
        (["{run}", "--out", "{run}", "--format", "csv"], "cannot be written: it is a folder"),
        (["{run}", "--out", "no/x.csv"], "no/x.csv cannot be written: there is no folder"),
        (["{run}", "--batch-size", "0"], "--batch-size 0 must be 1 image or more"),
        (["{run}", "--device", "abacus"], "--device abacus cannot be used here"),
    ],
    ids=["path", "checkpoint", "empty", "format", "file", "folder", "batch", "device"],
)
def test_a_mistake_is_one_message_and_code_2(given, says, trained, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        tools(["predict", *(text.format(run=trained, empty=tmp_path) for text in given)])
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_a_checkpoint_without_its_run_needs_a_path(trained, tmp_path, capsys):
    alone = tmp_path / "alone.ckpt"
    alone.write_bytes((trained / "checkpoints" / "best.ckpt").read_bytes())
    with pytest.raises(SystemExit):
        tools(["predict", str(alone)])
    assert "Give files or folders" in capsys.readouterr().err


def test_formats_agree(trained, images, tmp_path, capsys):
    files = [tmp_path / name for name in ("out.csv", "out.jsonl", "out.txt")]
    for file in files:
        assert tools(["predict", str(trained), *map(str, images), "--out", str(file)]) == 0
    assert capsys.readouterr().out.split() == [str(file) for file in files]
    rows = read_csv(files[0].read_text())
    objects = [json.loads(line) for line in files[1].read_text().splitlines()]
    lines = files[2].read_text().splitlines()[2:]
    for path, row, one, line in zip(images, rows, objects, lines, strict=True):
        assert row["path"] == one["path"] == str(path)
        assert row["predicted"] == one["predicted"]
        assert f"{path}: {row['predicted']}" in line
        assert row["prediction_set"] == ";".join(one["prediction_set"])
        assert float(row["calibrated_NORMAL"]) == pytest.approx(one["calibrated"]["NORMAL"], abs=1e-8)
        assert row["unfamiliar"] == str(one["unfamiliar"]).lower()


def test_what_was_predicted_before_an_interrupt_is_kept(trained, images, tmp_path, monkeypatch, capsys):
    def interrupt(self, pixels):
        raise KeyboardInterrupt

    monkeypatch.setattr("covidnet.inference.predictor.Predictor.predict_pixels", interrupt)
    assert tools(["predict", str(trained), str(images[0]), "--out", str(tmp_path / "out.csv")]) == 130
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv.unfinished"]
    assert "what was predicted so far" in capsys.readouterr().err


def test_load_predicts_paths_bytes_pictures_and_arrays_alike(trained, images):
    model = covidnet.load(trained, device="cpu")
    picture = Image.open(images[0])
    several = [images[0], str(images[0]), images[0].read_bytes(), picture, np.asarray(picture)]
    assert all(np.array_equal(model.decode(one), model.decode(images[0])) for one in several)
    found = model.predict(several)
    assert len(found) == 5
    assert [one.predicted for one in model.predict(images[0])] == [found[0].predicted]
    assert found[0].predicted in model.classes
    assert list(found[0].probabilities) == model.classes
    assert sum(found[0].probabilities.values()) == pytest.approx(1)
    with pytest.raises(UnreadableImageError, match="is empty"):
        model.predict(b"")


def test_a_wide_array_is_scaled_by_its_own_range_as_a_file_is(trained):
    model = covidnet.load(trained)
    wide = np.arange(400, dtype=np.uint16).reshape(20, 20) * 100
    narrow = np.rint(wide * (255 / wide.max())).astype(np.uint8)
    assert np.array_equal(model.decode(wide), model.decode(narrow))


def test_an_image_that_gives_no_pixels_is_named_among_several(trained, images, tmp_path):
    model = covidnet.load(trained)
    (tmp_path / "empty.png").touch()
    with pytest.raises(ValueError, match=rf"^{tmp_path}/empty\.png is empty"):
        model.predict([images[0], tmp_path / "empty.png"])
    with pytest.raises(ValueError, match=r"^images\[1\] is an array of float64 .* scale=\(0, 255\)"):
        model.predict([images[0], np.full((8, 8), 200.0)])
    with pytest.raises(ValueError, match=r"^What was given is of type int; give a path"):
        model.predict(5)


def test_arrays_and_tensors_are_predicted_as_their_file_is(trained, images):
    model = covidnet.load(trained)
    grey = np.asarray(Image.open(images[0]))
    expected = model.predict(images[0])[0].probabilities
    tensor = torch.from_numpy(grey.copy())[None] / 255
    for given in (tensor, tensor.numpy(), np.stack([grey] * 3, -1), torch.stack([tensor] * 2), [tensor, grey]):
        assert all(one.probabilities == pytest.approx(expected, abs=1e-6) for one in model.predict(given))
    assert model.predict(grey.astype(int), scale=(0, 255))[0].probabilities == expected
    assert len(model.predict(torch.stack([tensor] * 2))) == 2


def test_a_model_without_lungs_refuses_whole_images(trained, images):
    model = covidnet.load(trained)
    model.lungs = "covered"
    with pytest.raises(covidnet.errors.UserError, match=re.escape("data.lungs=covered")):
        model.predict(images)


def test_odd_and_outside_files_give_their_image_or_their_reason(trained, real_data, tmp_path, capsys):
    out = tmp_path / "out.csv"
    given = [*(real_data / "odd").iterdir(), real_data / "external"]
    assert tools(["predict", str(trained), *map(str, given), "--out", str(out)]) == 3
    rows = read_csv(out.read_text())
    odd = {row["path"].rpartition("/")[2]: row["error"] for row in rows if "/odd/" in row["path"]}
    unreadable = {name for name, error in odd.items() if error}
    assert unreadable == {"empty.png", "truncated.png", "not_an_image.png", "._COVID-1.png"}
    assert not [row for row in rows if "/external/" in row["path"] and row["error"]]
    capsys.readouterr()
