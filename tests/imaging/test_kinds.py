"""Facts about kinds of files: by an ending, else by the first bytes; and what is said of those that are not read."""

import io
import os
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from helpers import ROOT
from PIL import Image

from covidnet.imaging import kinds
from covidnet.imaging.kinds import HEAD, OTHERS, READ, TEXTS, kind_of, kind_of_content

PIXELS = (np.add.outer(np.arange(24), np.arange(32)) * 4).astype(np.uint8)


def saved(kind, **options):
    content = io.BytesIO()
    Image.fromarray(PIXELS).save(content, kind, **options)
    return content.getvalue()


BARE = b"\x08\0\x05\0CS\x0a\0ISO_IR 100\x08\0\x16\0UI\x02\x001\0"
CONTENTS = {
    "PNG": saved("PNG"),
    "JPEG": saved("JPEG"),
    "WEBP": saved("WEBP"),
    "TIFF": saved("TIFF"),
    "BMP": saved("BMP"),
    "PPM": saved("PPM"),
    "GIF": saved("GIF"),
    "JPEG 2000": saved("JPEG2000"),
    "JPEG-LS": imagecodecs.jpegls_encode(PIXELS),
    "JPEG XL": imagecodecs.jpegxl_encode(PIXELS),
    "AVIF": saved("AVIF"),
    "DICOM": bytes(128) + b"DICM" + bytes(20),
}
OF_OTHERS = {  # first bytes -> what is said of them
    b"\0\0\0\x1cftypheic\0\0\0\0": "HEIC",
    b"\0\0\0\x18ftypmp42": "video",
    b"%PDF-1.7": "PDF",
    b"PK\x03\x04": "archive",
    b"\x1f\x8b\x08": "archive",
    b"\x93NUMPY\x01\0": "array",
    b"\x5c\x01\0\0" + bytes(90): "volume",
    b"%!PS-Adobe": "drawing",
    b" \n<!doctype html>": "web page",
    b"\0\x05\x16\x07": "AppleDouble",
    b"\x08\0\x05\0CS\x0a\0ISO_IR 100" + bytes(90): "dcmconv",
    b"version https://git-lfs.github.com/spec/v1": "git lfs pull",
    b"gimp xcf v011\0": "a picture in a format that is not read",
    b"\x76\x2f\x31\x01\x02\0\0\0": "save it as PNG",
    b"SIMPLE  =                    T": "not read; save it as PNG",
    b"NRRD0004\n": "volume of slices",
    b"BZh91AY": "unpack it",
    b"MATLAB 5.0 MAT-file": "array of numbers",
}


def test_each_kind_that_is_read_has_an_example_here():
    assert list(CONTENTS) == [kind.name for kind in READ]


@pytest.mark.parametrize(("name", "content"), CONTENTS.items(), ids=CONTENTS)
@pytest.mark.parametrize("file", ["image", "1.2.840.113619.2.5", "IM000001.0001", "scan.xyz", "scan.img"])
def test_an_image_whose_ending_tells_nothing_is_told_by_its_first_bytes(tmp_path, name, content, file):
    (tmp_path / file).write_bytes(content)
    assert kind_of(tmp_path / file).name == name
    assert kind_of_content(content[:HEAD]).name == name


@pytest.mark.parametrize(
    "ending", [ending for kind in (*READ, *OTHERS) for ending in kind.endings if ending not in (".raw", ".img")]
)
def test_an_ending_that_tells_a_kind_is_believed_and_nothing_is_opened(tmp_path, ending):
    kind = next(kind for kind in (*READ, *OTHERS) if ending in kind.endings)
    assert kind_of(tmp_path / f"nowhere{ending}") is kind_of(tmp_path / f"NOWHERE{ending.upper()}") is kind


def test_of_a_file_whose_ending_tells_nothing_132_bytes_are_read(tmp_path, monkeypatch):
    (tmp_path / "1.2.3").write_bytes(CONTENTS["DICOM"] + bytes(100_000))
    read = []
    monkeypatch.setattr(kinds, "kind_of_content", lambda content: read.append(len(content)))
    kind_of(tmp_path / "1.2.3")
    assert read == [132]


@pytest.mark.parametrize(("content", "said"), OF_OTHERS.items(), ids=OF_OTHERS.values())
def test_another_kind_of_file_without_an_ending_is_named(tmp_path, content, said):
    (tmp_path / "file").write_bytes(content)
    kind = kind_of(tmp_path / "file")
    assert not kind.is_read
    assert said in kind.why_not


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.heic", "is HEIC, .* save it as PNG"),
        ("a.nii", "is a volume .* save the radiograph in it as 16-bit PNG"),
        ("a.nii.gz", "is a volume"),
        ("a.npy", r"is an array of numbers, .* covidnet\.load\(RUN\)\.predict"),
        ("a.pdf", "is a PDF"),
        ("a.zip", "is an archive, .* unpack it"),
        ("a.tar.gz", "is an archive"),
        ("a.mp4", "is a video"),
        ("a.psd", "is a picture in a format that is not read"),
        ("a.svg", "is a drawing"),
        ("a.docx", "is a document"),
        ("a.ckpt", "is a model"),
        ("a.txt", r"is no image \(\.txt\)"),
        ("a.csv", r"is no image \(\.csv\)"),
        ("a.xyz", r"is no image \(\.xyz\)"),
        ("a.1234", r"is no image \(no known ending\)"),
        ("a", r"is no image \(no ending\)"),
        ("a.img", "is raw pixels"),
        ("DICOMDIR", "is the index of a DICOM disc"),
    ],
)
def test_each_kind_that_is_not_read_is_named_with_a_remedy(tmp_path, name, said):
    (tmp_path / name).touch()
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(kind_of(tmp_path / name).why_not)


@pytest.mark.parametrize(
    "text", [b"BMI,age\n23,40\n", b"P5 plan of the ward", b"MZ\x90", b"II* ", b"", b"RIFF1234WAVE", b"\x08\0\0\0"]
)
def test_what_begins_like_an_image_by_chance_is_none(tmp_path, text):
    (tmp_path / "notes").write_bytes(text)
    assert not kind_of(tmp_path / "notes").is_read


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes among files")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert kind_of(tmp_path / "pipe").why_not == "is no plain file"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the super-user may read any file")
def test_a_file_that_may_not_be_read_is_told(tmp_path):
    (tmp_path / "1.2.3").touch(mode=0)
    assert "cannot be opened (Permission denied)" in kind_of(tmp_path / "1.2.3").why_not


def test_a_file_that_is_gone_is_told(tmp_path, monkeypatch):
    (tmp_path / "1.2.3").touch()
    monkeypatch.setattr(Path, "open", lambda *_, **__: (_ for _ in ()).throw(FileNotFoundError(2, "No such file")))
    assert kind_of(tmp_path / "1.2.3").why_not == "cannot be opened (No such file)"


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (BARE, "explicit"),
        (b"\x08\0\x05\0\x0a\0\0\0ISO_IR 100\x08\0\x16\0\x02\0\0\x001\0", "implicit"),
        (b"\0\x08\0\x05CS\0\x0aISO_IR 100\0\x08\0\x16UI\0\x021\0", "big"),
        (b"\x02\0\0\0UL\x04\0\xc0\0\0\0\x02\0\x01\0OB\0\0\x02\0\0\0\0\x01", "explicit"),
        (b"\x08\0\x05\0CS\x0a\0ISO_IR 100\x05\0\x16\0UI", None),  # the second element of a lower group
        (b"\x08\0\x05\0CS\x0a\0ISO_IR 100\xe0\x7f\x16\0UI", None),  # of pixels at once
        (b"\x08\0\x05\0CS\xff\xffISO_IR 100", None),  # beyond the end
        (b"\0\x08\0\x05\0\0\0\x0aISO_IR 100\0\x08\0\x16", None),  # implicit big-endian, which there is not
        (b"", None),
    ],
)
def test_a_dicom_file_without_its_preamble_is_told_by_its_first_two_elements(content, encoding):
    assert kinds.bare_encoding(content) == encoding
    assert kinds.is_dicom(content) == (encoding is not None)


def test_the_page_on_files_names_each_ending():
    page = (ROOT / "docs" / "files.md").read_text(encoding="utf-8")
    missing = [ending for kind in (*READ, *OTHERS) for ending in kind.endings if f"`{ending}`" not in page]
    assert missing == []


def test_no_ending_means_two_kinds():
    endings = [ending for kind in (*READ, *OTHERS) for ending in kind.endings] + list(TEXTS)
    assert len(endings) == len(set(endings))
