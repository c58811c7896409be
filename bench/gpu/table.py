"""All parts, in the order in which they start: of the second stage by what they are worth, should time run out."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.gpu.parts import captured, images, memory, oddities, options, published, runs, speed, suite
from bench.gpu.work import Work


@dataclass(frozen=True)
class Part:
    """Something to find out, in a process of its own.

    Attributes:
        work: What does it; its name is the part's, its docstring says what.
        seconds: After so many it is ended; what it has noted counts.
    """

    work: Callable[[Work], None]
    seconds: float

    @property
    def name(self) -> str:
        """The name to type."""
        return self.work.__name__

    @property
    def text(self) -> str:
        """What it finds out, in one line."""
        return (self.work.__doc__ or "").partition("\n")[0]


MACHINE, SMALL, LARGE = Part(images.machine, 60), Part(images.small, 60), Part(images.large, 200)
# Numbers: several at once, as the GPU is idle most of the time.
NUMBERS = (
    Part(captured.equal, 170),
    Part(options.convnet, 170),
    Part(published.predict, 150),
    Part(oddities.fallback, 130),
    Part(runs.lungs, 150),
    Part(suite.tests, 170),
    Part(captured.robust, 130),
    Part(runs.resume, 110),
    Part(captured.frozen, 100),
)
# Seconds and memory: each alone on the machine.
SECONDS = (
    Part(speed.cold, 160),
    Part(speed.epochs, 120),
    Part(speed.batch256, 110),
    Part(speed.convnet_speed, 60),
    Part(speed.waits, 100),
    Part(memory.memory, 60),
)
ALL = {part.name: part for part in (MACHINE, SMALL, LARGE, *NUMBERS, *SECONDS)}
