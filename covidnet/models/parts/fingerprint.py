"""By what one encoder is told from any other: its layers, its numbers, and what computes with them."""

import hashlib
import re
from importlib.metadata import version

import torch
from torch import nn

LENGTH = 20  # letters
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")  # of a function, in how a layer is written; another in each process


def fingerprint(module: nn.Module, device: torch.device) -> str:
    """Return a word that changes with whatever may change what a module gives on a device, to the last bit.

    That are its layers, weights and buffers, those too that no checkpoint holds, and the versions of torch and timm.
    """
    told = hashlib.sha256()
    about = (device.type, version("torch"), version("timm"), _ADDRESS.sub("", str(module)))
    told.update("\n".join(about).encode())
    for name, values in (*module.named_parameters(), *module.named_buffers()):
        told.update(f"\n{name} {tuple(values.shape)} {values.dtype}".encode())
        told.update(values.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return told.hexdigest()[:LENGTH]
