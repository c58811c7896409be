"""A made-up run directory: painted images, an untrained network and numbers by hand."""

import csv
import json
from pathlib import Path

import pytorch_lightning as pl
import torch
import yaml
from helpers import paint

from covidnet.models.convnet import ConvNet

CLASSES = ("<u>COVID", "NORMAL")
PER_CLASS = 5
SIZE = 12


def write_table(file: Path, header: list[str], rows: list[list[object]]) -> None:
    with file.open("w", newline="") as lines:
        csv.writer(lines).writerows([header, *rows])


def write_run(tmp_path: Path, per_class: int = PER_CLASS) -> Path:
    """Write a finished run, its images in ``tmp_path / "xrays"``; return its directory.

    Its results hold no intervals, as nothing but training and testing leaves them.
    """
    root = paint(tmp_path / "xrays", CLASSES, per_class)
    folder = tmp_path / "runs" / "convnet" / "version_0"
    (folder / "checkpoints").mkdir(parents=True)
    paths = [(f"{name}/{name} ({number}).png", name) for name in CLASSES for number in range(1, per_class + 1)]
    wrong = 3  # of the first class
    rows: list[list[object]] = []
    for number, (path, name) in enumerate(paths):
        called = CLASSES[1] if number < wrong else name
        sure = 0.6 + 0.03 * min(number, 10)
        rows.append([path, name, called, *(sure if column == called else 1 - sure for column in CLASSES)])
    write_table(folder / "predictions.csv", ["path", "label", "predicted", *(f"prob_{name}" for name in CLASSES)], rows)
    split = [[path, name, ("train", "val", "test")[number % 3]] for number, (path, name) in enumerate(paths)]
    write_table(folder / "split.csv", ["path", "label", "split"], split)
    columns = ["epoch", "step", "train_loss", "val_loss", "train_accuracy", "val_accuracy"]
    write_table(folder / "metrics.csv", columns, [[0, 1, 0.9, 0.8, 0.5, 0.6], [1, 2, 0.7, 0.6, 0.7, 0.7]])
    of_class = {"sensitivity": 0.4, "specificity": 1.0, "precision": 1.0, "support": per_class}
    counts = ("true_positives", "false_positives", "true_negatives", "false_negatives")
    scores = {
        "loss": 0.7,
        "weighted_loss": 0.6,
        "accuracy": 0.7,
        "precision": 0.7,
        "recall": 0.7,
        **dict.fromkeys(counts, 1),
        "per_class": {name: of_class for name in CLASSES},
        "confusion_matrix": [[per_class - wrong, wrong], [0, per_class]],
    }
    one_each = dict.fromkeys(CLASSES, 3)
    results = {
        "final": scores,
        "best": scores,
        "classes": list(CLASSES),
        "epochs": 2,
        "best_epoch": 2,
        "counts": {"train": one_each, "val": one_each, "test": one_each},
        "seconds": {"fit": 1.0, "test": 0.1},
    }
    (folder / "results.json").write_text(json.dumps(results))
    model = {"class_path": "covidnet.models.convnet.ConvNet", "init_args": {"num_classes": 2, "image_size": SIZE}}
    data = {
        "class_path": "covidnet.data.module.RadiographyDataModule",
        "init_args": {"root": str(root), "image_size": SIZE, "seed": 28, "val_fraction": 0.2, "test_per_class": 2,
                      "interpolation": "bilinear"},
    }  # fmt: skip
    (folder / "config.yaml").write_text(yaml.safe_dump({"seed_everything": 28, "model": model, "data": data}))
    torch.manual_seed(0)
    recipe = {"name": "convnet", "model": model, "data": data, "classes": list(CLASSES), "version": "0.1.0"}
    checkpoint = {
        "state_dict": ConvNet(2, SIZE).state_dict(),
        "hyper_parameters": {"num_classes": 2, "image_size": SIZE},
        "pytorch-lightning_version": pl.__version__,
        "covidnet": recipe,
    }
    torch.save(checkpoint, folder / "checkpoints" / "best.ckpt")
    return folder
