"""Files, folders and patterns -> what a model says of each image, as CSV, JSON lines or a table."""

import csv
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from covidnet.errors import UserError
from covidnet.imaging.radiograph import UnreadableImageError
from covidnet.inference.prediction import Prediction
from covidnet.inference.predictor import Pixels, Predictor
from covidnet.machine.parallel import cores
from covidnet.runs.checkpoint import radiographs_of
from covidnet.runs.files import SPLIT
from covidnet.runs.predictions import PROBABILITY

CALIBRATED = "calibrated_"  # begins the columns of calibrated probabilities


@dataclass(frozen=True)
class Row:
    """One image, and what is said of it or why nothing can be."""

    path: str
    label: str  # "" where it is not known
    prediction: Prediction | None
    error: str | None = None


@dataclass(frozen=True)
class Work:
    """The images to look at: names, labels, and how to get at the pixels of each."""

    paths: list[str]
    labels: list[str]
    decode: Callable[[int], Pixels]  # raises UnreadableImageError


def rows(predictor: Predictor, work: Work, batch_size: int) -> Iterator[Row]:
    """Yield what is said of each image, in order; the next batch is decoded while the model looks at one."""

    def decoded(number: int) -> Pixels | str:
        try:
            return work.decode(number)
        except UnreadableImageError as error:
            return str(error)

    with ThreadPoolExecutor(cores()) as threads:  # decoders leave Python's lock free
        starts = deque(range(0, len(work.paths), batch_size))
        ahead: deque[tuple[int, list[Future[Pixels | str]]]] = deque()
        while starts or ahead:
            while starts and len(ahead) < 2:
                start = starts.popleft()
                numbers = range(start, min(start + batch_size, len(work.paths)))
                ahead.append((start, [threads.submit(decoded, number) for number in numbers]))
            start, waiting = ahead.popleft()
            found = [future.result() for future in waiting]
            predictions = iter(predictor.predict_pixels([pixels for pixels in found if not isinstance(pixels, str)]))
            for number, pixels in enumerate(found, start):
                path, label = work.paths[number], work.labels[number]
                if isinstance(pixels, str):
                    yield Row(path, label, None, pixels)
                else:
                    yield Row(path, label, next(predictions))


def files_in(predictor: Predictor, files: Sequence[Path]) -> Work:
    """Return files as images to look at; what they show is not known."""
    return Work([str(file) for file in files], [""] * len(files), lambda number: predictor.decode(files[number]))


def test_images(predictor: Predictor) -> Work:
    """Return the test images of the run that wrote the checkpoint, as its data module serves them.

    Raises:
        UserError: Where its split or its images are not there.
    """
    run = predictor.tested
    if run is None or not (run / SPLIT).is_file():
        why = (
            "its members have no test images in common"
            if len(predictor.runs) > 1
            else f"it does not lie in its run directory with a {SPLIT}, so that its test images are not known"
        )
        raise UserError(f"No PATH was given for {predictor.checkpoint}, but {why}. Give files or folders.")
    data = radiographs_of(predictor.recipe, run)
    data.tell()
    images, numbers = data.images, data.numbers("test")
    labels = [predictor.classes[images.labels[number]] for number in numbers]
    return Work([images.paths[number] for number in numbers], labels, lambda place: images.gather(numbers[[place]])[0])


Writer = Callable[[Row], None]


def _csv(stream: TextIO, predictor: Predictor) -> Writer:
    """Write ``path, label, predicted, prob_<class> ...`` as predictions.csv has them, then what else is known.

    There is a ``decision`` where the model keeps a threshold, and a ``disagreement`` of an ensemble.
    """
    writer = csv.writer(stream, lineterminator="\n")
    classes = predictor.classes
    more = [*(f"{CALIBRATED}{name}" for name in classes), "prediction_set", "novelty", "unfamiliar"]
    more += ["decision"] if predictor.decision else []
    more += ["disagreement"] if predictor.several else []
    more.append("error")
    writer.writerow(["path", "label", "predicted", *(f"{PROBABILITY}{name}" for name in classes), *more])

    def write(row: Row) -> None:
        one = row.prediction
        if one is None:
            writer.writerow([row.path, row.label, *[""] * (len(classes) + len(more)), row.error])
            return
        probabilities = [f"{p:.9g}" for p in one.probabilities.values()]
        calibrated = [f"{p:.9g}" for p in one.calibrated.values()] if one.calibrated else [""] * len(classes)
        novelty = "" if one.novelty is None else f"{one.novelty:.4g}"
        unfamiliar = "" if one.unfamiliar is None else str(one.unfamiliar).lower()
        sets = "" if one.prediction_set is None else ";".join(one.prediction_set)
        rest = [sets, novelty, unfamiliar, *([one.decision] if predictor.decision else [])]
        rest += [] if one.disagreement is None else [f"{one.disagreement:.4g}"]
        writer.writerow([row.path, row.label, one.predicted, *probabilities, *calibrated, *rest, ""])

    return write


def _jsonl(stream: TextIO, predictor: Predictor) -> Writer:
    """Write one JSON object an image."""

    def write(row: Row) -> None:
        label = {"label": row.label} if row.label else {}
        said = {"error": row.error} if row.prediction is None else as_json(row.prediction)
        stream.write(json.dumps({"path": row.path, **label, **said}, ensure_ascii=False) + "\n")

    return write


def as_json(prediction: Prediction) -> dict[str, Any]:
    """Return a prediction as plain types, without its file and notice; a single model has no ``disagreement``."""
    plain = {**asdict(prediction), "unfamiliar": prediction.unfamiliar}
    gone = {"path", "notice", *(["disagreement"] if prediction.disagreement is None else [])}
    return {name: value for name, value in plain.items() if name not in gone}


def _table(stream: TextIO, predictor: Predictor) -> Writer:
    """Write aligned columns, a line at a time, so that the first is there before the last is known."""
    widths = [max(len(name), 6) for name in predictor.classes]
    known = predictor.temperature is not None
    what = "calibrated probabilities" if known else "probabilities"
    head = "  ".join(f"{name:>{width}}" for name, width in zip(predictor.classes, widths, strict=True))
    if predictor.coverage is not None:
        what += f"; prediction set of {predictor.coverage:.0%} coverage"
    rule = f"{predictor.decision.sentence}\n" if predictor.decision else ""
    stream.write(f"{rule}{what}\n{head}  image\n")

    def write(row: Row) -> None:
        one = row.prediction
        if one is None:
            stream.write(f"{'':>{sum(widths) + 2 * len(widths) - 2}}  {row.path}: {row.error}\n")
            return
        shown = one.calibrated or one.probabilities
        numbers = "  ".join(f"{shown[name]:>{width}.3f}" for name, width in zip(shown, widths, strict=True))
        sets = "" if one.prediction_set is None else f"  {{{', '.join(one.prediction_set)}}}"
        unlike = "  DOES NOT LOOK LIKE THE TRAINING IMAGES" if one.unfamiliar else ""
        apart = "" if one.disagreement is None else f"  disagreement {one.disagreement:.3f}"
        stream.write(f"{numbers}  {row.path}: {one.called}{sets}{apart}{unlike}\n")

    return write


WRITERS: dict[str, Callable[[TextIO, Predictor], Writer]] = {"csv": _csv, "jsonl": _jsonl, "table": _table}
