"""One precision for numbers: what a run publishes is what its checkpoint says of the same images anywhere."""

from pathlib import Path
from typing import Any

from bench.gpu.work import Work

SAME = 1e-5  # between probabilities on one device
OTHER = 1e-4  # between those of a GPU and a CPU


def predict(work: Work) -> None:
    """predictions.csv and results.json are what `covidnet predict` and `covidnet evaluate` say of the test images."""
    models = {
        "InceptionV3": work.setting.inception,
        "frozen": [*work.setting.inception, "model.freeze_backbone=true"],
        "ConvNet": work.setting.convnet,
    }
    for name, words in models.items():
        runs = work.folder(name)
        more = ["trainer.max_epochs=3", "report=false"]
        if work.train(f"{name}, run", [*words, *more], command="run", runs=runs):
            [run] = (file.parent for file in runs.glob("*/*/results.json"))
            _compare(work, name, run)


def _compare(work: Work, name: str, run: Path) -> None:
    from covidnet.runs.predictions import read_predictions

    published = read_predictions(run / "predictions.csv")
    tops = [sorted(row)[-2:] for row in published.probabilities.tolist()]
    work.notes.figure(f"{name}: images whose two best classes are equal", sum(low == high for low, high in tops))
    own = "cpu" if work.setting.rehearse else "cuda"
    for device, limit in {"cpu": OTHER, own: SAME}.items():
        file = run / f"said_{device}.csv"
        _say(work, f"{name}: predict on {device}", run, file, limit, ["predict", run, "--out", file])
    file, report = run / "evaluated.csv", run / "evaluated.json"
    words = ["evaluate", run, work.setting.small.root, "--keep-seen", "--no-cache", "--metadata", "none"]
    _say(work, f"{name}: evaluate on {own}", run, file, SAME, [*words, "--predictions", file, "--json", report])


def _say(work: Work, key: str, run: Path, file: Path, limit: float, words: list[Any]) -> None:
    """Run a command that says something of the test images; compare its table with predictions.csv."""
    import numpy as np

    from covidnet.commands.main import main
    from covidnet.runs.predictions import read_predictions

    published = read_predictions(run / "predictions.csv")
    device = key.rpartition(" ")[2]
    try:
        main([*map(str, words), "--device", device])
        said = read_predictions(file).of(published.paths, published.classes)
    except (Exception, SystemExit) as error:
        work.notes.check(f"{key} v predictions.csv", False, f"{type(error).__name__}: {error}"[:300])
        return
    gaps = np.abs(said.probabilities - published.probabilities)
    flips = int((said.predicted != published.predicted).sum())
    found = {"images": len(published.paths), "largest": gaps.max(), "mean": gaps.mean(), "other classes": flips}
    work.notes.check(f"{key} v predictions.csv", bool(gaps.max() <= limit and not flips), found)
