"""Another layout is one class with one method: here, one folder of images and a table of their labels."""

import csv
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from helpers import CLASSES, PER_CLASS

from covidnet.data.folder import RadiographFolder
from covidnet.data.listing import Known, Listing
from covidnet.data.module import RadiographyDataModule
from covidnet.data.phantoms import Phantoms
from covidnet.data.radiographs import Radiographs
from covidnet.errors import UserError
from covidnet.evidence.audit import audit_images
from covidnet.runs.checkpoint import radiographs_of


@dataclass
class Table:
    """The images that ``labels.csv`` names."""

    root: Path
    classes: list[str]
    paths: list[str]
    targets: list[int]
    ignored: list[tuple[str, str]] = field(default_factory=list)
    known: Known = field(default_factory=Known)

    @property
    def class_counts(self) -> dict[str, int]:
        counts = Counter(self.targets)
        return {name: counts[label] for label, name in enumerate(self.classes)}


class TableDataModule(RadiographyDataModule):
    """Serve one folder of radiographs whose labels a table tells."""

    def list_images(self, root, classes, key):
        with (root / "labels.csv").open(newline="") as lines:
            labels = {row["image"]: row["finding"] for row in csv.DictReader(lines)}
        names = classes or sorted(set(labels.values()))
        paths = sorted(path for path, name in labels.items() if name in names)
        return Table(root, names, paths, [names.index(labels[path]) for path in paths])


@pytest.fixture
def clinic(xray_root, tmp_path):
    root = tmp_path / "clinic"
    root.mkdir()
    rows = ["image,finding"]
    for number, file in enumerate(sorted(xray_root.rglob("*.png"))):
        file.rename(root / f"{number:03}.png")
        rows.append(f"{number:03}.png,{file.parent.name}")
    (root / "labels.csv").write_text("\n".join(rows))
    return root


def test_another_layout_is_served_as_any_other(clinic):
    module = TableDataModule(str(clinic), image_size=8, batch_size=4, test_per_class=3)
    module.setup("fit")
    assert module.classes == sorted(CLASSES)
    assert sum(sum(held.values()) for held in module.counts.values()) == PER_CLASS * len(CLASSES)
    for images, labels in module.train_dataloader():
        levels = images.mean(dim=(1, 2, 3)) * 255
        assert ((levels - 40) / 80).round().long().tolist() == labels.tolist()  # as they are painted
    chosen = TableDataModule(str(clinic), classes=["NORMAL", "COVID-19"], test_per_class=3)
    assert (chosen.num_classes, len(chosen.images.paths)) == (2, 2 * PER_CLASS)


def test_another_layout_is_audited_as_any_other(clinic):
    report = audit_images(TableDataModule(str(clinic), metadata="none")).report
    assert report["counts"] == dict.fromkeys(sorted(CLASSES), PER_CLASS)


def recipe(name, **options):
    return {"data": {"class_path": name, "init_args": options}, "classes": list(CLASSES)}


def test_a_recipe_with_another_layout_gives_its_radiographs(clinic, monkeypatch):
    monkeypatch.setenv("COVIDNET_TRUST", "test_listing")
    data = radiographs_of(recipe("test_listing.TableDataModule", root=str(clinic), test_per_class=3))
    assert isinstance(data, TableDataModule)
    assert data.image_file(data.images.paths[0]) == clinic / "000.png"


def test_a_recipe_with_our_own_layouts_needs_no_lightning():
    kinds = {"module.RadiographyDataModule": Radiographs, "phantom_module.PhantomDataModule": Phantoms}
    for name, kind in kinds.items():
        data = radiographs_of(recipe(f"covidnet.data.{name}", seed=3))
        assert type(data) is kind
        assert (data.seed, data.wanted_classes) == (3, list(CLASSES))
    with pytest.raises(UserError, match=r"does not fit RadiographyDataModule: .*'colour'"):
        radiographs_of(recipe("covidnet.data.module.RadiographyDataModule", colour=1))
    for wrong in ({"A": 1}, {"A": ["x", None]}, {1: "x"}, ["A"]):
        with pytest.raises(UserError, match="does not fit RadiographyDataModule: labels"):
            radiographs_of(recipe("covidnet.data.module.RadiographyDataModule", table="x.csv", labels=wrong))


def test_a_folder_is_a_listing(xray_root):
    listing: Listing = RadiographFolder(xray_root)
    assert (listing.root, len(listing.paths)) == (xray_root, len(listing.targets))
