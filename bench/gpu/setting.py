"""Where a run of the bench lies, how large it is, and the words that its trainings have in common."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]  # of the project
COMMON = (
    "data.metadata=none",
    "trainer.enable_progress_bar=false",
    "trainer.enable_model_summary=false",
    "early_stopping.patience=1000",
)
TINY = ("model.backbone=test_resnet.r160_in1k", "data.image_size=64")  # a timm network of 0.4 million weights


@dataclass(frozen=True)
class ImageSet:
    """Drawn radiographs, and where what is made of them goes.

    Attributes:
        root: The folder, made before the first part that uses it.
        counts: Images a class.
        side: Of the files, in pixels.
        test_per_class: Images a class that are held out for the test.
        runs: Below this folder the runs are written.
    """

    root: Path
    counts: dict[str, int]
    side: int
    test_per_class: int
    runs: Path

    @property
    def cache(self) -> Path:
        """The folder of decoded images, shared by the parts."""
        return self.root.with_name(f"{self.root.name}_cache")

    def words(self, runs: Path) -> list[str]:
        """Return the words of a training on these images whose run goes below ``runs``."""
        return [
            *COMMON,
            f"data.root={self.root}",
            f"data.cache_dir={self.cache}",
            f"data.test_per_class={self.test_per_class}",
            f"trainer.default_root_dir={runs}",
        ]


@dataclass(frozen=True)
class Setting:
    """What all parts of a run of the bench know.

    Args:
        disk: Scratch folder on a disk, whose speed counts.
        memory: Scratch folder where speed does not count: in memory, if there is room.
        rehearse: Run everything tiny, on the CPU: does the bench itself work?
    """

    disk: Path
    memory: Path
    rehearse: bool

    @property
    def small(self) -> ImageSet:
        """Few images, on which numbers are compared."""
        counts = _counts(12, 24, 24) if self.rehearse else _counts(60, 240, 240)
        side, tested = (64, 4) if self.rehearse else (256, 20)
        return ImageSet(self.disk / "small", counts, side, tested, self.memory)

    @property
    def large(self) -> ImageSet:
        """As many and as large files as the database's, on which seconds are measured."""
        counts = _counts(50, 50, 50) if self.rehearse else _counts(219, 1341, 1345)
        return ImageSet(self.disk / "large", counts, 128 if self.rehearse else 1024, 40, self.disk)

    @property
    def trainer(self) -> str:
        """The word that chooses the device."""
        return "trainer=cpu" if self.rehearse else "trainer=gpu"

    @property
    def inception(self) -> list[str]:
        """The words of InceptionV3 with random weights; a rehearsal takes another backbone."""
        return ["model=inception", "model.pretrained=false", *(TINY if self.rehearse else [])]

    @property
    def tiny(self) -> list[str]:
        """The words of a small network with BatchNorm."""
        return ["model=inception", "model.pretrained=false", *TINY]

    @property
    def convnet(self) -> list[str]:
        """The words of ConvNet in several full batches and a ragged one."""
        sizes = ["data.image_size=16", "data.batch_size=8"] if self.rehearse else ["data.batch_size=60"]
        return ["model=convnet", *sizes]

    @property
    def captured(self) -> str:
        """The word that demands a captured step; no CPU has one."""
        return "model.capture=auto" if self.rehearse else "model.capture=true"

    def epochs(self, rehearsed: int, measured: int) -> str:
        """Return the word for so many epochs."""
        return f"trainer.max_epochs={rehearsed if self.rehearse else measured}"


def _counts(covid: int, normal: int, viral: int) -> dict[str, int]:
    return {"COVID-19": covid, "NORMAL": normal, "Viral Pneumonia": viral}
