"""Files of tensors -> tensors and plain values: no code in them runs, and none takes more memory than its own size.

A file is read twice. First its pickle is built from inert parts, each of which checks its own claim: what it names,
how large it is, what it takes of the bytes in the file. Only then does torch load it.
"""

import io
import mmap as mapping
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from covidnet.files.plain import is_whole, measure

LONGEST_PICKLE = 2**25  # bytes; that of a large model with its optimizer has one megabyte
MOST_STEPS = 1_000_000  # of a pickle, each a value or less
MOST_PARTS = 100_000  # in the ZIP file, one a tensor
MOST_SHARED = 4  # times the file's size: what tensors that share their bytes may take, each for itself
SIGNATURE = b"PK\x03\x04"  # what torch takes for a ZIP file
DATA = "data.pkl"
PLAIN = "save tensors alone; a module of Lightning leaves other values out by save_hyperparameters(ignore=[...])"
LEGACY_PICKLES = 5  # of a file from before torch 1.6, one after the other: three of its format, the content, the keys
ELEMENT = {  # bytes of a value in a storage, by the names that torch.save has for its types
    "BFloat16Storage": 2,
    "BoolStorage": 1,
    "ByteStorage": 1,
    "CharStorage": 1,
    "ComplexDoubleStorage": 16,
    "ComplexFloatStorage": 8,
    "DoubleStorage": 8,
    "FloatStorage": 4,
    "HalfStorage": 2,
    "IntStorage": 4,
    "LongStorage": 8,
    "ShortStorage": 2,
    "UntypedStorage": 1,
}
REPEATED = ("PUT", "BINPUT", "LONG_BINPUT", "GET", "BINGET", "LONG_BINGET")


def read_tensors(file: Path, *, mmap: bool = False) -> Any:
    """Return what ``torch.save`` wrote, on the CPU; ``mmap`` leaves the tensors on disk until they are used.

    Raises:
        Exception: Of many kinds, where the file is damaged, names code to run, or stands for more than it holds.
    """
    size = file.stat().st_size
    with file.open("rb") as content:
        packed = content.read(len(SIGNATURE)) == SIGNATURE
    _check_zip(file) if packed else _check_legacy(file)
    content = torch.load(file, map_location="cpu", weights_only=True, mmap=mmap)
    _measure_tensors(content, size)
    return content


def read_safetensors(file: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a ``.safetensors`` file; the format has neither code nor one byte for two tensors.

    Raises:
        Exception: Of many kinds, where the file is damaged.
    """
    from safetensors.torch import load_file

    return load_file(file)


def check_crc(file: Path) -> None:
    """Compare the checksums in a file of tensors, which torch does not.

    Raises:
        Exception: Where a part is damaged, or the file is no ZIP file.
    """
    with zipfile.ZipFile(file) as packed:
        damaged = packed.testzip()
    if damaged:
        raise zipfile.BadZipFile(f"its part {damaged} is damaged")


def _check_zip(file: Path) -> None:
    with zipfile.ZipFile(file) as packed:
        members = packed.infolist()
        # torch.save packs nothing, but torch.load unpacks.
        stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
        if not stored or sum(member.file_size for member in members) > file.stat().st_size:
            raise ValueError("it is packed, which torch.save does not do, and may unpack to any size")
        sizes = {member.filename: member.file_size for member in members}
        # Two that share a name, or a comment at the end, would let torch read another part than this does.
        if len(sizes) != len(members) or len(members) > MOST_PARTS or packed.comment:
            raise ValueError("it is no ZIP file as torch.save writes it")
        folder = members[0].filename.partition("/")[0] if members else ""
        name = f"{folder}/{DATA}"
        if name not in sizes:
            raise ValueError(f"it holds no {DATA}, so torch.save has not written it")
        if sizes[name] > LONGEST_PICKLE:
            raise ValueError(f"its {DATA} has {sizes[name]:,} bytes")
        content = packed.read(name)
    _check_steps(io.BytesIO(content))
    _Inert(io.BytesIO(content), lambda key: sizes.get(f"{folder}/data/{key}", 0)).load()


def _check_legacy(file: Path) -> None:
    size = file.stat().st_size
    if not size:
        raise ValueError("it is empty")
    with file.open("rb") as content, mapping.mmap(content.fileno(), 0, access=mapping.ACCESS_READ) as mapped:
        for _ in range(LEGACY_PICKLES):
            start = mapped.tell()
            _check_steps(mapped)
            end = mapped.tell()
            _Inert(io.BytesIO(mapped[start:end]), lambda _: size).load()


def _check_steps(pickled: Any) -> None:
    """Refuse a pickle of more steps than its use can take, before one of them is done; what follows it is not read."""
    start = pickled.tell()
    for count, (step, argument, place) in enumerate(pickletools.genops(pickled)):
        # A number that is put far away would have Python make a table up to there.
        far = step.name in REPEATED and int(argument or 0) > MOST_STEPS
        if count > MOST_STEPS or far or (place or 0) - start > LONGEST_PICKLE:
            raise ValueError(f"it holds a pickle of more than {MOST_STEPS:,} steps or {LONGEST_PICKLE:,} bytes")


class _Storage:
    """The bytes that tensors lie in."""

    __slots__ = ("count",)

    def __init__(self, count: int) -> None:
        self.count = count  # elements


class _Token:
    """What stands for a type or a tensor: nothing can be done with it."""

    __slots__ = ()


class _Ordered(OrderedDict[Any, Any]):
    """A state_dict, whose one attribute are the versions of its layers; others could hide its methods."""

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict) or not set(state) <= {"_metadata"}:
            raise ValueError("its state_dict has attributes that torch.save does not write")


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Token:
    """Check that a tensor has no more elements than its bytes, and none outside them."""
    sides = (shape, strides) if isinstance(shape, tuple) and isinstance(strides, tuple) else ((), (None,))
    plain = all(is_whole(number, 0) for number in (offset, *sides[0], *sides[1])) and len(sides[0]) == len(sides[1])
    if not plain or not isinstance(storage, _Storage):
        raise ValueError("it holds a tensor that torch.save has not written")
    count = 1
    for side in shape:
        count *= side
    end = offset + 1 + sum((side - 1) * stride for side, stride in zip(shape, strides, strict=True)) if count else 0
    if max(count, end) > storage.count:
        raise ValueError(f"it holds a tensor of {count:,} values over {storage.count:,}: torch.save writes them all")
    return _Token()


def _as_it_is(value: Any, *_: Any) -> Any:
    return value


BUILT: Mapping[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): _Ordered,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_tensor_v3"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _as_it_is,
    ("torch", "Size"): _as_it_is,
    ("torch", "device"): lambda *_: _Token(),
    ("_codecs", "encode"): lambda *_: _Token(),  # bytes
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,
}


class _Inert(pickle.Unpickler):
    """Build a pickle's values with tokens for all but plain ones; what it names is never imported.

    Args:
        pickled: The pickle.
        size_of: Gives the bytes that the file has of a storage, by its key.
    """

    def __init__(self, pickled: io.BytesIO, size_of: Callable[[str], int]) -> None:
        super().__init__(pickled)
        self._size_of = size_of
        self._taken: dict[str, int] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a name.

        Raises:
            ValueError: For any that torch.save does not write of tensors.
        """
        if (module, name) in BUILT:
            return BUILT[module, name]
        if module in ("torch", "torch.storage") and name.isidentifier():
            found = getattr(torch, name, None) if module == "torch" else None
            if isinstance(found, torch.dtype):
                return _Token()
            if name in ELEMENT:
                return _StorageType(name)
        raise ValueError(f"it names {module}.{name}, which is neither a tensor nor a plain value; {PLAIN}")

    def persistent_load(self, told: Any) -> Any:
        """Check that the file has the bytes of a storage."""
        known = (
            isinstance(told, tuple) and len(told) >= 5 and told[0] == "storage" and isinstance(told[1], _StorageType)
        )
        if not known or not isinstance(told[2], str) or not is_whole(told[4], 0):
            raise ValueError("it holds a storage that torch.save has not written")
        self._taken[told[2]] = max(told[4] * told[1].bytes, self._taken.get(told[2], 0))
        if self._taken[told[2]] > self._size_of(told[2]):
            raise ValueError(f"it holds a storage of {told[4]:,} values, more than the file has bytes for")
        # A storage without a type counts bytes, of which a tensor of any type has one or more a value.
        return _Storage(told[4])


class _StorageType:
    """The type of a storage's elements, by its old name."""

    __slots__ = ("bytes",)

    def __init__(self, name: str) -> None:
        self.bytes = ELEMENT[name]


def _measure_tensors(content: Any, size: int) -> None:
    """Refuse what was loaded if to walk or copy it takes more than the file's size lets expect."""
    total = 0

    def tensor(one: Any) -> None:
        nonlocal total
        if isinstance(one, torch.dtype | torch.device):
            return
        if (
            type(one) not in (torch.Tensor, torch.nn.Parameter)
            or one.layout != torch.strided
            or one.device.type != "cpu"
        ):
            raise ValueError(f"it holds a {type(one).__name__}, which is neither a tensor nor a plain value")
        taken = one.numel() * one.element_size()
        total += taken
        if taken > one.untyped_storage().nbytes() or total > MOST_SHARED * size:
            raise ValueError("it holds tensors that take more memory than the file has bytes")

    measure(content, tensor, longest=2**24)
