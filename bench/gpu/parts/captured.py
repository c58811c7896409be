"""A captured step is an eager one: InceptionV3 by either recipe, and with a frozen backbone."""

from bench.gpu.work import Work


def equal(work: Work) -> None:
    """InceptionV3 at batch 15: captured steps are eager ones, in bfloat16 and float32, with dropout and without."""
    for precision in ("bf16-mixed", "32-true"):
        words = [*work.setting.inception, f"trainer.precision={precision}", "trainer.max_epochs=2"]
        work.pair(f"{precision}, no dropout", [*words, "model.dropout=0.0"])
        pair = work.pair(f"{precision}, dropout", words)
        for name in ("first_step", "allocated", "reserved"):
            told = [one and getattr(one, name) for one in pair]
            work.notes.figure(f"{precision}: {name}, eager and captured", told)


def robust(work: Work) -> None:
    """recipe=robust: augmentation on the GPU, AdamW on a cosine, smoothed labels; with equalised images too."""
    words = [*work.setting.inception, "recipe=robust", "trainer.max_epochs=2"]
    pair = work.pair("robust", words)
    work.notes.figure("learning rates, eager and captured", [one and one.rates for one in pair])
    work.pair("robust, equalised", [*words, "model.equalize=true"])


def frozen(work: Work) -> None:
    """model.freeze_backbone=true: features are computed once, the head's step is captured."""
    words = [*work.setting.inception, "model.freeze_backbone=true"]
    pair = work.pair("frozen", [*words, "trainer.max_epochs=4"])
    work.notes.figure("seconds an epoch, eager and captured", [one and one.epochs for one in pair])
    work.train("frozen, robust", [*words, "recipe=robust", "trainer.max_epochs=1", work.setting.captured])
