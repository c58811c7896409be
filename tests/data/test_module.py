"""Facts about the data module: what a batch is, which images are in which split, what a mistake is told."""

import pickle
import shutil
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import CLASSES, PER_CLASS, paint, slow
from PIL import Image

from covidnet.data.dataset import put_on_device
from covidnet.data.features import Encoder
from covidnet.data.module import RadiographyDataModule
from covidnet.errors import UserError

HOLDOUT = 3
SIZE = 8


def serve(root, stage="fit", **options):
    module = RadiographyDataModule(str(root), **{"image_size": SIZE, "test_per_class": HOLDOUT, **options})
    module.prepare_data()
    module.setup(stage)
    return module


def loaders(module):
    return {"train": module.train_dataloader(), "val": module.val_dataloader(), "test": module.test_dataloader()}


def sides(module):
    return {name: set(dataset.paths) for name, dataset in module.datasets.items()}


def expected(root, path):
    """Return an image of the root, as Pillow resizes it, (3, H, W)."""
    pixels = np.array(Image.open(root / path).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR))
    return torch.from_numpy(pixels).permute(2, 0, 1) / 255


@pytest.mark.parametrize("split", ["train", "val", "test"])
@pytest.mark.parametrize("cache", [True, False, "verify"])
def test_batches_are_float_images_in_0_to_1_and_integer_labels(xray_root, cache, split):
    images, labels = next(iter(loaders(serve(xray_root, cache=cache, num_workers=0, batch_size=4))[split]))
    assert (images.shape, images.dtype) == ((min(4, len(labels)), 3, SIZE, SIZE), torch.float32)
    assert (labels.shape, labels.dtype) == (images.shape[:1], torch.int64)
    assert images.min() >= 0
    assert 0.1 < images.max() <= 1


@pytest.mark.parametrize("cache", [True, False])
def test_images_and_labels_are_those_of_the_files_in_any_order(xray_root, cache):
    for dataset in serve(xray_root, cache=cache, num_workers=0).datasets.values():
        order = torch.randperm(len(dataset)).tolist()
        images, labels = dataset.__getitems__(order)
        paths = [dataset.paths[number] for number in order]
        torch.testing.assert_close(images, torch.stack([expected(xray_root, path) for path in paths]))
        assert [CLASSES[label] for label in labels] == [path.split("/")[0] for path in paths]


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_every_batch_pairs_images_with_their_labels(xray_root, split):
    for images, labels in loaders(serve(xray_root, batch_size=4))[split]:
        levels = images.mean(dim=(1, 2, 3)) * 255
        assert ((levels - 40) / 80).round().long().tolist() == labels.tolist()  # as they are painted


@slow
@pytest.mark.parametrize("colour", [False, True], ids=["grey", "one in colour"])
def test_streaming_gives_the_batches_that_the_cache_gives(xray_root, colour):
    if colour:
        Image.new("RGB", (20, 20), (200, 100, 0)).save(xray_root / CLASSES[1] / f"{CLASSES[1]} (1).png")
    for name in ("train", "val", "test"):
        batches = []
        for cache in (True, False):
            torch.manual_seed(0)
            batches.append(list(loaders(serve(xray_root, cache=cache, num_workers=0, batch_size=5))[name]))
        for (images, labels), (streamed, same) in zip(*batches, strict=True):
            assert torch.equal(images, streamed)
            assert torch.equal(labels, same)


@pytest.mark.parametrize(("cache", "sees"), [(True, False), ("verify", True)])
def test_only_verify_sees_new_bytes_behind_an_old_identity(xray_root, monkeypatch, cache, sees):
    for place in ("cache", "decoding"):
        monkeypatch.setattr(f"covidnet.data.{place}.file_identity", lambda path: (1, 1, 1, 1))
    path = serve(xray_root).datasets["val"].paths[0]
    Image.new("L", (9, 9), 250).save(xray_root / path)
    image, _ = serve(xray_root, cache=cache).datasets["val"][0]
    assert torch.allclose(image, expected(xray_root, path)) is sees


def test_streaming_travels_to_worker_processes(xray_root):
    dataset = serve(xray_root, cache=False, num_workers=0).datasets["train"]
    for ours, theirs in zip(dataset, pickle.loads(pickle.dumps(dataset)), strict=True):
        assert torch.equal(ours[0], theirs[0])


def test_the_splits_are_a_stratified_partition(xray_root):
    module = serve(xray_root)
    assert module.counts == {
        "train": dict.fromkeys(CLASSES, 7),
        "val": dict.fromkeys(CLASSES, 2),
        "test": dict.fromkeys(CLASSES, HOLDOUT),
    }
    parts = sides(module)
    assert sum(map(len, parts.values())) == len(set.union(*parts.values())) == PER_CLASS * len(CLASSES)


def test_class_counts_are_those_of_the_training_images(tmp_path):
    root = paint(tmp_path / "xrays", CLASSES[:2], per_class=12)
    for number in range(4):
        (root / CLASSES[0] / f"{CLASSES[0]} ({number + 1}).png").unlink()
    counts = serve(root).class_counts
    assert (counts.tolist(), counts.dtype) == ([4, 7], torch.int64)


def test_each_training_image_comes_once_an_epoch_in_a_new_order(xray_root):
    module = serve(xray_root, batch_size=4)
    labels = torch.cat([labels for _, labels in module.train_dataloader()])
    assert torch.bincount(labels).tolist() == [7, 7, 7]
    loader, epochs = module.train_dataloader(), []
    for epoch in (0, 1, 0):  # told by Lightning
        loader.sampler.set_epoch(epoch)
        epochs.append(torch.cat([images for images, _ in loader]))
    assert not torch.equal(epochs[0], epochs[1])
    assert torch.equal(epochs[0], epochs[2])


@pytest.mark.parametrize("name", ["val", "test"])
def test_validation_and_test_come_in_the_order_of_the_paths(xray_root, name):
    module = serve(xray_root, batch_size=4)
    images = torch.cat([images for images, _ in loaders(module)[name]])
    paths = module.datasets[name].paths
    assert paths == sorted(paths)
    torch.testing.assert_close(images, torch.stack([expected(xray_root, path) for path in paths]))


def test_prediction_reads_the_test_images(xray_root):
    module = serve(xray_root, "predict")
    images = [images for images, _ in module.predict_dataloader()]
    assert torch.equal(torch.cat(images), torch.cat([images for images, _ in module.test_dataloader()]))


def test_only_training_images_are_augmented(xray_root):
    plain, augmented = (serve(xray_root, augment=augment).datasets for augment in ("none", "mild"))
    for name, changed in (("train", True), ("val", False), ("test", False)):
        every = list(range(len(plain[name])))
        pairs = zip(plain[name].__getitems__(every)[0], augmented[name].__getitems__(every)[0], strict=True)
        assert all(torch.equal(before, after) is not changed for before, after in pairs)


def test_each_image_of_a_batch_is_augmented_its_own_way(xray_root):
    images, _ = serve(xray_root, augment="mild").datasets["train"].__getitems__([0] * 5)
    assert len({image.numpy().tobytes() for image in images}) == 5


def test_the_seed_decides_the_split(xray_root):
    assert sides(serve(xray_root, seed=1)) == sides(serve(xray_root, seed=1)) != sides(serve(xray_root, seed=2))


def test_classes_choose_and_order_the_labels(xray_root):
    module = serve(xray_root, classes=["Viral Pneumonia", "COVID-19"])
    assert (module.classes, module.num_classes) == (["Viral Pneumonia", "COVID-19"], 2)
    dataset = module.datasets["val"]
    assert all(
        path.startswith(module.classes[label]) for path, label in zip(dataset.paths, dataset.labels, strict=True)
    )


def test_the_number_of_classes_is_known_before_setup_and_decodes_nothing(xray_root, tmp_path):
    assert RadiographyDataModule(str(xray_root), cache_dir=str(tmp_path / "cache")).num_classes == 3
    assert not (tmp_path / "cache").exists()


def test_nearest_reaches_the_pixels(xray_root):
    image, _ = serve(xray_root, interpolation="nearest").datasets["val"][0]
    assert not torch.equal(image, serve(xray_root).datasets["val"][0][0])


def test_a_home_folder_may_be_written_as_a_tilde(xray_root, monkeypatch):
    monkeypatch.setenv("HOME", str(xray_root.parent))
    assert serve(f"~/{xray_root.name}", cache_dir="~/pixels").num_classes == 3
    assert (xray_root.parent / "pixels").is_dir()


def test_the_root_may_be_the_working_folder(xray_root, monkeypatch):
    monkeypatch.chdir(xray_root)
    assert serve(".").num_classes == 3


@pytest.fixture
def sibling(xray_root):
    """The sibling "<root> Test": two images a class, the middle class's in colour."""
    root = paint(xray_root.with_name(f"{xray_root.name} Test"), per_class=2, size=20)
    for file in (root / CLASSES[1]).iterdir():
        Image.new("RGB", (20, 20), (200, 100, 0)).save(file)
    return root


@pytest.mark.parametrize("given", [True, False], ids=["given", "sibling"])
def test_a_test_root_takes_the_place_of_the_holdout(xray_root, sibling, given):
    root = sibling.rename(xray_root.parent / "elsewhere") if given else sibling
    module = serve(xray_root, test_root=str(root) if given else None)
    assert module.counts["test"] == dict.fromkeys(CLASSES, 2)
    assert sum(module.counts["train"].values()) + sum(module.counts["val"].values()) == PER_CLASS * len(CLASSES)
    dataset = module.datasets["test"]
    for (image, _), path in zip(dataset, dataset.paths, strict=True):
        torch.testing.assert_close(image, expected(root, path.removeprefix("test:")))


def test_the_test_roots_labels_follow_the_classes_of_the_root(xray_root, sibling):
    (sibling / "A class of its own").mkdir()
    shutil.copy(sibling / CLASSES[0] / f"{CLASSES[0]} (1).png", sibling / "A class of its own")
    chosen = [CLASSES[2], CLASSES[0]]
    dataset = serve(xray_root, classes=chosen).datasets["test"]
    assert len(dataset) == 4
    assert all(f"test:{chosen[label]}/" in path for path, label in zip(dataset.paths, dataset.labels, strict=True))


def test_a_given_test_root_goes_before_the_sibling(xray_root, sibling, tmp_path):
    other = paint(tmp_path / "other", per_class=5, size=20)
    assert serve(xray_root, test_root=str(other)).counts["test"] == dict.fromkeys(CLASSES, 5)


def test_a_test_roots_images_are_marked_in_the_split_file_and_read_back(xray_root, sibling, tmp_path):
    module = serve(xray_root)
    module.write_split(tmp_path / "split.csv")
    rows = (tmp_path / "split.csv").read_text().splitlines()
    assert {row.startswith("test:") for row in rows if row.endswith(",test")} == {True}
    assert sides(serve(xray_root, split_file=str(tmp_path / "split.csv"))) == sides(module)


def test_a_split_file_may_mix_the_images_of_root_and_test_root(xray_root, sibling, tmp_path):
    names = [f"{name}/{name} ({n}).png" for n in (1, 2) for name in CLASSES]
    rows = [f"{prefix}{path},{path.split('/')[0]},train" for path in names for prefix in ("", "test:")]
    (tmp_path / "split.csv").write_text("\n".join(["path,label,split", *rows]))
    with pytest.warns(UserWarning, match="take no part"):
        dataset = serve(xray_root, split_file=str(tmp_path / "split.csv")).datasets["train"]
    images, _ = dataset.__getitems__(list(range(len(rows))))
    wanted = [
        expected(sibling, path[5:]) if path.startswith("test:") else expected(xray_root, path) for path in dataset.paths
    ]
    torch.testing.assert_close(images, torch.stack(wanted))


@pytest.mark.parametrize("given", [True, False], ids=["given", "sibling"])
def test_a_test_root_that_lacks_a_class_names_its_own_key(xray_root, sibling, given):
    shutil.rmtree(sibling / CLASSES[2])
    with pytest.raises(UserError, match=r"data\.test_root"):
        serve(xray_root, test_root=str(sibling) if given else None)


def test_a_missing_test_root_names_its_key(xray_root):
    with pytest.raises(UserError, match=r"nowhere does not exist, but data\.test_root"):
        serve(xray_root, test_root="nowhere")


def test_a_split_file_gives_the_split_that_wrote_it_whatever_the_seed(xray_root, tmp_path):
    module = serve(xray_root, seed=1)
    module.write_split(tmp_path / "split.csv")
    assert sides(serve(xray_root, seed=2, split_file=str(tmp_path / "split.csv"))) == sides(module)


def test_images_that_a_split_file_does_not_name_take_no_part_and_are_told(xray_root, tmp_path):
    serve(xray_root).write_split(tmp_path / "split.csv")
    shutil.copy(xray_root / CLASSES[0] / f"{CLASSES[0]} (1).png", xray_root / CLASSES[0] / "new.png")
    with pytest.warns(UserWarning, match=r"1 images are not in .*take no part: COVID-19/new\.png"):
        module = serve(xray_root, split_file=str(tmp_path / "split.csv"))
    assert sum(len(dataset) for dataset in module.datasets.values()) == PER_CLASS * len(CLASSES)


@pytest.fixture
def spoilt_root(xray_root):
    (xray_root / CLASSES[0] / f"{CLASSES[0]} (1).png").write_bytes(b"")
    (xray_root / CLASSES[2] / f"{CLASSES[2]} (2).png").write_bytes(b"<html>Sign in</html>")
    return xray_root


@pytest.mark.parametrize("cache", [True, False])
def test_unreadable_images_are_all_told_with_their_reasons(spoilt_root, cache):
    with pytest.raises(UserError, match=r"2 images .*cannot be read") as mistake:
        serve(spoilt_root, cache=cache)
    message = str(mistake.value)
    assert "COVID-19/COVID-19 (1).png: is empty" in message
    assert "Viral Pneumonia/Viral Pneumonia (2).png: is a web page" in message
    assert "data.on_error=skip" in message


@pytest.mark.parametrize("cache", [True, False])
def test_unreadable_images_are_skipped_on_demand_and_told(spoilt_root, cache):
    with pytest.warns(UserWarning, match=r"COVID-19 \(1\)\.png: is empty"):
        module = serve(spoilt_root, cache=cache, num_workers=0, on_error="skip")
    assert sum(len(dataset) for dataset in module.datasets.values()) == PER_CLASS * len(CLASSES) - 2
    for dataset in module.datasets.values():
        for (image, label), path in zip(dataset, dataset.paths, strict=True):
            torch.testing.assert_close(image, expected(spoilt_root, path))
            assert path.startswith(CLASSES[label])


def test_an_unreadable_test_image_is_told_too(xray_root, sibling):
    (sibling / CLASSES[0] / f"{CLASSES[0]} (1).png").write_bytes(b"")
    with pytest.raises(UserError, match=f"1 images below {sibling} cannot be read"):
        serve(xray_root)


def test_a_streamed_image_that_breaks_in_mid_run_is_named(xray_root):
    dataset = serve(xray_root, cache=False, num_workers=0).datasets["val"]
    (xray_root / dataset.paths[1]).write_bytes(b"")
    with pytest.raises(UserError, match=r"could be read when the run began, but now is empty"):
        dataset[1]


def test_ignored_files_are_told_by_kind_with_an_example_and_a_number(xray_root):
    for number in range(12):
        (xray_root / CLASSES[0] / f"{number:02}.nii").touch()
    with pytest.warns(UserWarning, match=r"12 files .*:\n  COVID-19/\d\d\.nii is a volume .* \(12 such\)$"):
        serve(xray_root)


def test_a_clean_folder_gives_no_warning(xray_root):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        serve(xray_root)


@pytest.fixture
def linked_root(xray_root):
    """Each class's images 1 to 6 of one patient, told by the table in the root."""
    rows = [f"{name}/{name} ({n}).png,{name}" for name in CLASSES for n in range(1, 7)]
    (xray_root / "metadata.csv").write_text("\n".join(["path,patient", *rows]))
    return xray_root


def patients_sides(module):
    first_six = {f"{name}/{name} ({n}).png" for name in CLASSES[:1] for n in range(1, 7)}
    return [name for name, paths in sides(module).items() if paths & first_six]


@pytest.mark.parametrize("cache", [True, False])
def test_a_patient_is_on_one_side(linked_root, cache):
    assert all(len(patients_sides(serve(linked_root, cache=cache, seed=seed))) == 1 for seed in range(5))


def test_a_patient_is_on_one_side_where_images_are_skipped(linked_root):
    (linked_root / CLASSES[0] / f"{CLASSES[0]} (2).png").write_bytes(b"")
    with pytest.warns(UserWarning, match="skipped"):
        modules = [serve(linked_root, on_error="skip", seed=seed) for seed in range(3)]
    assert all(len(patients_sides(module)) == 1 for module in modules)


def test_no_table_splits_patients_freely(linked_root):
    module = serve(linked_root, metadata="none")
    assert module.metadata is None
    assert len(patients_sides(module)) > 1


@pytest.fixture
def copied_root(xray_root):
    """Each class's image 1 has five copies, brighter and larger."""
    for name in CLASSES:
        first = Image.open(xray_root / name / f"{name} (1).png")
        for number in range(5):
            first.resize((30, 30)).point(lambda grey, more=number: grey + more).save(
                xray_root / name / f"copy {number}.png"
            )
    return xray_root


def copies_sides(module):
    copies = {path for path in module.images.paths if "copy" in path and path.startswith(CLASSES[0])}
    return [name for name, paths in sides(module).items() if paths & {*copies, f"{CLASSES[0]}/{CLASSES[0]} (1).png"}]


@pytest.mark.parametrize("cache", [True, False])
def test_duplicates_are_on_one_side_without_any_table(copied_root, cache):
    modules = [serve(copied_root, cache=cache, seed=seed) for seed in range(5)]
    assert all(len(copies_sides(module)) == 1 for module in modules)
    assert len(modules[0].duplicates) == 3 * 15


def test_duplicates_may_be_left_apart(copied_root):
    assert any(len(copies_sides(serve(copied_root, duplicates=False, seed=seed))) > 1 for seed in range(5))


def test_the_split_does_not_depend_on_how_pixels_are_resized(copied_root):
    module = serve(copied_root)
    assert (
        sides(module) == sides(serve(copied_root, image_size=31)) == sides(serve(copied_root, interpolation="nearest"))
    )


def test_it_is_told_how_many_images_the_duplicates_moved(copied_root, caplog):
    caplog.set_level("INFO")
    grouped, free = (sides(serve(copied_root, duplicates=duplicates)) for duplicates in (True, False))
    moved = sum(len(grouped[name] - free[name]) for name in grouped)
    assert moved > 0
    assert "18 images show a radiograph that another image shows too; each such group is on one side" in caplog.text
    assert f"which moved {moved} images (data.duplicates=false" in caplog.text


def test_test_images_that_are_in_the_root_too_are_warned_of(xray_root, sibling):
    shutil.copy(xray_root / CLASSES[0] / f"{CLASSES[0]} (1).png", sibling / CLASSES[0] / "leak.png")
    with pytest.warns(UserWarning, match=r"1 test images show a radiograph that is in .*: test:COVID-19/leak.png"):
        serve(xray_root)


def test_a_table_beside_the_root_is_found_from_inside_it_too(linked_root, monkeypatch):
    (linked_root / "metadata.csv").rename(linked_root.parent / "metadata.csv")
    monkeypatch.chdir(linked_root)
    for root in (linked_root, "../xrays", "."):
        assert serve(root).metadata is not None, root


def test_a_given_table_goes_before_the_one_that_is_found(linked_root, tmp_path):
    (tmp_path / "other.csv").write_text("path,source\nNORMAL/NORMAL (1).png,a hospital\n")
    module = serve(linked_root, metadata=str(tmp_path / "other.csv"))
    assert module.metadata.rows == {"NORMAL/NORMAL (1).png": {"source": "a hospital"}}


def test_a_table_of_other_images_names_the_key(xray_root, tmp_path):
    (tmp_path / "other.csv").write_text("path,patient\nx.png,1\ny.png,2\n")
    with pytest.raises(UserError, match=r"names 2 images, but none of those.*data\.metadata"):
        serve(xray_root, metadata=str(tmp_path / "other.csv"))


@pytest.mark.parametrize(
    "option",
    [
        {"val_fraction": 0},
        {"val_fraction": 1},
        {"val_fraction": -0.1},
        {"val_fraction": float("nan")},
        {"image_size": 0},
        {"batch_size": 0},
        {"test_per_class": -1},
        {"num_workers": -1},
    ],
    ids=str,
)
def test_a_wrong_option_names_its_key(option):
    with pytest.raises(UserError, match=rf"data\.{next(iter(option))}="):
        RadiographyDataModule(**option)


def test_too_few_images_name_what_to_change(xray_root):
    with pytest.raises(UserError, match=r"too few.*data\.test_per_class \(now 11\)"):
        serve(xray_root, test_per_class=11)


def test_without_test_images_testing_says_why(xray_root):
    module = serve(xray_root, test_per_class=0)
    with pytest.raises(UserError, match=r"The test split holds no images.*data\.test_per_class"):
        module.test_dataloader()


def test_a_split_file_without_training_images_of_a_class_is_told(xray_root, tmp_path):
    file = tmp_path / "split.csv"
    serve(xray_root).write_split(file)
    file.write_text(file.read_text().replace("Viral Pneumonia,train", "Viral Pneumonia,val"))
    with pytest.raises(UserError, match=r"Viral Pneumonia.*data\.split_file"):
        serve(xray_root, split_file=str(file))


@pytest.mark.parametrize("name", ["val", "test"])
def test_several_processes_share_evaluation_without_repeating_an_image(xray_root, name):
    module, seen = serve(xray_root), []
    for rank in range(2):
        module.trainer = SimpleNamespace(world_size=2, global_rank=rank)
        seen += [images for images, _ in loaders(module)[name]]
    module.trainer = None
    assert sorted(torch.cat(seen).sum((1, 2, 3)).tolist()) == pytest.approx(
        sorted(torch.cat([images for images, _ in loaders(module)[name]]).sum((1, 2, 3)).tolist())
    )


def test_more_processes_than_images_are_told(xray_root):
    module = serve(xray_root)
    module.trainer = SimpleNamespace(world_size=7, global_rank=0)
    with pytest.raises(UserError, match=r"val split holds 6 images, fewer than the 7 processes.*trainer\.devices"):
        module.val_dataloader()


def test_setup_for_each_stage_keeps_the_split(xray_root):
    module = serve(xray_root)
    before = sides(module)
    for stage in ("validate", "test", "predict"):
        module.setup(stage)
    assert sides(module) == before


def averaging(dense=torch.clone):
    return Encoder(lambda images: dense(images.mean(dim=(2, 3))), torch.device("cpu"), "mean", "mean")


def test_features_take_the_place_of_the_images(xray_root):
    plain, module = serve(xray_root), serve(xray_root, batch_size=4)
    torch.manual_seed(0)
    module.encode(averaging())
    assert torch.equal(torch.rand(1), torch.rand(1, generator=torch.Generator().manual_seed(0)))  # nothing was drawn
    for name in ("train", "val", "test"):
        order = torch.randperm(len(plain.datasets[name])).tolist()
        images, labels = plain.datasets[name].__getitems__(order)
        features, same = module.datasets[name].__getitems__(order)
        torch.testing.assert_close(features, images.mean(dim=(2, 3)))
        assert torch.equal(labels, same)
    module.serve_images()
    assert module.datasets["test"][0][0].shape == (3, SIZE, SIZE)


def test_features_are_looked_up_where_they_lie_in_no_other_process(xray_root):
    module = serve(xray_root, cache=False, num_workers=2)
    module.encode(averaging())
    assert module.train_dataloader().num_workers == 0
    dataset = module.datasets["train"]
    dataset.features = dataset.features.to("meta")  # a device that computes nothing
    features, labels = dataset.__getitems__([2, 0])
    assert (features.device.type, features.shape, labels.device.type) == ("meta", (2, 3), "cpu")


def test_features_are_float32_under_an_autocast(xray_root):
    module = serve(xray_root)
    dense = torch.nn.Linear(3, 5)
    with torch.autocast("cpu", torch.bfloat16):
        module.encode(averaging(dense))
    features = module.datasets["val"].features
    assert features.dtype == torch.float32
    assert not torch.equal(features, features.bfloat16().float())


def test_a_test_root_that_is_the_root_is_refused(xray_root):
    with pytest.raises(UserError, match=r"data\.test_root=.* is data\.root itself"):
        serve(xray_root, test_root=str(xray_root))


def test_batches_finished_on_the_device_are_those_finished_here(xray_root):
    here, there = (RadiographyDataModule(str(xray_root), image_size=16, test_per_class=3) for _ in range(2))
    for module in (here, there):
        module.setup("fit")
    dataset = there.datasets["val"]
    dataset.finish = False
    pixels, labels = dataset.__getitems__([3, 0, 1])
    assert pixels.dtype == torch.uint8
    expected = here.datasets["val"].__getitems__([3, 0, 1])
    torch.testing.assert_close(there.on_after_batch_transfer((pixels, labels), 0), expected, rtol=0, atol=0)

    there.resident = torch.from_numpy(there.images.gather(np.arange(len(there.images.paths))))
    dataset.resident = True
    numbers, labels = dataset.__getitems__([3, 0, 1])
    assert numbers.shape == (3,)
    torch.testing.assert_close(there.on_after_batch_transfer((numbers, labels), 0), expected, rtol=0, atol=0)


@pytest.mark.parametrize(("free", "fits"), [(10_000_000, True), (10_000, False)])
def test_pixels_lie_on_the_gpu_where_they_fit_in_a_share_of_its_memory(xray_root, monkeypatch, free, fits):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, free))
    module = RadiographyDataModule(str(xray_root), image_size=16, test_per_class=3)
    resident = put_on_device(module.images, torch.device("cpu"))
    assert (resident is not None) == fits
    if resident is not None:
        numbers = np.arange(len(module.images.paths))
        np.testing.assert_array_equal(resident.numpy(), module.images.gather(numbers))


def with_sources(root, sources):
    """Write a table in which the images of the classes COVID-19, NORMAL, ... have these sources, by first letter."""
    rows = [f"{path.relative_to(root).as_posix()},{sources[path.parent.name[0]]}" for path in root.rglob("*.png")]
    (root / "metadata.csv").write_text("path,source\n" + "\n".join(rows))
    return root


def test_balanced_sources_give_training_batches_a_weight_an_image(xray_root):
    root = with_sources(xray_root, {"C": "east", "N": "west", "V": "west"})
    data = serve(root, balance="source")
    images, labels, weights = next(iter(data.train_dataloader()))
    assert images.shape[0] == len(labels) == len(weights)
    assert data.datasets["train"].weights.mean() == pytest.approx(1)
    assert all(len(next(iter(loader))) == 2 for loader in (data.val_dataloader(), data.test_dataloader()))


def test_a_balance_of_sources_that_no_table_names_is_told(xray_root, caplog):
    with caplog.at_level("INFO"):
        data = serve(xray_root, balance="source")
    assert len(next(iter(data.train_dataloader()))) == 2
    assert "data.balance=source: no table names the source" in caplog.text
