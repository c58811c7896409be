"""The headers of many DICOM files, read on all cores; which views they tell."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from covidnet.data.division.views import view_of
from covidnet.data.spelling import known
from covidnet.machine.parallel import cores, parallel_map, progress_bar, refuse_in_unguarded_worker

CHUNK = 64  # files a worker reports at once
FEW = 256  # so few are read sooner than worker processes start
ODD = "a term in a DICOM header"  # which is a stranger's: it is not repeated, as it may say who somebody is
Told = TypeVar("Told")


def read_headers(read: Callable[[Path], Told], files: Sequence[Path]) -> Iterator[Told]:
    """Yield what ``read`` tells of each file, in order, under a progress bar."""
    refuse_in_unguarded_worker()
    chunks = [files[start : start + CHUNK] for start in range(0, len(files), CHUNK)]
    with progress_bar(len(files), "reading headers", unit="file", hidden=len(files) < FEW) as bar:
        for told in parallel_map(partial(_read, read), chunks, processes=1 if len(files) < FEW else cores()):
            for of_file in told:
                yield of_file
                bar.update()


def views_in_headers(root: Path, dicom: Iterable[str], rows: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return the views that the headers of DICOM files tell where nothing else tells one: path -> its one name, or ODD.

    Args:
        root: The folder of the images.
        dicom: The files among them, by their paths below it.
        rows: Path -> column -> value; the column is "view".
    """
    asked = sorted(path for path in dicom if not view_of(rows.get(path, {}).get("view", "")))
    if not asked:
        return {}
    from covidnet.imaging.dicom.view import read_view_text  # where no DICOM is met, pydicom is not waited for

    texts = read_headers(read_view_text, [root / path for path in asked])
    return {path: view_of(text) or ODD for path, text in zip(asked, texts, strict=True) if known(text)}


def _read(read: Callable[[Path], Told], files: Sequence[Path]) -> list[Told]:
    return [read(file) for file in files]
