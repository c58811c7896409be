"""Odd configurations, as words and as files of strangers, by the whole command line: none writes elsewhere."""

import contextlib
from dataclasses import dataclass
from typing import Any

import yaml
from hypothesis import strategies as st

from bench.fuzz.commands import train
from bench.fuzz.pieces import numbers, scratch, values, words, write_good
from bench.fuzz.running import expect
from covidnet.runs.listed import LISTED, REFUSED, REFUSED_ARGUMENTS

# fmt: off
CONFIG_KEYS = {
    "data": [
        "root", "image_size", "batch_size", "classes", "seed", "val_fraction", "test_per_class", "test_root",
        "split_file", "metadata", "duplicates", "interpolation", "lungs", "augment", "unchanged", "restyle",
        "balance", "body_part", "orientation", "cache", "on_error", "class_path", "init_args",
    ],
    "model": [
        "learning_rate", "dropout", "weight_decay", "schedule", "warmup_epochs", "label_smoothing", "equalize",
        "average_mirrored", "capture", "num_classes", "image_size", "class_path", "init_args",
    ],
    "trainer": [
        "accelerator", "max_epochs", "precision", "limit_train_batches", "gradient_clip_val", "callbacks", "logger",
        "accumulate_grad_batches", "deterministic", "profiler", "log_every_n_steps", "limit_val_batches", "plugins",
        "overfit_batches", "check_val_every_n_epoch", "detect_anomaly", "benchmark", "min_epochs", "max_time",
    ],
    "early_stopping": ["monitor", "patience", "min_delta", "mode", "check_finite", "stopping_threshold"],
    "checkpoint": ["monitor", "filename", "save_last", "mode", "save_top_k", "every_n_epochs", "dirpath"],
}
# fmt: on
TOP = [
    "seed_everything",
    "ckpt_path",
    "tensorboard",
    "weights_only",
    "verbose",
    "report",
    "seeds",
    "nonsense",
    "config",
]
LARGEST = {"image_size": 64, "batch_size": 64, "max_epochs": 2, "min_epochs": 2}  # more takes what it asks for
ALL_KEYS = [*(f"{section}.{key}" for section, keys in CONFIG_KEYS.items() for key in keys), *CONFIG_KEYS, *TOP]
# What a file may not have written, and what it would run or build.
PLACES = ["../out", "x/../../out", "OUT/out", "link/out", "file://OUT/out", "out"]
OTHER_CLASSES = [
    "torch.os.system",
    "subprocess.Popen",
    "torch.nn.Linear",
    "torch.distributed.launcher.api.elastic_launch",
    "covidnet.training.record.RunRecord",
    "covidnet.models.convnet.ConvNet.load_from_checkpoint",
    "covidnet.models.convnet.Any",
    "LambdaCallback",
    "CSVLogger",
    "jsonargparse.ArgumentParser",
]
ARGUMENTS = sorted({*(name for names in LISTED.values() for name in names), *REFUSED_ARGUMENTS})
classes = st.sampled_from([*LISTED, *REFUSED, *OTHER_CLASSES])
built = st.recursive(
    st.sampled_from(PLACES) | values | classes,
    lambda inner: st.builds(
        lambda path, given, more: {"class_path": path, "init_args": given, **more},
        classes,
        st.dictionaries(st.sampled_from(ARGUMENTS), inner, max_size=3),
        st.sampled_from([{}, {}, {"dict_kwargs": {"dirpath": "OUT/out"}}, {"extra": 1}]),
    ),
    max_leaves=5,
)


def _bounded(key: str, value: object) -> object:
    """Return a value that asks for no more than this machine has."""
    most = LARGEST.get(key.rpartition(".")[2])
    return most if most and isinstance(value, int | float) and not 0 <= value <= most else value


@dataclass(frozen=True)
class Configuration:
    """Words of a command line, and the text of a YAML file, in which ``OUT`` is a folder elsewhere."""

    words: list[str]
    text: str | None


@st.composite
def configurations(draw: st.DrawFn) -> Configuration:
    """Draw a few keys as words and a YAML file of some others, of whatever values; or one plain key, to get further."""
    way = draw(st.sampled_from(["key", "key", "mixed", "mixed", "stranger"]))
    if way == "key":
        key = draw(st.sampled_from(ALL_KEYS))
        return Configuration([f"{key}={_bounded(key, draw(numbers | words))}"], None)
    if way == "stranger":
        return Configuration([], draw(strangers()))
    typed = [(key, _bounded(key, draw(values))) for key in draw(st.lists(st.sampled_from(ALL_KEYS), max_size=2))]
    line = [f"{key}={value}" for key, value in typed]
    line += draw(
        st.lists(words | st.sampled_from(["--print_config", "--nonsense", "recipe=robust", "data=x"]), max_size=1)
    )
    if draw(st.booleans()):
        return Configuration(line, None)
    if draw(st.integers(0, 3)) == 0:
        return Configuration(line, draw(st.text(max_size=60) | st.lists(words, max_size=6).map(" ".join)))
    content: dict[Any, Any] = {}
    for key in draw(st.lists(st.sampled_from(ALL_KEYS), min_size=1, max_size=3)):
        section, _, name = key.partition(".")
        value = _bounded(key, draw(values))
        if name and isinstance(content.setdefault(section, {}), dict) and draw(st.booleans()):
            content[section][name] = value
        else:
            content[key] = value
    return Configuration(line, yaml.safe_dump(content, allow_unicode=draw(st.booleans())))


@st.composite
def strangers(draw: st.DrawFn) -> str:
    """Draw a file that names classes with arguments wherever a key may take one, by itself, in a list or by alias."""
    key = draw(st.sampled_from(["callbacks", "logger", "profiler", "strategy", "plugins", "accelerator", "precision"]))
    spec: Any = draw(built)
    spec = draw(st.sampled_from([spec, [spec], [spec, spec], {"x": spec}]))
    section = draw(st.sampled_from(["trainer", "trainer", "trainer", "model", "data", "checkpoint", "early_stopping"]))
    content = draw(
        st.sampled_from(
            [
                {section: {key: spec}},
                {f"{section}.{key}": spec},
                {f"{section}.{key}+": spec},
                {section: spec},
                {"base": {key: spec}, section: {key: spec}},
                {section: {"class_path": "covidnet.models.convnet.ConvNet", "init_args": {"dropout": spec}}},
            ]
        )
    )
    return yaml.safe_dump(content)


def run_command_line(configuration: Configuration) -> None:
    """Train an epoch by the whole command line; nothing may be written but in the folder of the command."""
    with scratch() as here:
        root = write_good(here / "root")
        (here / "work").mkdir()
        (here / "work" / "link").symlink_to(here)
        files = []
        if configuration.text is not None:
            file = here / "stranger.yaml"
            file.write_text(configuration.text.replace("OUT", str(here)), encoding="utf-8", errors="surrogatepass")
            files = ["--config", str(file)]
        before = {*here.iterdir()}
        with contextlib.chdir(here / "work"):
            train(root, "trainer.fast_dev_run=false", "trainer.max_epochs=1", *files, *configuration.words)
        expect({*here.iterdir()} == before, "a file that is written elsewhere")
