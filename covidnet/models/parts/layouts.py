"""Weights as other libraries name and shape them -> as timm's networks take them. timm knows more layouts by itself."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

WRAPPERS = ("state_dict", "model", "teacher", "encoder")  # keys below which a training keeps the weights
# Before an encoder's keys in a larger network's.
INNER = ("module.", "model.", "backbone.", "dinov2.", "dinov2_with_registers.")
THRESHOLDS = "op_threshs"  # of torchxrayvision's classifiers
MARK = "mask_token"  # by which timm knows DINOv2's own layout
GREY, COLOURS = 1, 3  # channels
# transformers' DINOv2 -> timm's; queries, keys and values are one tensor there.
RENAMED = {
    r"embeddings\.cls_token": "cls_token",
    r"embeddings\.mask_token": MARK,
    r"embeddings\.position_embeddings": "pos_embed",
    r"embeddings\.register_tokens": "register_tokens",
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


def weights_in(content: Any) -> dict[str, Tensor]:
    """Return the weights of an encoder in what a file holds, by the names that timm knows or converts itself.

    Raises:
        ValueError: Where it holds none.
    """
    for key in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not content or not all(isinstance(one, Tensor) for one in content.values()):
        raise ValueError("it holds no weights by their names")
    weights: dict[str, Tensor] = dict(content)
    for prefix in INNER:
        own = {key.removeprefix(prefix): one for key, one in weights.items() if key.startswith(prefix)}
        weights = own or weights
    if TRANSFORMERS in weights:
        weights = _of_transformers(weights)
    weights.pop(THRESHOLDS, None)
    if "register_tokens" in weights or any(".mlp.w12." in key for key in weights):
        weights.setdefault(MARK, torch.zeros(1))  # not every file has it
    return weights


def for_colours(weights: dict[str, Tensor], first: Any) -> dict[str, Tensor]:
    """Return weights whose first convolution takes three channels: one of grey images looks at the first alone.

    So of a grey image it gives what it gave, to the last bit, which a mean of equal channels would not.

    Args:
        weights: By name.
        first: Name of the first convolution, as timm has it; where there are several, nothing is changed.
    """
    name = f"{first}.weight"
    kernel = weights.get(name)
    if kernel is None or kernel.dim() != 4 or kernel.shape[1] != GREY:
        return weights
    return {**weights, name: torch.cat([kernel, *[torch.zeros_like(kernel)] * (COLOURS - GREY)], dim=1)}


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
