"""timm's networks as backbones, of each kind one: which train, are explained and exported, and which are refused.

python -m bench.backbones                        # a table of all that are named here
python -m bench.backbones resnet18 deit_tiny_patch16_224 --export
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from covidnet.batch import to_images
from covidnet.errors import UserError
from covidnet.inference.export import onnx_runner, write
from covidnet.models.heatmaps import grad_cam, last_feature_map
from covidnet.models.inception import InceptionV3
from covidnet.training.checks import check_network

CLASSES = 2
SIDE = 64  # pixels, of what takes any
# fmt: off
NAMES = (
    "resnet18", "densenet121", "efficientnet_b0", "mobilenetv3_small_050", "mobilenetv4_conv_small", "ghostnet_050",
    "vgg11", "lcnet_050", "hgnetv2_b0", "efficientvit_b0", "inception_next_atto", "regnety_002", "convnext_atto",
    "vit_tiny_patch16_224", "vit_small_patch14_dinov2", "swin_tiny_patch4_window7_224", "deit_tiny_patch16_224",
    "deit_tiny_distilled_patch16_224", "beit_base_patch16_224", "mixer_s32_224", "maxvit_rmlp_pico_rw_256",
    "maxvit_rmlp_nano_rw_256", "coatnet_nano_rw_224", "edgenext_xx_small", "fastvit_t8", "repvgg_a0", "xception41",
    "pvt_v2_b0", "poolformer_s12", "tiny_vit_5m_224", "levit_128s", "crossvit_tiny_240", "volo_d1_224",
    "convnextv2_atto", "efficientformer_l1", "efficientformerv2_s0", "mobilevit_xxs", "mobilevitv2_050",
    "hrnet_w18_small", "dpn48b", "res2net50_26w_4s", "sequencer2d_s", "davit_tiny", "mvitv2_tiny",
    "eva02_tiny_patch14_224", "vit_base_patch16_siglip_224", "swinv2_tiny_window8_256", "twins_svt_small",
    "pit_ti_224", "xcit_nano_12_p16_224", "cait_xxs24_224", "convit_tiny", "tnt_s_legacy_patch16_224", "coat_tiny",
    "gcvit_xxtiny", "nest_tiny", "visformer_tiny", "focalnet_tiny_srf", "hiera_tiny_224", "rexnet_100",
    "mnasnet_small", "semnasnet_075", "tf_efficientnet_lite0", "resnest14d", "skresnet18", "resnetv2_50",
    "botnet26t_256", "halonet26t", "lambda_resnet26t", "cspresnet50", "vovnet39a", "selecsls42", "dla34",
    "repghostnet_050", "starnet_s1", "mambaout_femto", "rdnet_tiny", "nextvit_small", "repvit_m0_9", "mobileone_s0",
    "tresnet_m", "inception_v4", "inception_resnet_v2", "xception65", "vit_base_r26_s32_224",
    "vit_relpos_small_patch16_224", "samvit_base_patch16_224", "resmlp_12_224", "gmlp_ti16_224", "swin_s3_tiny_224",
    "swiftformer_xs", "shvit_s1", "test_vit", "test_resnet", "naflexvit_base_patch16_gap", "vit_tiny_r_s16_p8_224",
    "ese_vovnet19b_slim", "eca_nfnet_l0", "nf_resnet26",
)
# fmt: on


def size_of(name: str) -> int:
    """Return a small side that a backbone takes: the smallest of a few, or its own."""
    import timm

    config = timm.get_pretrained_cfg(name)
    own = config.input_size[-1] if config else 224
    return own if config and config.fixed_input_size else SIDE


def train_once(model: InceptionV3, images: torch.Tensor, labels: torch.Tensor) -> str:
    """Take one training step; return "yes" where it moves weights."""
    weight = next(model.network[-1].parameters())
    before = weight.detach().clone()
    optimizer = torch.optim.Adam(model.parameters())
    loss, _ = model.train().loss_and_logits(images, labels)
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it bare
    optimizer.step()
    return "yes" if loss.isfinite() and not torch.equal(before, weight) else "no"


def explained(model: InceptionV3, images: torch.Tensor, labels: torch.Tensor) -> str:
    """Return the side of the map and the layer that gives it."""
    found = last_feature_map(model.model, images)
    heat = grad_cam(model.model, found.layer, images, labels)
    assert heat.shape == (len(images), *images.shape[2:])
    return f"{found.side}x{found.side}, {found.name.removeprefix('network.')}"


def exported(model: InceptionV3, size: int) -> str:
    """Return by how much the ONNX file differs, on one image of noise."""
    pixels = np.random.default_rng(0).integers(0, 256, (1, size, size, 1), dtype=np.uint8)
    stub: Any = SimpleNamespace(
        model=model.model, image_size=size, interpolation="nearest", temperature=None, novelty=None, calibration={},
        notice="", classes=["A", "B"], checkpoint="random weights",
    )  # fmt: skip
    with TemporaryDirectory() as folder:
        write(stub, Path(folder))
        said = onnx_runner(Path(folder, "model.onnx"))(pixels)[0]
    with torch.no_grad():
        expected = model.model(to_images(torch.from_numpy(pixels).movedim(-1, 1))).softmax(dim=1).numpy()
    return f"{np.abs(said - expected).max():.0e}"


def tried(name: str, size: int, *, export: bool) -> list[str]:
    """Return a row of the table: what each step gave, or the sentence that refuses the backbone."""
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(2)
    try:
        model = InceptionV3(CLASSES, backbone=name, pretrained=False, image_size=size)
        check_network(model, size)
    except UserError as error:
        return [name, str(size), f"refused: {error}"]
    weights = f"{sum(one.numel() for one in model.parameters()) / 1e6:.1f}"
    steps: list[Callable[[], str]] = [
        lambda: train_once(model, images, labels),
        lambda: explained(model.eval(), images, labels),
        *([lambda: exported(model.eval(), size)] if export else []),
    ]
    return [name, str(size), weights, *map(_outcome, steps)]


def _outcome(step: Callable[[], str]) -> str:
    try:
        return step()
    except UserError as error:
        return f"refused: {error}"
    except Exception as error:  # what a user would see as a traceback
        return f"FAULT {type(error).__name__}: {next(iter(str(error).splitlines()), '')}"


def run(names: Sequence[str], *, size: int | None, export: bool) -> None:
    """Print the table."""
    print(f"| backbone | pixels | million weights | trains | heat map{' | ONNX differs by' if export else ''} |")
    print(f"|---|---|---|---|---{'|---' if export else ''}|")
    for name in names:
        began = time.perf_counter()
        row = tried(name, size or size_of(name), export=export)
        print(f"| {' | '.join(row)} |", f"<!-- {time.perf_counter() - began:.1f} s -->", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--size", type=int, help="side of the images in pixels, of all")
    parser.add_argument("--export", action="store_true", help="write and ask the ONNX file too")
    options = parser.parse_args()
    run(options.names, size=options.size, export=options.export)
