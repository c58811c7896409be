"""The launch files say what the command line takes."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from covidnet.commands.train import main

CLOUD = Path(__file__).parent.parent / "cloud"
SCRIPTS = sorted(CLOUD.glob("*.sh"))
NODES = {"NODES": "2", "GPUS": "1", "SLURM_NNODES": "2", "SLURM_NTASKS_PER_NODE": "1", "DATA": "x", "RUNS": "runs"}


def keys(text: str) -> list[str]:
    """Return the key=value words that a launch file gives to train.py, its variables filled in."""
    words = shlex.split(re.sub(r"\\\n", " ", text), comments=True)
    filled = [re.sub(r"\$\{?(\w+)(%%[^}]*)?\}?", lambda match: NODES.get(match[1], ""), word) for word in words]
    return [word for word in filled if re.fullmatch(r"(trainer|data|model|ckpt_path)[.\w]*=\S+", word)]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_is_valid_and_its_keys_are_taken(script, capsys):
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    words = keys(script.read_text())
    assert {"trainer=ddp", "trainer.devices=1", "trainer.num_nodes=2", "ckpt_path=auto"} <= set(words)
    with pytest.raises(SystemExit) as done:
        main([*words, "--print_config"])
    assert done.value.code == 0
    assert "num_nodes: 2" in capsys.readouterr().out


def test_torchrun_is_called_as_it_is_documented(tmp_path):
    """A stand-in for torchrun tells with what it was called."""
    for name in ("torchrun",):
        (tmp_path / name).write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:{Path(shutil.which('bash')).parent}"
    options = {"NODES": "2", "HEAD": "10.0.0.1", "GPUS": "8", "PATH": path}
    line = ["bash", CLOUD / "torchrun.sh", "model=inception", "data.root=a folder"]
    words = subprocess.run(line, env=options, capture_output=True, text=True, check=True).stdout.splitlines()
    assert words[:2] == ["--nnodes=2", "--nproc-per-node=8"]
    assert "--rdzv-endpoint=10.0.0.1:29500" in words
    assert words[words.index("train.py") :] == [
        "train.py",
        "trainer=ddp",
        "trainer.devices=8",
        "trainer.num_nodes=2",
        "ckpt_path=auto",
        "model=inception",
        "data.root=a folder",
    ]


@pytest.mark.parametrize(("code", "requeued"), [(0, False), (1, False), (143, True)])
def test_slurm_starts_a_terminated_training_again_and_no_other(code, requeued, tmp_path):
    for name, body in {"srun": f"exit {code}", "scontrol": 'echo "scontrol $*"'}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    variables = {"SLURM_NTASKS_PER_NODE": "8", "SLURM_NNODES": "2", "SLURM_JOB_ID": "7"}
    path = f"{tmp_path}:{Path(shutil.which('bash')).parent}"
    done = subprocess.run(
        ["bash", CLOUD / "slurm.sh"], env={**variables, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert ("scontrol requeue 7" in done.stdout) == requeued


def test_skypilot_starts_torchrun_on_each_node():
    task = yaml.safe_load((CLOUD / "skypilot.yaml").read_text())
    assert set(task) == {"name", "num_nodes", "workdir", "resources", "envs", "setup", "run"}
    assert task["resources"]["job_recovery"] == {"recover_on_exit_codes": [143]}
    assert "cloud/torchrun.sh" in task["run"]
    assert subprocess.run(["bash", "-n"], input=task["run"], text=True, check=False).returncode == 0
    assert {word.partition("=")[0] for word in keys(task["run"])} == {"data.root", "trainer.default_root_dir"}
