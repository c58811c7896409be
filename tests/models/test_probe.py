"""model=probe: a linear head is solved, a dense one trained; the encoder stays, or trains after some epochs."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from helpers import QUICK, end, read_rows, slow

import covidnet
from bench.soak import differences, record
from covidnet.batch import to_images
from covidnet.commands.train import main
from covidnet.data.features import features_of
from covidnet.errors import UserError
from covidnet.models.heatmaps import last_feature_map
from covidnet.models.parts.fingerprint import fingerprint
from covidnet.models.parts.stages import Stages
from covidnet.models.probe import Probe
from covidnet.runs.encoding import encoder_of

SMALL = "test_resnet.r160_in1k"
RUN = Path("runs/probe/version_0")


def small(**options):
    return Probe(3, backbone=SMALL, **{"pretrained": False, **options})


@pytest.fixture
def args(xray_root, tmp_path):
    """Probe timm's test network, with weights of its own, on 36 painted images."""
    torch.manual_seed(0)
    torch.save(timm.create_model(SMALL).state_dict(), tmp_path / "w.pth")
    data = [f"data.root={xray_root}", "data.test_per_class=3", "data.image_size=40", "data.batch_size=8"]
    return ["model=probe", f"model.backbone={SMALL}", f"model.weights={tmp_path / 'w.pth'}", *data, *QUICK]


def test_a_linear_head_is_solved_once_and_a_second_run_computes_nothing(args, capsys, monkeypatch):
    cli = main(args)
    assert "computing features by" in capsys.readouterr().err
    results = json.loads((RUN / "results.json").read_text())
    head = results["head"]
    assert head["val_loss"] == min(head["tried"].values()) == head["tried"][f"{head['strength']:g}"]
    assert results["epochs"] == 1
    assert results["best"]["accuracy"] == results["final"]["accuracy"] == 1.0  # classes of one colour
    [trained, *_] = [row for row in read_rows(RUN / "metrics.csv") if row["val_loss"]]
    assert float(trained["val_loss"]) == pytest.approx(head["val_loss"], rel=1e-3, abs=1e-6)
    weights = {key: value.clone() for key, value in cli.model.state_dict().items()}
    main(args)
    assert "computing features by" not in capsys.readouterr().err
    again = torch.load("runs/probe/version_1/checkpoints/best.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(again[key], value) for key, value in weights.items())
    main([*args, f"ckpt_path={RUN / 'checkpoints' / 'last.ckpt'}"])  # it is over, and stays as it is
    assert json.loads((RUN / "results.json").read_text())["head"] == head


def test_a_linear_head_whose_features_change_is_trained_by_steps_and_that_is_told(args, caplog):
    cli = main(["fit", *args, "data.augment=mild", "trainer.max_epochs=2"])
    assert "trained by steps, not solved: training images change at random" in caplog.text
    assert cli.trainer.current_epoch == 2
    assert cli.model.findings == {}


@pytest.mark.parametrize("head", ["linear", "dense"])
def test_probe_first_then_tune(args, head):
    options = [f"model.head={head}", "model.probe_epochs=2", "model.backbone_lr=1e-5", "model.learning_rate=1e-3"]
    cli = main(["fit", *args, *options, "trainer.max_epochs=3"])
    probed = torch.load(RUN / "checkpoints" / "last.ckpt", weights_only=True)
    assert cli.trainer.current_epoch == 3
    assert [group["lr"] for group in probed["optimizer_states"][0]["param_groups"]] == [1e-3, 1e-5]
    torch.manual_seed(0)
    first = timm.create_model(SMALL)
    moved = max(
        float((value - cli.model.backbone.backbone.get_parameter(name)).detach().abs().max())
        for name, value in first.named_parameters()
        if not name.startswith("fc")
    )
    assert 0 < moved < 1e-4  # one epoch of four steps of 1e-5
    kept = dict(first.named_buffers())  # statistics under which the head was fitted
    assert all(torch.equal(value, kept[name]) for name, value in cli.model.backbone.backbone.named_buffers())


@slow
@pytest.mark.parametrize(("epoch", "head"), [(1, "dense"), (2, "linear"), (3, "linear")])
def test_what_goes_on_after_ctrl_c_has_the_same_bits(args, epoch, head, monkeypatch, tmp_path):
    args = [*args, f"model.head={head}", "model.probe_epochs=2", "model.backbone_lr=1e-4", "trainer.max_epochs=4"]
    monkeypatch.chdir(tmp_path)
    main(args)
    expected = record(RUN)
    Path("runs").rename("uninterrupted")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(SystemExit):
        main([*args, "ckpt_path=auto", end(signal.SIGINT, epoch)])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main([*args, "ckpt_path=auto"])
    assert differences(expected, record(RUN)) == []


def test_early_stopping_does_not_end_a_training_before_its_encoder_trains(args):
    stopping = ["early_stopping.patience=2", "early_stopping.min_delta=100", "model.head=dense"]
    cli = main(["fit", *args, *stopping, "model.probe_epochs=3", "trainer.max_epochs=20"])
    assert cli.trainer.current_epoch == 5


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"probe_epochs": -1}, "model.probe_epochs=-1 must be"),
        ({"backbone_lr": 0.0, "freeze_backbone": False}, "model.backbone_lr=0.0 must be"),
        ({"backbone_lr": 1e-4}, "needs a backbone that trains"),
        ({"dropout": 1.0}, "model.dropout=1.0 must be"),
    ],
)
def test_a_value_that_cannot_be_is_one_sentence(given, told):
    with pytest.raises(UserError, match=told):
        small(**given)


def test_features_of_a_models_images_are_what_its_head_takes():
    model, pixels = small().model.eval(), torch.randint(0, 255, (3, 1, 40, 40), dtype=torch.uint8)
    cpu = torch.device("cpu")
    found = features_of(encoder_of(model, cpu), lambda some: pixels[some].numpy(), np.arange(3), keep=False)
    logits, seen = model.logits_and_features(to_images(pixels))
    torch.testing.assert_close(found, seen[:, -found.shape[1] :].detach())
    torch.testing.assert_close(model.logits_and_features(to_images(pixels), found)[0], logits)


def test_any_change_of_an_encoder_is_seen_and_the_same_one_is_known_again():
    torch.manual_seed(0)
    encoder = small().model.encoder
    cpu = torch.device("cpu")
    first = fingerprint(encoder, cpu)
    assert fingerprint(encoder, cpu) == first
    assert fingerprint(encoder, torch.device("meta")) != first
    encoder[1].mean += 1e-3  # which no checkpoint holds
    second = fingerprint(encoder, cpu)
    next(encoder[2].parameters()).data[0] += 1e-3
    assert len({first, second, fingerprint(encoder, cpu)}) == 3


def test_a_dense_head_is_the_tutorials():
    widths = [layer.out_features for layer in small(head="dense").network[2] if isinstance(layer, torch.nn.Linear)]
    assert widths == [200, 100, 50, 3]
    assert [type(layer) for layer in small().network[2]] == [torch.nn.Linear]


def test_a_head_on_stages_sees_their_mean_maps_and_the_end_as_signed_roots():
    torch.manual_seed(0)
    model = small().model.eval()
    images = torch.rand(2, 3, 40, 40)
    with torch.inference_mode():
        end, maps = model.network[1].backbone.forward_intermediates(model.network[0](images), indices=3)
        plain = torch.cat([*(one.mean(dim=(2, 3)) for one in maps), end.mean(dim=(2, 3))], dim=1)
        found = model.encoder(images)
    torch.testing.assert_close(found.sign() * found**2, plain, atol=2e-4, rtol=1e-3)
    assert model.network[2][0].in_features == plain.shape[1] > small(features="top").model.network[2][0].in_features
    assert last_feature_map(model, images).name.startswith("network.1.backbone.")


def test_of_a_network_with_fewer_stages_all_are_taken():
    network = timm.create_model("test_vit", num_classes=0, depth=2).eval()
    assert Stages(network, "own")(torch.rand(2, 3, 160, 160)).shape == (2, 3 * network.num_features)


def test_a_backbone_whose_stages_are_not_known_is_refused_by_name():
    with pytest.raises(UserError, match=r"model.features=stages needs .* model.backbone=own is not"):
        Stages(torch.nn.Identity(), "own")


def test_a_run_on_the_top_alone_predicts_what_it_tested(args):
    main([*args, "model.features=top"])
    rows = read_rows(RUN / "predictions.csv")
    predictor = covidnet.load(RUN, "cpu")
    root = next(Path(one.removeprefix("data.root=")) for one in args if one.startswith("data.root="))
    for row, found in zip(rows, predictor.predict([root / row["path"] for row in rows]), strict=True):
        expected = [float(row[f"prob_{name}"]) for name in found.probabilities]
        np.testing.assert_allclose([*found.probabilities.values()], expected, atol=1e-5)
