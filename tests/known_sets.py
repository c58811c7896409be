"""Miniatures of data sets: their layout, their tables and their lists, with drawn images. Facts of them for tests."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

LEVELS = {"Normal": 60, "Pneumonia": 180, "": 120}
IMAGES = 36


@dataclass
class Miniature:
    """What must come of a miniature: by path its label, its patient if known, its side if given."""

    labels: dict[str, str] = field(default_factory=dict)
    patients: dict[str, str] = field(default_factory=dict)
    sides: dict[str, str] = field(default_factory=dict)

    def add(self, path: str, label: str, patient: str = "", side: str = "") -> None:
        """Note an image; one without a label is left out."""
        if label:
            self.labels[path] = label
            self.patients |= {path: patient} if patient else {}
            self.sides |= {path: side} if side else {}


def draw(root: Path, path: str, name: str) -> None:
    """Draw noise about the level of a class; no two images of a root are alike."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    seed = zlib.crc32(path.encode())
    level = LEVELS.get(name, 100 + 40 * (len(name) % 4))
    pixels = np.random.default_rng(seed).normal(level + seed % 20, 12, (16, 16)).clip(0, 255)
    Image.fromarray(pixels.astype(np.uint8)).save(file)


def truth(number: int) -> str:
    """Return the class of an image; "" is of neither."""
    return ["Normal", "Pneumonia", ""][number % 3]


def nih(root: Path) -> Miniature:
    """Bare names, images in twelve folders, labels between bars, commas in names of columns, lists of the split."""
    head = (
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
        "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\n"
    )
    cells = {"Normal": "No Finding", "Pneumonia": "Pneumonia|Effusion", "": "Mass|Nodule"}
    rows, found, lists = [], Miniature(), {"train": "", "test": ""}
    for n in range(IMAGES):
        name = f"{n // 2:08d}_{n % 2:03d}.png"
        side = "test" if n // 2 > 13 else "train"
        path = f"images_{n % 12:03d}/images/{name}"
        draw(root, path, truth(n))
        rows.append(f"{name},{cells[truth(n)]},{n % 2},{n // 2},5{n % 9},M,PA,2500,2048,0.168,0.168,\n")
        lists[side] += f"{name}\n"
        found.add(path, truth(n), str(n // 2), side)
    (root / "Data_Entry_2017.csv").write_text(head + "".join(rows))
    (root / "train_val_list.txt").write_text(lists["train"])
    (root / "test_list.txt").write_text(lists["test"].rstrip("\n"))
    return found


def chexpert(root: Path) -> Miniature:
    """Paths from the folder above, a column a finding: 1.0, 0.0, -1.0 or nothing; two tables, and lateral views."""
    head = "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Pneumonia,Support Devices\n"
    cells = {"Normal": "1.0,,", "Pneumonia": ",1.0,1.0", "": ",-1.0,1.0"}
    tables, found = {"train": head, "valid": head}, Miniature()
    for n in range(2 * IMAGES):
        name, table = f"patient{n // 4:05d}", "valid" if n // 4 > 8 else "train"
        view = "lateral" if n % 8 == 7 else "frontal"
        path = f"{table}/{name}/study{1 + n % 4}/view1_{view}.jpg"
        draw(root, f"CheXpert-v1.0-small/{path}", truth(n))
        seen = "Lateral," if view == "lateral" else "Frontal,AP"
        tables[table] += f"CheXpert-v1.0-small/{path},Male,68,{seen},{cells[truth(n)]}\n"
        if view == "frontal":
            found.add(f"CheXpert-v1.0-small/{path}", truth(n), name, {"valid": "val"}.get(table, table))
    for table, text in tables.items():
        (root / "CheXpert-v1.0-small" / f"{table}.csv").write_text(text)
    return found


def rsna(root: Path) -> Miniature:
    """The name of the file is the patient's; a row a box in two tables, one of three classes and one of 1 and 0."""
    classes, targets, found = "patientId,class\n", "patientId,x,y,width,height,Target\n", Miniature()
    cells = {"Normal": "Normal", "Pneumonia": "Lung Opacity", "": "No Lung Opacity / Not Normal"}
    for n in range(IMAGES):
        path = f"stage_2_train_images/{n:08d}-a.png"
        draw(root, path, truth(n))
        for box in range(1 + n % 2):
            classes += f"{n:08d}-a,{cells[truth(n)]}\n"
            targets += f"{n:08d}-a,{box},1,2,3,{int(truth(n) == 'Pneumonia')}\n"
        found.add(path, truth(n), f"{n:08d}-a")
    draw(root, "stage_2_test_images/ffff-a.png", "")
    (root / "stage_2_detailed_class_info.csv").write_text(classes)
    (root / "stage_2_train_labels.csv").write_text(targets)
    return found


def kermany(root: Path) -> Miniature:
    """Split folders of classes, patients in names, and a validation of hardly an image."""
    found = Miniature()
    for side, patients in {"train": range(8), "val": range(8, 9), "test": range(9, 12)}.items():
        for number in patients:
            for image in range(2):
                names = (f"NORMAL2-IM-{number:04}-000{image}", f"person{number}_virus_{image}")
                for label, name in zip(("NORMAL", "PNEUMONIA"), names, strict=True):
                    draw(root, f"{side}/{label}/{name}.jpeg", label.title())
                    patient = f"{label}{number}"
                    found.add(f"{side}/{label}/{name}.jpeg", label, patient, "train" if side == "val" else side)
    return found


def padchest(root: Path) -> Miniature:
    """A list of labels as Python writes it, in a cell; unknown patients, lateral and excluded views."""
    head = ",ImageID,ImageDir,StudyDate_DICOM,StudyID,PatientID,PatientSex_DICOM,Projection,Pediatric,Labels\n"
    cells = {"Normal": "['normal']", "Pneumonia": "['pneumonia', 'pleural effusion']", "": "['unchanged', '']"}
    found = Miniature()
    for n in range(IMAGES):
        patient, view = f"{n // 2}" if n % 5 else "", ("PA", "AP_horizontal", "L", "PA", "EXCLUDE")[n % 5]
        draw(root, f"0/{n}.png", truth(n))
        head += f'{n},{n}.png,0,20140915,s{n},{patient or "None"},M,{view},No,"{cells[truth(n)]}"\n'
        if view not in ("L", "EXCLUDE"):
            found.add(f"0/{n}.png", truth(n), patient)
    (root / "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv").write_text(head)
    return found


def vindr(root: Path) -> Miniature:
    """Two tables of other columns: three readers a training image, who may differ, and one word on a test image."""
    tables = {"train": "image_id,rad_id,Other diseases,Pneumonia,No finding\n", "test": ""}
    tables["test"] = "image_id,Other disease,Pneumonia,No finding\n"
    ones, found = {"Normal": "0,0,1", "Pneumonia": "0,1,0", "": "1,0,0"}, Miniature()
    for n in range(IMAGES):
        side, name = "test" if n > 26 else "train", f"{n:032x}"
        draw(root, f"{side}/{name}.png", truth(n))
        said = [truth(n)] * 3 if n % 2 else [truth(n), truth(n), truth(n + 1)]
        rows = [f"R{reader},{ones[word]}" for reader, word in enumerate(said)] if side == "train" else [ones[truth(n)]]
        tables[side] += "".join(f"{name},{row}\n" for row in rows)
        found.add(f"{side}/{name}.png", truth(n), "", side)
    (root / "annotations").mkdir()
    for side, text in tables.items():
        (root / "annotations" / f"image_labels_{side}.csv").write_text(text)
    return found


def siim_covid(root: Path) -> Miniature:
    """A row a study, which is a folder of images two folders deep; a column a class."""
    names = ("Negative", "Typical", "Indeterminate", "Atypical")
    text = "id,Negative for Pneumonia,Typical Appearance,Indeterminate Appearance,Atypical Appearance\n"
    found = Miniature()
    for n in range(IMAGES):
        study = f"{n:012x}"
        for image in range(1 + n % 2):
            path = f"train/{study}/series{n}{image}/{n}{image}.png"
            draw(root, path, names[n % 4])
            found.add(path, names[n % 4], study)
        text += f"{study}_study,{','.join(str(int(label == n % 4)) for label in range(4))}\n"
    draw(root, "test/0f/1/2.png", "")
    (root / "train_study_level.csv").write_text(text)
    return found


def covidx(root: Path) -> Miniature:
    """Lists without a header, spaces between their cells."""
    lists, found = {"train": "", "test": ""}, Miniature()
    for n in range(IMAGES):
        side, label = "test" if n // 2 > 13 else "train", ("Negative", "COVID-19")[n % 2]
        name = f"MIDRC-{n // 2}({n}).png"
        draw(root, f"{side}/{name}", label)
        lists[side] += f"{n // 2} {name} {'positive' if n % 2 else 'negative'} {('rsna', 'ricord')[n % 2]}\n"
        found.add(f"{side}/{name}", label, str(n // 2), side)
    for side, text in lists.items():
        (root / f"{side}.txt").write_text(text)
    return found


KNOWN: dict[str, Callable[[Path], Miniature]] = {
    one.__name__: one for one in (nih, chexpert, rsna, kermany, padchest, vindr, siim_covid, covidx)
}
