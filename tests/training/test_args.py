import subprocess
import sys
from pathlib import Path

import pytest

from covidnet.commands.help import help_text
from covidnet.commands.main import TOOLS
from covidnet.errors import UserError
from covidnet.training.args import COMMANDS, CONFIGS, choices, expand, group_names


def test_nothing_typed_is_run_with_the_default_groups():
    line = expand([])
    assert line.command == "run"
    assert line.groups == {"model": "convnet", "data": "radiography", "recipe": "tutorial", "trainer": "auto"}
    assert not line.typed_groups


def test_layers_come_in_order_of_precedence_however_typed():
    line = expand(["trainer=cpu", "data=phantom", "model=inception"])
    names = [path.relative_to(CONFIGS).as_posix() for path in line.layers]
    assert names == [
        "default.yaml",
        "model/inception.yaml",
        "data/phantom.yaml",
        "recipe/tutorial.yaml",
        "trainer/cpu.yaml",
    ]


@pytest.mark.parametrize(
    "argv",
    [
        ["fit", "data.seed=3", "--config", "a.yaml"],
        ["--config=a.yaml", "--data.seed", "3", "fit"],
        ["-c", "a.yaml", "fit", "--data.seed=3"],
    ],
)
def test_files_come_before_keys_however_typed(argv):
    assert expand(argv).argv == ["fit", "--config=a.yaml", "--data.seed=3"]


def test_environment_lies_between_groups_and_files():
    environ = {"COVIDNET_DATA__ROOT": "there", "COVIDNET_FIT__TRAINER__MAX_EPOCHS": "3", "HOME": "x"}
    assert expand(["fit", "--config=a.yaml", "data.seed=1"], environ).argv == [
        "fit",
        "--data.root=there",
        "--trainer.max_epochs=3",
        "--config=a.yaml",
        "--data.seed=1",
    ]


def test_environment_of_another_command_or_purpose_is_left_alone():
    environ = {"COVIDNET_TEST__TRAINER__MAX_EPOCHS": "3", "COVIDNET_TEST_DATA": "folder"}
    assert expand(["fit"], environ).environment == []


def test_group_as_an_option_is_the_group():
    assert expand(["--model=inception"]).groups["model"] == "inception"
    assert expand(["--model", "covidnet.models.convnet.ConvNet"]).settings == [
        "--model=covidnet.models.convnet.ConvNet"
    ]


def test_values_keep_equal_signs_and_spaces():
    assert expand(["data.root=a folder/b=c"]).settings == ["--data.root=a folder/b=c"]


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("model=incption", "Did you mean 'inception'?"),
        ("modle=inception", "Did you mean 'model'?"),
        ("trian", "neither a command"),
        ("tset", "Did you mean 'test'?"),
        ("--data.seed", "needs a value"),
    ],
)
def test_wrong_words_are_refused_with_a_hint(word, hint):
    with pytest.raises(UserError, match="(?s)" + hint.replace("?", r"\?")):
        expand([word])


def test_help_names_every_command_and_choice():
    text = help_text({name: module.__doc__ for name, module in TOOLS.items()})
    for word in [*COMMANDS, *TOOLS, *(f"{group}={name}" for group in group_names() for name in choices(group))]:
        assert word in text


@pytest.mark.parametrize(
    ("word", "option"),
    [
        ("data.classes=[0,1,10]", "--data.classes=['0', '1', '10']"),
        ("--data.classes=[yes, NO, null]", "--data.classes=['yes', 'NO', 'null']"),
        ("data.labels={A: 1, no: [2.0, on]}", "--data.labels={A: '1', 'no': ['2.0', 'on']}"),
        ("data.classes=[1e3, 0x10, +1, .5, 1_000]", "--data.classes=['1e3', '0x10', '+1', '.5', '1_000']"),
        ("data.labels.A=1", "--data.labels.A=1"),
        ("data.classes=null", "--data.classes=null"),
        ("data.classes=[A", "--data.classes=[A"),
        ("data.batch_size=[0]", "--data.batch_size=[0]"),
        ("model.labels=[0]", "--model.labels=[0]"),
    ],
)
def test_names_stay_names_whatever_yaml_takes_them_for(word, option):
    assert expand([word]).settings == [option]


@pytest.mark.parametrize(("argv", "code"), [(["--help"], 0), (["model=incption"], 2)])
def test_help_and_wrong_names_answer_without_torch(argv, code):
    script = Path(__file__).parents[2] / "train.py"
    done = subprocess.run([sys.executable, "-X", "importtime", str(script), *argv], capture_output=True, text=True)
    assert done.returncode == code
    assert "| torch\n" not in done.stderr
    assert "Traceback" not in done.stderr
