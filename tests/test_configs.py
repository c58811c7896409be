"""Every YAML in configs/ runs through the real command line."""

from pathlib import Path

import pytest
import timm
import torch
import yaml

from covidnet.commands.train import main
from covidnet.training.args import CONFIGS, choices

QUICK = [
    "trainer.max_epochs=1",
    "trainer=cpu",
    "trainer.enable_progress_bar=false",
    "trainer.enable_model_summary=false",
]


@pytest.fixture
def small_backbone(monkeypatch):
    """Let InceptionV3 be timm's test network: the hub is not asked, and 300,000 parameters train quickly."""
    create = timm.create_model

    def create_small(name, pretrained, **options):
        return create("test_resnet.r160_in1k", pretrained=False, **options)

    monkeypatch.setattr(timm, "create_model", create_small)


@pytest.mark.parametrize("model", choices("model"))
def test_model_trains_tests_and_reloads(model, xray_root, small_backbone):
    args = [f"model={model}", f"data.root={xray_root}", "data.test_per_class=3", *QUICK]
    cli = main(args)
    best = Path(cli.trainer.checkpoint_callback.best_model_path)
    assert best == Path("runs", model, "version_0", "checkpoints", "best.ckpt")
    main(["test", f"ckpt_path={best}", *QUICK])
    reloaded = type(cli.model).load_from_checkpoint(best).eval()
    size = cli.datamodule.image_size
    images = torch.rand(2, 3, size, size)
    torch.testing.assert_close(reloaded(images), cli.model.eval()(images))


@pytest.mark.parametrize(("model", "size", "batch"), [("convnet", 50, 250), ("inception", 256, 15)])
def test_model_config_holds_the_tutorials_sizes(model, size, batch):
    data = yaml.safe_load((CONFIGS / "model" / f"{model}.yaml").read_text())["data"]
    assert data == {"image_size": size, "batch_size": batch}


@pytest.mark.parametrize("data", ["phantom", "radiography"])  # tests/data/test_known_sets.py has the others
def test_data_config_trains(data, xray_root, monkeypatch):
    root = [f"data.root={xray_root}", "data.test_per_class=3"] if data == "radiography" else ["data.test_per_class=2"]
    if data == "phantom":
        monkeypatch.setattr("covidnet.data.phantoms.COUNTS", {"COVID-19": 8, "NORMAL": 8, "Viral Pneumonia": 8})
    cli = main(["fit", f"data={data}", *root, "data.image_size=24", *QUICK])
    assert cli.trainer.current_epoch == 1


@pytest.mark.parametrize("recipe", choices("recipe"))
@pytest.mark.parametrize("model", choices("model"))
def test_recipe_trains_tests_and_reloads_with_both_models(model, recipe, xray_root, small_backbone):
    size = ["data.image_size=40", "data.test_per_class=3"]
    cli = main([f"model={model}", f"recipe={recipe}", f"data.root={xray_root}", *size, *QUICK])
    best = cli.trainer.checkpoint_callback.best_model_path
    reloaded = type(cli.model).load_from_checkpoint(best).eval()
    images = torch.rand(2, 3, 40, 40)
    torch.testing.assert_close(reloaded(images), cli.model.eval()(images))


@pytest.mark.parametrize("trainer", choices("trainer"))
def test_trainer_config_is_accepted(trainer, xray_root, capsys):
    with pytest.raises(SystemExit) as done:
        main([f"trainer={trainer}", f"data.root={xray_root}", "--print_config"])
    assert done.value.code == 0
    printed = yaml.safe_load(capsys.readouterr().out)["trainer"]
    chosen = yaml.safe_load((CONFIGS / "trainer" / f"{trainer}.yaml").read_text())["trainer"]
    assert chosen.items() <= printed.items()


def test_default_config_holds_the_tutorials_recipe(capsys):
    with pytest.raises(SystemExit):
        main(["--print_config"])
    printed = yaml.safe_load(capsys.readouterr().out)
    stopping, data, model = printed["early_stopping"], printed["data"]["init_args"], printed["model"]
    assert printed["trainer"]["max_epochs"] == 1000
    assert (stopping["monitor"], stopping["patience"], stopping["min_delta"]) == ("val_loss", 5, 0.01)
    assert (printed["checkpoint"]["monitor"], printed["checkpoint"]["save_top_k"]) == ("val_loss", 1)
    assert (data["seed"], data["val_fraction"], data["test_per_class"]) == (28, 0.2, 40)
    assert (data["augment"], data["restyle"], data["balance"]) == ("none", "none", "class")
    assert data["surround"] == 0
    assert model["init_args"] == {
        "dropout": 0.5,
        "learning_rate": 1e-3,
        "weight_decay": 0,
        "schedule": "constant",
        "warmup_epochs": 0,
        "linear_scaling": False,
        "label_smoothing": 0,
        "equalize": False,
        "average_mirrored": False,
        "capture": "auto",
    }


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*/*.yaml")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_config_begins_with_what_it_is_and_how_to_run_it(path):
    what, run = path.read_text().splitlines()[:2]
    assert what.startswith("# ")
    assert run.startswith("# python train.py ")
