"""Files of tensors -> tensors and plain values: no code in them runs, and none unpacks to more than its own size."""

import zipfile
from pathlib import Path
from typing import Any

import torch


def read_tensors(file: Path, *, mmap: bool = False) -> Any:
    """Return what ``torch.save`` wrote, on the CPU; ``mmap`` leaves the tensors on disk until they are used.

    Raises:
        Exception: Of many kinds, where the file is damaged, names code to run, or is a decompression bomb.
    """
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as packed:
            members = packed.infolist()
        # torch.save packs nothing, but torch.load unpacks.
        stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
        if not stored or sum(member.file_size for member in members) > file.stat().st_size:
            raise ValueError("it is packed, which torch.save does not do, and may unpack to any size")
    return torch.load(file, map_location="cpu", weights_only=True, mmap=mmap)
