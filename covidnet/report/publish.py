"""``covidnet publish``: a run's model card, best model and export -> a hub repository that the user names.

What goes out is a copy without any image, any name of an image, or any place on this machine.
"""

import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import yaml

from covidnet.errors import UserError
from covidnet.files.places import places_in, without_places
from covidnet.files.tensors import read_tensors
from covidnet.report.card import UNKNOWN_LICENSE, render
from covidnet.runs.checkpoint import KEY, Checkpoint
from covidnet.runs.files import CHECKPOINT, CONFIG, RESULTS, write_results
from covidnet.runs.run import Run

README = "README.md"  # under this name a hub shows the card
EXPORT, EXPORTED = "export", (".onnx", ".data", ".pt2")  # the folder of a run, and which of its files are models
# What a model needs to be loaded. The rest is for going on with the training, and holds paths of this machine.
KEPT = ("pytorch-lightning_version", "state_dict", "hparams_name", "hyper_parameters", KEY)
SITE = "https://huggingface.co"


def publish(
    run: Path,
    repository: str,
    *,
    private: bool = False,
    license: str | None = None,
    folder: Path | None = None,
    yes: bool = False,
) -> None:
    """Show what would be sent, ask, and send it to the hub in one commit.

    Args:
        run: Directory of a finished run.
        repository: "USER/NAME"; it is made if it is not there.
        private: Make it private. One that is there must be so already.
        license: Of the weights, as the hub writes it; told as unknown where left out.
        folder: Write the files there and send nothing.
        yes: Send without asking.

    Raises:
        UserError: Where the run lacks its model, the name is none, nobody can be asked, or the hub is out of reach or
            refuses; it says what to do by hand.
    """
    _check_names(repository, license)
    if not (yes or folder or sys.stdin.isatty()):
        raise UserError("Nobody is there to be asked whether to send. Give --yes if it is to be sent all the same.")
    if folder:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(f"--folder {folder} must be a new or an empty folder.")
        opened = Run(run)
        files = gather(opened, folder, license)
        _show(files, folder, f"folder {folder}; nothing is sent", _places(opened))
        return
    with tempfile.TemporaryDirectory() as scratch, _explained(run, repository):
        opened = Run(run)
        files = gather(opened, Path(scratch), license)
        from huggingface_hub import CommitOperationAdd, HfApi

        api = HfApi()
        user = api.whoami()["name"]
        there = _privacy(api, repository)
        if there == "public" and private:
            raise UserError(f"{SITE}/{repository} is there and public, not private. Give another name with --to.")
        what = f"there, {there}" if there else f"new, {'private' if private else 'public: anybody can read it'}"
        _show(files, Path(scratch), f"{SITE}/{repository} ({what}), as {user}", _places(opened))
        if not yes and input("Send it? [y/N] ").strip().lower() not in ("y", "yes"):
            print("Nothing was sent.")
            return
        api.create_repo(repository, private=private, exist_ok=True)
        added = [CommitOperationAdd(name, Path(scratch, name)) for name in files]
        sent = api.create_commit(repository, added, commit_message=f"A model of covidnet: {opened.folder.name}")
        print(f"Sent: {getattr(sent, 'commit_url', '') or f'{SITE}/{repository}'}")


def gather(run: Run, folder: Path, license: str | None = None) -> list[str]:
    """Write the copies that may go out into ``folder``; return their names below it, POSIX.

    Raises:
        UserError: Where the run lacks its best model or its configuration.
    """
    missing = [str(name) for name in (CONFIG, CHECKPOINT) if not (run.folder / name).is_file()]
    if missing or "best" not in run.models:
        raise UserError(
            f"{run.folder} lacks {', '.join(missing) or 'the test of a best model'}: only a run that has trained and "
            "tested a model can be published."
        )
    assert run.config is not None
    (folder / CHECKPOINT).parent.mkdir(parents=True, exist_ok=True)
    (folder / README).write_bytes(render(run, license or UNKNOWN_LICENSE).encode("utf-8", errors="replace"))
    write_results(folder / RESULTS, without_places(run.results))
    config = yaml.safe_dump(without_places(run.settings), sort_keys=False)
    (folder / CONFIG).write_text(config, encoding="utf-8")
    torch.save(_without_training(run.checkpoint), folder / CHECKPOINT)
    names = [README, RESULTS, CONFIG, CHECKPOINT.as_posix()]
    for file in sorted((run.folder / EXPORT).glob("*")):
        if file.suffix in EXPORTED and file.is_file() and not file.is_symlink():
            (folder / EXPORT).mkdir(exist_ok=True)
            shutil.copyfile(file, folder / EXPORT / file.name)
            names.append(f"{EXPORT}/{file.name}")
    return names


def _without_training(checkpoint: Path) -> dict[str, Any]:
    """Return what a checkpoint holds of its model, without places on this machine."""
    content = read_tensors(checkpoint)
    return {
        key: content[key] if key == "state_dict" else without_places(content[key]) for key in KEPT if key in content
    }


def _show(names: list[str], folder: Path, destination: str, places: list[Path]) -> None:
    """Print what is to go where, and what in it still names this machine."""
    sizes = {name: (folder / name).stat().st_size for name in names}
    print(f"To {destination}:")
    for name, size in sizes.items():
        print(f"  {size / 1e6:10.3f} MB  {name}")
    print(f"  {sum(sizes.values()) / 1e6:10.3f} MB  in all. No image file and no list of images is among them.")
    looks = Checkpoint(folder / CHECKPOINT).novelty
    if looks:
        print(
            f"  NOTE: to tell what looks strange, the model holds grey patterns of {looks['side']} x {looks['side']} "
            f"pixels of {len(looks['looks']):,} training images."
        )
    for name in names:
        found = places_in(folder / name, places)
        if found:
            print(f"  WARNING: {name} names {', '.join(map(str, found))}, which tells strangers of this machine.")


def _places(run: Run) -> list[Path]:
    """Return the folders of this machine that a file might name without our knowing."""
    recipe = run.recipe or {}
    root = recipe.get("data", {}).get("init_args", {}).get("root")
    known = [Path.home(), Path.cwd(), run.folder.absolute().parent, *([Path(root)] if root else [])]
    return sorted({place for place in known if place.is_absolute() and len(place.parts) > 1})


def _check_names(repository: str, license: str | None) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", repository, re.ASCII):
        raise UserError(f"--to {repository} must be USER/NAME: letters, digits, '-', '_' and '.'.")
    if license is not None and not re.fullmatch(r"[a-z0-9.-]+", license):
        raise UserError(f"--license {license} must be a name that the hub knows: mit, apache-2.0, cc-by-4.0, other ...")


def _privacy(api: Any, repository: str) -> str | None:
    """Return whether a repository is public or private, None if it is not there."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        return "private" if api.model_info(repository).private else "public"
    except RepositoryNotFoundError:
        return None


@contextmanager
def _explained(run: Path, repository: str) -> Iterator[None]:
    """Turn what the hub's library raises into what a user can do."""
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    # The library's client is httpx by one name or another, and this is the root of its errors.
    unreachable: type[BaseException] = next(base for base in HfHubHTTPError.__mro__ if base.__name__ == "HTTPError")
    name = repository.partition("/")[2]
    hand = (
        "\nBy hand:\n"
        f"  1. covidnet publish {shlex.quote(str(run))} --to {repository} --folder FOLDER   (writes the files, sends "
        "nothing)\n"
        f"  2. Open {SITE}/new, sign in and make the model repository {name}.\n"
        '  3. There, "Files", "Add file", "Upload files": all that lies in FOLDER, folders too.'
    )
    token = (
        f"Make a token that may write at {SITE}/settings/tokens, keep it with `hf auth login` or in HF_TOKEN, then run "
        "the same command again."
    )
    try:
        yield
    except LocalTokenNotFoundError as error:
        raise UserError(f"The hub has to know who sends, and no token is here. {token}{hand}") from error
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        why = token if status in (401, 403) else "Nothing or not all was sent; run the same command again later."
        raise UserError(f"The hub refuses ({status}): {str(error).splitlines()[0]} {why}{hand}") from error
    except unreachable as error:
        raise UserError(f"The hub cannot be reached: {error}.{hand}") from error
