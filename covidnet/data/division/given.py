"""A split that the data set itself gives, by folders or by a column: followed as it is, what it lacks drawn."""

from collections import Counter
from collections.abc import Mapping, Sequence

from covidnet.data.division.split import SPLITS, Split, seeded_split

FEWEST = 10  # images of a class by which training can be judged; Kermany's validation folder has 8


def follow_sides(
    paths: Sequence[str],
    labels: Sequence[int],
    groups: Sequence[int],
    classes: Sequence[str],
    sides: Mapping[str, str],
    *,
    seed: int,
    val_fraction: float,
    test_per_class: int,
    use_val: bool,
) -> tuple[Split, list[str]]:
    """Return the split that ``sides`` (path -> split) gives, and what the user is told of it.

    An image without a side trains. Where no side is called test, the holdout is drawn from the training images, and
    where none is called val, or it is too small to judge a training by, so is the validation split: whole groups, none
    of which has images on a given side.

    Args:
        paths: N paths.
        labels: (N,) in 0 .. C - 1.
        groups: (N,) a number that linked images share.
        classes: Names of the C classes.
        sides: Path -> "train", "val" or "test".
        seed: Of what is drawn.
        val_fraction: Share of the training images that is drawn for validation.
        test_per_class: Images a class that are drawn for the test.
        use_val: Validate on the given images, however few.

    Raises:
        UserError: Where a class is left without validation or training images.
    """
    given = numbers_by_side(paths, sides)
    counts = {name: len(numbers) for name, numbers in given.items() if numbers}
    told = [f"The data give the split: {_listed(counts)}; data.use_split=false draws one."]
    unnamed = sum(path not in sides for path in paths)
    if unnamed:
        told.append(f"{unnamed:,} images are on no side of it and train.")
    if given["val"] and not use_val and _too_few(given["val"], labels, classes):
        told.append(
            f"The {len(given['val'])} images given for validation are too few to judge a training by: they train, and "
            "the validation split is drawn anew; data.use_val=true takes them as they are."
        )
        given |= {"train": sorted(given["train"] + given["val"]), "val": []}
    lacking = [name for name in ("val", "test") if not given[name] and (name == "val" or test_per_class)]
    if not lacking:
        return Split(**given), told
    fixed = {groups[number] for name in ("val", "test") for number in given[name]}
    free = [number for number in given["train"] if groups[number] not in fixed]
    drawn = seeded_split(
        [paths[number] for number in free],
        [labels[number] for number in free],
        [groups[number] for number in free],
        classes,
        seed=seed,
        val_fraction=val_fraction,
        test_per_class=test_per_class if "test" in lacking else 0,
    )
    new = {name: [free[index] for index in indices] for name, indices in drawn.items() if name in lacking}
    taken = {number for numbers in new.values() for number in numbers}
    train = [number for number in given["train"] if number not in taken]
    sizes = {name: len(numbers) for name, numbers in new.items()}
    told.append(f"Drawn from the training images, by patient and group: {_listed(sizes)}.")
    return Split(**{**given, "train": train, **new}), told


def numbers_by_side(paths: Sequence[str], sides: Mapping[str, str]) -> dict[str, list[int]]:
    """Return the numbers of the images on each side, ascending; one without a side trains."""
    given: dict[str, list[int]] = {name: [] for name in SPLITS}
    for number, path in enumerate(paths):
        given[sides.get(path, "train")].append(number)
    return given


def _too_few(numbers: Sequence[int], labels: Sequence[int], classes: Sequence[str]) -> bool:
    counts = Counter(labels[number] for number in numbers)
    return any(counts[label] < FEWEST for label in range(len(classes)))


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in counts.items())
