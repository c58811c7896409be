"""A model -> model.onnx and model.pt2, from pixels of any size to probabilities."""

import copy
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import PIL
import torch
from numpy.typing import NDArray

from covidnet.__version__ import __version__
from covidnet.data.changes.kinds import shown
from covidnet.data.walk import radiographs_below
from covidnet.errors import UserError
from covidnet.imaging.decode import open_radiograph, read
from covidnet.imaging.radiograph import UnreadableImageError
from covidnet.inference.agreement import difference_of, outputs
from covidnet.inference.graph import Deployed
from covidnet.inference.predictor import Pixels, Predictor
from covidnet.runs.checkpoint import radiographs_of
from covidnet.runs.files import SPLIT, read_rows_of

FOLDER = "export"  # of a run
ONNX, TORCH = "model.onnx", "model.pt2"
EXTRA = "covidnet.json"  # in model.pt2, what model.onnx has as metadata
LIBRARIES = ("onnx", "onnxscript", "onnxruntime")
CHANNELS = (1, 3)  # of an image that an exported file takes
TOLERANCE = 1e-4  # by which a probability may differ from PyTorch's
CHECKED = 32  # of a run's test images
ONE_FILE = 2**31 - 2**24  # bytes of weights that fit into model.onnx itself; protobuf ends at 2 GiB

Runner: TypeAlias = Callable[[NDArray[np.uint8]], list[NDArray[np.float32]]]  # (B, H, W, C) -> outputs (B, ...)


@dataclass(frozen=True)
class Example:
    """One image to compare an export and PyTorch on."""

    name: str
    image: NDArray[np.uint8]  # (H, W, C), at its own size
    pixels: Pixels  # as the predictor decodes it


@dataclass(frozen=True)
class Written:
    """A file of the export, and how near it is to PyTorch."""

    file: Path
    size: int  # bytes, with those of weights beside it
    difference: float  # the greatest, of a probability


def export(predictor: Predictor, folder: Path, examples: Iterable[Example]) -> list[Written]:
    """Write a predictor's model, with its preprocessing, into ``folder``: all files whole, or none.

    Args:
        predictor: On the CPU, in float32.
        folder: Where ``model.onnx`` and ``model.pt2`` go; it is made, and older ones are overwritten.
        examples: Images on which both files must say what the predictor says.

    Raises:
        UserError: Where they do not, within ``TOLERANCE``, or the folder cannot be written.
    """
    predictor.refuse_without_lungs()
    if shown(predictor.lungs)[1]:
        raise UserError(
            f"{predictor.checkpoint} sees images cut to their lungs, which an exported file cannot find. Use covidnet "
            "predict, serve or evaluate, which find them, or export a model that was trained without data.lungs=crop."
        )
    unfinished = folder / f"unfinished.{os.getpid()}"
    try:
        unfinished.mkdir(parents=True)
        write(predictor, unfinished)
        runners = {ONNX: onnx_runner(unfinished / ONNX), TORCH: torch_runner(unfinished / TORCH)}
        differences = compare(predictor, runners, examples)
        sizes = {name: sum(file.stat().st_size for file in unfinished.glob(f"{name}*")) for name in runners}
        for file in sorted(unfinished.iterdir()):
            file.replace(folder / file.name)
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror or error}. Give another --out FOLDER.") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        with suppress(OSError):
            folder.rmdir()  # where nothing is in it
    return [Written(folder / name, sizes[name], differences[name]) for name in runners]


def write(predictor: Predictor, folder: Path) -> None:
    """Write ``model.onnx`` and ``model.pt2`` into ``folder``, unchecked."""
    model = copy.deepcopy(predictor.model).to(memory_format=torch.contiguous_format)  # as both formats keep weights
    how = (predictor.image_size, predictor.interpolation, predictor.temperature, predictor.novelty)
    decision = predictor.decision.at(predictor.classes) if predictor.decision else None
    deployed = Deployed(model, *how, decision).eval()
    known = metadata(predictor)
    size = torch.export.Dim
    axes = {0: size("batch"), 1: size("height"), 2: size("width"), 3: size("channels", max=3)}
    try:
        with torch.no_grad():
            program = torch.export.export(
                deployed, (torch.zeros(2, 5, 7, 3, dtype=torch.uint8),), dynamic_shapes=({**axes},)
            )
        _forget_where_it_was_made(program)
        graph = torch.onnx.export(
            program,
            input_names=["images"],
            output_names=deployed.outputs,
            dynamic_shapes=({**axes},),
            dynamo=True,
            verbose=False,
        )
    # Each step raises its own kinds for layers that it does not know.
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(
            f"{predictor.checkpoint} holds a model that torch {torch.__version__} cannot export: {reason}. Nothing was "
            "written. Try a newer torch and onnxscript, or another model.backbone."
        ) from error
    torch.export.save(program, folder / TORCH, extra_files={EXTRA: json.dumps(known)})
    assert graph is not None
    _tidy(graph.model, known)
    weights = sum(tensor.numel() * tensor.element_size() for tensor in program.state_dict.values())
    graph.save(folder / ONNX, external_data=weights > ONE_FILE)


def metadata(predictor: Predictor) -> dict[str, str]:
    """Return what a user of the exported file must know; values other than text and numbers are JSON."""
    known = {name: json.dumps(value) for name, value in predictor.calibration.items() if value is not None}
    return {
        "notice": predictor.notice,
        "classes": json.dumps(predictor.classes, ensure_ascii=False),
        **known,
        "image_size": str(predictor.image_size),
        "interpolation": predictor.interpolation,
        "covidnet_version": __version__,
        "resized_as_pillow": PIL.__version__,
    }


def compare(predictor: Predictor, runners: dict[str, Runner], examples: Iterable[Example]) -> dict[str, float]:
    """Return the greatest difference between what each runner and the predictor say of images, alone and in pairs.

    Raises:
        UserError: Where it is above ``TOLERANCE``.
    """
    greatest = dict.fromkeys(runners, 0.0)
    for batch in alone_and_in_pairs(examples):
        expected = outputs(predictor, [example.pixels for example in batch])
        images = np.stack([example.image for example in batch])
        for name, runner in runners.items():
            difference = difference_of(predictor, runner(images), expected)
            if not difference <= TOLERANCE:  # nor a NaN
                raise UserError(
                    f"{name} does not say what PyTorch says of {' and '.join(example.name for example in batch)}: a "
                    f"number differs by {difference:.2g}, more than {TOLERANCE:g}. Nothing was written. Try another "
                    f"version of {' or '.join(LIBRARIES if name == ONNX else ('torch',))}."
                )
            greatest[name] = max(greatest[name], difference)
    return greatest


def alone_and_in_pairs(examples: Iterable[Example]) -> Iterator[list[Example]]:
    """Yield each example alone, and with the one before it if that is of its size."""
    before: Example | None = None
    for example in examples:
        yield [example]
        if before is not None and before.image.shape == example.image.shape:
            yield [before, example]
        before = example


def onnx_runner(file: Path) -> Runner:
    """Return what runs ``model.onnx`` in onnxruntime, on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])

    def run_it(images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        _refuse_odd_channels(images)
        found: list[NDArray[np.float32]] = session.run(None, {"images": images})
        return found

    return run_it


def torch_runner(file: Path) -> Runner:
    """Return what runs ``model.pt2`` in PyTorch, on the CPU."""
    module = torch.export.load(file).module()

    @torch.no_grad()
    def run_it(images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        _refuse_odd_channels(images)
        return [found.numpy() for found in module(torch.from_numpy(images))]

    return run_it


class Examples:
    """Images of files, read as they are asked for, then some made of noise: of sizes that the files may lack."""

    def __init__(self, predictor: Predictor, files: Sequence[Path]) -> None:
        self.predictor = predictor
        self.files = files
        self.made = noise(predictor.image_size)
        self.unreadable: list[str] = []

    def __len__(self) -> int:
        return len(self.files) + len(self.made)

    def __iter__(self) -> Iterator[Example | None]:
        """Yield an example for each file, None for one that cannot be read, and then those made of noise."""
        for file in self.files:
            try:
                content = read(file)
                image = np.atleast_3d(np.asarray(open_radiograph(content, self.predictor.reading).image))
                yield Example(str(file), image, self.predictor.decode(content))
            except UnreadableImageError as error:
                self.unreadable.append(f"{file} {error}")
                yield None
        for image in self.made:
            height, width, channels = image.shape
            pixels = self.predictor.decode(image[..., 0] if channels == 1 else image)
            yield Example(f"noise of {width}x{height} pixels, {channels} channels", image, pixels)

    def told(self, folder: Path | None) -> str:
        """Return what was compared, in words; the files are those below ``folder``, or of the run's test split."""
        count = len(self.files) - len(self.unreadable)
        where = f"below {folder}" if folder else "of the run's test split"
        gone = "" if folder or self.files else " (they are not where the run found them; --check FOLDER names others)"
        return f"{count} images {where}{gone} and {len(self.made)} made of noise"


def noise(size: int) -> list[NDArray[np.uint8]]:
    """Return pairs of images (H, W, C) that are smaller, larger, tall, wide and just the model's size."""
    rng = np.random.default_rng(0)
    shapes = [
        (size, size, 3),
        (size // 2 + 1, size // 2 + 1, 1),
        (4 * size + 3, size + 1, 3),
        (size + 5, 3 * size + 1, 1),
        (2 * size + 1, 2 * size, 1),
        (1, 1, 1),
    ]
    return [rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes for _ in range(2)]


def files_of_test(predictor: Predictor) -> list[Path]:
    """Return some of the test images of the run that wrote the checkpoint, evenly taken; none where they are gone."""
    run = next(iter(predictor.runs), None)
    if run is None or not (run / SPLIT).is_file():
        return []
    names = [row["path"] for row in read_rows_of(run / SPLIT) if row["split"] == "test"]
    data = radiographs_of(predictor.recipe)
    try:
        files = [data.image_file(name) for name in names]
    except UserError:  # the folders are not there, or hold something else now
        return []
    found = [file for file in files if file.is_file()]
    return found[:: -(-len(found) // CHECKED) or 1]


def files_below(folder: Path) -> list[Path]:
    """Return all images in and below a folder.

    Raises:
        UserError: Where it holds none.
    """
    found = radiographs_below(folder)[0] if folder.is_dir() else []
    if not found:
        what = "holds no images" if folder.is_dir() else "is no folder"
        raise UserError(f"--check {folder} {what}. Give a folder of radiographs, or leave --check out.")
    return found


def default_folder(predictor: Predictor) -> Path:
    """Return the folder of the run that wrote the checkpoint into which an export goes.

    Raises:
        UserError: Where the checkpoint does not lie in a run.
    """
    if predictor.run is None:
        raise UserError(f"{predictor.checkpoint} does not lie in its run directory. Give --out FOLDER.")
    return predictor.run / FOLDER


def lacks(predictor: Predictor) -> str | None:
    """Return what the files do not hold of a predictor, and what has it; None where they hold all."""
    if not predictor.crossed:
        return None
    return (
        "The files hold no prediction sets: those of a crossval take what each member says alone. covidnet predict and "
        "serve have them; so have the files of one of its runs, for that run alone."
    )


def refuse_missing_libraries() -> None:
    """Say how to install what an export takes, where it is not there.

    Raises:
        UserError: Naming the libraries.
    """
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        raise UserError(
            f"covidnet export needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not "
            f"installed: pip install {' '.join(missing)}"
        )


def _refuse_odd_channels(images: NDArray[np.uint8]) -> None:
    if images.shape[3] not in CHANNELS:
        raise UserError(
            f"images of the shape {images.shape} have {images.shape[3]} channels, but an exported model takes "
            f"{' or '.join(map(str, CHANNELS))}, last: grey or RGB."
        )


def _forget_where_it_was_made(program: torch.export.ExportedProgram) -> None:
    """Drop the traces that name files of this machine."""
    for module in program.graph_module.modules():
        for node in getattr(module, "graph", torch.fx.Graph()).nodes:
            node.meta.pop("stack_trace", None)


def _tidy(model: Any, known: dict[str, str]) -> None:
    """Give an ONNX model (onnx_ir.Model) its metadata, and take away what nobody needs."""
    model.producer_name, model.producer_version = "covidnet", __version__
    model.doc_string = known["notice"]
    model.metadata_props.update(known)
    for node in model.graph.all_nodes():
        node.metadata_props.clear()  # the exporter's, with files of this machine
    for name, value in list(model.graph.initializers.items()):
        if not value.uses():  # onnxruntime would warn of it whenever the model is opened
            del model.graph.initializers[name]
