"""Weights as other libraries name and shape them -> as timm's networks take them. timm knows more layouts by itself."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

# Words below which a training keeps the weights, or which stand before an encoder's names in a larger network's. Of two
# the first counts: an average over the steps before the last step, a teacher before its student.
WRAPPERS = (
    *("state_dict_ema", "model_ema", "ema", "teacher", "target_encoder", "student"),
    *("model_state_dict", "state_dict", "module", "_orig_mod", "model", "net", "timm_model"),
    *("backbone", "encoder", "base_encoder", "encoder_q", "visual.trunk", "trunk", "dinov2", "dinov2_with_registers"),
)
THRESHOLDS = "op_threshs"  # of torchxrayvision's classifiers
MARK = "mask_token"  # by which timm knows DINOv2's own layout
REGISTERS, PLACES, KERNEL = "register_tokens", "pos_embed", "patch_embed.proj.weight"  # of a transformer
GREY, COLOURS = 1, 3  # channels
# transformers' DINOv2 -> timm's; queries, keys and values are one tensor there.
RENAMED = {
    r"embeddings\.cls_token": "cls_token",
    r"embeddings\.mask_token": MARK,
    r"embeddings\.position_embeddings": PLACES,
    r"embeddings\.register_tokens": REGISTERS,
    r"embeddings\.patch_embeddings\.projection": "patch_embed.proj",
    r"encoder\.layer\.(\d+)\.attention\.attention": r"blocks.\1.attn",
    r"encoder\.layer\.(\d+)\.attention\.output\.dense": r"blocks.\1.attn.proj",
    r"encoder\.layer\.(\d+)\.layer_scale(\d)\.lambda1": r"blocks.\1.ls\2.gamma",
    r"encoder\.layer\.(\d+)\.mlp\.weights_in": r"blocks.\1.mlp.fc1",
    r"encoder\.layer\.(\d+)\.mlp\.weights_out": r"blocks.\1.mlp.fc2",
    r"encoder\.layer\.(\d+)\.(norm\d|mlp\.fc\d)": r"blocks.\1.\2",
    r"layernorm": "norm",
}
TRANSFORMERS = "embeddings.patch_embeddings.projection.weight"  # the key by which that layout is known
PARTS = ("query", "key", "value")


def weights_in(content: Any, image_size: int | None = None) -> dict[str, Tensor]:
    """Return the weights of an encoder in what a file holds, by the names that timm knows or converts itself.

    Args:
        content: Of the file.
        image_size: Side of the images in pixels, where the network is built for it.

    Raises:
        ValueError: Where it holds none.
    """
    weights = _unwrapped(dict(_named(content)))
    if not weights:
        raise ValueError("it holds no weights by their names")
    if TRANSFORMERS in weights:
        weights = _of_transformers(weights)
        if image_size is not None and REGISTERS not in weights:
            weights[PLACES] = _fitted(weights[PLACES], image_size // weights[KERNEL].shape[-1])
    weights.pop(THRESHOLDS, None)
    if REGISTERS in weights or any(".mlp.w12." in key for key in weights):
        weights.setdefault(MARK, torch.zeros(1))  # not every file has it
    return weights


def for_colours(weights: dict[str, Tensor], first: Any) -> dict[str, Tensor]:
    """Return weights whose first convolution takes three channels: one of grey images looks at the first alone.

    So of a grey image it gives what it gave, to the last bit, which a mean of equal channels would not.

    Args:
        weights: By name.
        first: Name of the first convolution, as timm has it; where there are several, nothing is changed.

    Raises:
        ValueError: Where it takes another number of channels.
    """
    name = f"{first}.weight"
    kernel = weights.get(name)
    if kernel is None or kernel.dim() != 4 or kernel.shape[1] == COLOURS:
        return weights
    if kernel.shape[1] != GREY:
        raise ValueError(f"it is made for images of {kernel.shape[1]} channels, not of {GREY} or {COLOURS}")
    return {**weights, name: torch.cat([kernel, *[torch.zeros_like(kernel)] * (COLOURS - GREY)], dim=1)}


def _named(content: Any, above: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a file with their names, those of the mappings that they lie in before them."""
    for key, value in content.items() if isinstance(content, Mapping) else ():
        if isinstance(value, Tensor):
            yield f"{above}{key}", value
        else:
            yield from _named(value, f"{above}{key}.")


def _unwrapped(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    while TRANSFORMERS not in weights:  # whose layout has an encoder of its own
        for prefix in (f"{word}." for word in WRAPPERS):
            own = {key.removeprefix(prefix): one for key, one in weights.items() if key.startswith(prefix)}
            if own:
                break
        else:
            break
        weights = own
    return weights


def _of_transformers(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    named: dict[str, Tensor] = {}
    for key, value in weights.items():
        for pattern, name in RENAMED.items():
            new, count = re.subn(f"^{pattern}(?=\\.|$)", name, key)
            if count:
                named[new] = value
                break
        else:
            named[key] = value
    for key in [key for key in named if ".attn.query." in key]:
        parts = [key.replace("query", part) for part in PARTS]
        named[key.replace("query", "qkv")] = torch.cat([named.pop(part) for part in parts])
    return named


def _fitted(places: Tensor, side: int) -> Tensor:
    """Return the places (1, 1 + N, D) of patches for images of side x side, as transformers fits them to other sizes.

    timm smooths them besides, as transformers does where there are registers: then the features are the same.
    """
    first, grid = places[:, :1], places[:, 1:]
    own = math.isqrt(grid.shape[1])
    if side == own:
        return places
    grid = grid.float().reshape(1, own, own, -1).permute(0, 3, 1, 2)
    return torch.cat([first, interpolate(grid, size=(side, side), mode="bicubic").flatten(2).mT], dim=1)
