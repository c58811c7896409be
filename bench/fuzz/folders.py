"""Odd folders: listed, audited, split and served; also with their tables by the whole command line."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from bench.fuzz.commands import train
from bench.fuzz.pieces import CLASSES, PNGS, SIDE, names, scratch, write_good
from bench.fuzz.running import expect
from covidnet.data.external import list_external
from covidnet.data.module import RadiographyDataModule
from covidnet.errors import UserError
from covidnet.evidence.audit import audit

endings = st.sampled_from([".png", ".PNG", ".jpg", ".dcm", ".tif", ".txt", "", ".csv", ".png.txt"])
file_names = st.builds(lambda name, ending: f"{name[:60]}{ending}", names, endings)
contents = st.sampled_from([*PNGS, *PNGS, b"", b"text", PNGS[0][:40], b"\xff" * 99])

entries = st.lists(
    st.tuples(
        st.lists(names, max_size=3),  # the folders above
        file_names,
        contents | st.sampled_from([Path(), Path(".."), Path("nowhere"), Path("/dev/null")]),  # or where a link leads
    ),
    max_size=14,
)


@dataclass(frozen=True)
class Folder:
    """A folder of two good classes, or of none, with other files in it."""

    good: bool
    others: list[tuple[list[str], str, bytes | Path]]

    def write(self, root: Path) -> Path:
        """Write what the system lets be written."""
        root.mkdir()
        if self.good:
            write_good(root)
        for folders, name, content in self.others:
            with contextlib.suppress(OSError, ValueError):  # a name too long, or a file where a folder should be
                folder = root.joinpath(*folders)
                folder.mkdir(parents=True, exist_ok=True)
                if isinstance(content, Path):
                    (folder / name).symlink_to(content)
                else:
                    (folder / name).write_bytes(content)
        return root


folders = st.builds(Folder, st.booleans(), entries)


def look_at_folder(folder: Folder) -> None:
    """List, audit, split and serve a folder."""
    with scratch() as here:
        root = folder.write(here / "root")
        for step in (lambda: audit(root), lambda: list_external(root, CLASSES, {}), lambda: serve(root, here)):
            with contextlib.suppress(UserError):
                step()


def train_on_folder(case: tuple[Folder, bytes, bytes]) -> None:
    """Train one step by the whole command line, on a folder with its tables."""
    folder, split, table = case
    with scratch() as here:
        root = folder.write(here / "root")
        (here / "split.csv").write_bytes(split)
        (root / "metadata.csv").write_bytes(table)
        train(root)
        train(root, f"data.split_file={here / 'split.csv'}")


def serve(root: Path | None, here: Path, **options: Any) -> None:
    """Serve the images of a folder, or of those that the options name, once."""
    if root:
        options["root"] = str(root)
    data = RadiographyDataModule(
        image_size=SIDE,
        batch_size=4,
        test_per_class=1,
        cache_dir=str(here / "cache"),
        on_error="skip",
        **options,
    )
    data.prepare_data()
    data.setup("fit")
    for batches in (data.train_dataloader(), data.val_dataloader()):
        for images, *_ in batches:
            assert images.shape[2:] == (SIDE, SIDE)
    data.write_split(here / "written.csv")
    options["split_file"] = str(here / "written.csv")
    again = RadiographyDataModule(image_size=SIDE, test_per_class=1, cache=False, on_error="skip", **options)
    again.prepare_data()
    again.setup("test")
    expect(again.split == data.split, "a split file does not repeat its split")
