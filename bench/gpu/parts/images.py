"""The drawn radiographs that the other parts train on."""

from bench.gpu.work import Work


def small(work: Work) -> None:
    """Draw a few images."""
    from covidnet.data.phantoms import write_phantoms

    images = work.setting.small
    write_phantoms(images.root, images.counts, size=images.side)


def large(work: Work) -> None:
    """Draw as many images as the database has, and enlarge them to PNG files as large as its own."""
    from bench.images import prepare
    from covidnet.data.phantoms import write_phantoms

    images = work.setting.large
    drawn = write_phantoms(work.folder("drawn"), images.counts, seed=5, size=work.setting.small.side)
    prepare(drawn, work.folder("enlarged", images), images.side, None).rename(images.root)


def machine(work: Work) -> None:
    """Note what this is, and whether it has a GPU."""
    import platform
    from datetime import UTC, datetime
    from importlib.metadata import version

    import torch

    from covidnet.machine.parallel import cores

    names = ("torch", "torchvision", "pytorch-lightning", "torchmetrics", "timm", "numpy")
    work.notes.figure("date", datetime.now(UTC).date().isoformat())
    work.notes.figure("python", platform.python_version())
    work.notes.figure("cores", cores())
    for name in names:
        work.notes.figure(name, version(name))
    if not torch.cuda.is_available():
        work.notes.figure("gpu", None)
        return
    device = torch.cuda.get_device_properties(0)
    work.notes.figure("gpu", device.name)
    work.notes.figure("MB of the GPU", device.total_memory // 2**20)
    work.notes.figure("cuda", torch.version.cuda)
    work.notes.figure("bfloat16", torch.cuda.is_bf16_supported(including_emulation=False))
