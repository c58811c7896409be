"""Facts about a kept threshold: whatever answers for an image, file, JSON, API, ONNX or report, calls it the same."""

import csv
import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import slow
from made_run import write_run
from PIL import Image
from served import serving
from torch import nn

from covidnet.evaluation.decision import Decision
from covidnet.inference import export
from covidnet.inference.predictions import WRITERS, Row
from covidnet.inference.predictor import Predictor
from covidnet.report.decided import decisions
from covidnet.runs.predictions import read_predictions, write_predictions

CLASSES = ["NORMAL", "COVID", "Other"]
IMAGES = 200
TEMPERATURE, THRESHOLD = 1.7, 0.2
DECISION = Decision("COVID", THRESHOLD, "sensitivity", 0.95)


class Shades(nn.Module):
    """A model that knows an image by its one shade of grey."""

    def __init__(self, logits):
        super().__init__()
        self.register_buffer("logits", torch.tensor(logits, dtype=torch.float32))

    @property
    def members(self):
        return [self]

    def logits_and_features(self, images):
        shades = (images[:, 0, 0, 0] * 255).round().long()
        return self.logits[shades], images[:, 0, :1, 0]


def made():
    """Return logits (200, 3) of which half lie just above the threshold, and what they must be called."""
    rng = np.random.default_rng(0)
    above = np.arange(IMAGES) % 2 == 0
    covid = THRESHOLD * (1 + np.where(above, 1, -1) * 10 ** rng.uniform(-4, -0.5, IMAGES))
    normal = rng.random(IMAGES) * (1 - covid)
    logits = TEMPERATURE * np.log(np.stack([normal, covid, 1 - covid - normal], axis=1))
    others = np.where(normal > 1 - covid - normal, "NORMAL", "Other")
    return logits.astype(np.float32), np.where(above, "COVID", others).tolist()


def set_up(predictor, logits):
    predictor.model = Shades(logits).eval()
    predictor.classes, predictor.temperature, predictor.decision = CLASSES, TEMPERATURE, DECISION
    predictor.calibration = {"temperature": TEMPERATURE, "decision": DECISION.plain}
    predictor.least = predictor.coverage = predictor.novelty = None
    return predictor


def encoded(image):
    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG")
    return content.getvalue()


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path)


@slow
def test_each_of_200_images_is_called_the_same_by_all(run, tmp_path):
    logits, expected = made()
    size = Predictor(run, "cpu").image_size
    images = np.broadcast_to(np.arange(IMAGES, dtype=np.uint8)[:, None, None], (IMAGES, size, size))
    predictor = set_up(Predictor(run, "cpu"), logits)

    found = predictor.predict([*images])
    assert [one.decision for one in found] == [one.called for one in found] == expected
    assert sum(one.predicted != one.decision for one in found) > IMAGES / 3  # it is not just the most probable class
    lines = {kind: io.StringIO() for kind in WRITERS}
    for kind, stream in lines.items():
        write = WRITERS[kind](stream, predictor)
        for number, one in enumerate(found):
            write(Row(f"{number}.png", "", one))
    assert [row["decision"] for row in csv.DictReader(io.StringIO(lines["csv"].getvalue()))] == expected
    assert [json.loads(line)["decision"] for line in lines["jsonl"].getvalue().splitlines()] == expected
    shown = [line.rpartition(": ")[2] for line in lines["table"].getvalue().splitlines()[3:]]
    assert shown == expected

    with serving(run) as served:
        set_up(served.engine.predictor, logits)
        answers = [served.predict(encoded(image)).json for image in images]
    assert [answer["decision"] for answer in answers] == expected
    assert {answer["decision_rule"] for answer in answers} == {DECISION.sentence}

    export.write(predictor, tmp_path)
    for runner in (export.onnx_runner(tmp_path / export.ONNX), export.torch_runner(tmp_path / export.TORCH)):
        *_, called = runner(images[..., None].copy())
        assert [CLASSES[number] for number in called] == expected
    assert json.loads(export.metadata(predictor)["decision"]) == DECISION.plain

    file = tmp_path / "predictions.csv"
    write_predictions(file, [f"{number}.png" for number in range(IMAGES)], logits, np.zeros(IMAGES, int), CLASSES)
    of_run = SimpleNamespace(best=SimpleNamespace(calibration=predictor.calibration), classes=CLASSES)
    assert decisions(of_run, read_predictions(file)) == expected


def test_an_export_that_calls_an_image_otherwise_is_not_kept(run):
    logits, _ = made()
    predictor = set_up(Predictor(run, "cpu"), logits)
    image = np.full((predictor.image_size, predictor.image_size, 1), 1, dtype=np.uint8)
    example = export.Example("one", image, image.transpose(2, 0, 1))
    honest = [*export.outputs(predictor, [example.pixels]), np.array([0])]
    right = int(predictor.decide(honest[1])[0])
    for called, refused in ((right, False), (1 if right != 1 else 0, True)):
        runner = {"model.onnx": lambda images, called=called: [*honest[:2], np.array([called])]}
        if refused:
            with pytest.raises(ValueError, match="does not say what PyTorch says"):
                export.compare(predictor, runner, [example])
        else:
            assert export.compare(predictor, runner, [example])["model.onnx"] < 1e-6
