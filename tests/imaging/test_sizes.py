"""The size of a picture is read from its file's head, of each kind that is decoded."""

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from bench.hostile import dicom
from covidnet.imaging.radiograph import UnreadableImageError
from covidnet.imaging.sizes import size_of

GREY = np.arange(1200).reshape(30, 40).astype(np.uint8)


def test_each_kind_tells_its_size(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.png")
    (tmp_path / "a.dcm").write_bytes(dicom(GREY))
    (tmp_path / "a.jls").write_bytes(imagecodecs.jpegls_encode(GREY))
    (tmp_path / "a.jxl").write_bytes(imagecodecs.jpegxl_encode(GREY))
    assert {size_of(file) for file in tmp_path.iterdir()} == {(40, 30)}


@pytest.mark.parametrize("content", [b"text", dicom(GREY)[:140], b"\xff\xd8\xff\xf7"], ids=["text", "DICOM", "JPEG-LS"])
def test_a_file_without_a_size_is_told(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(UnreadableImageError, match="tells no size"):
        size_of(tmp_path / "x")
