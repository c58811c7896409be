"""Look at a folder of radiographs before any training: files, duplicates, patients, sources."""

import argparse
import re
from pathlib import Path
from typing import Any

from covidnet.commands.options import (
    add_body_part,
    add_json,
    add_masks,
    here,
    refuse_no_place,
    tell_loading,
    write_json,
)
from covidnet.data.typed import refuse_missing, value_of
from covidnet.data.walk import refuse_no_root
from covidnet.errors import UserError, did_you_mean
from covidnet.files.home import at_home
from covidnet.training.args import NAMES, choices, group_content

_SET = "data="
_KEY = re.compile(r"(?:--)?data\.(?P<name>\w+)=(?P<value>.*)", re.DOTALL)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    text = (
        "folder that training could be given, and what else it would get, such as data.patient_pattern=... or, of a "
        "known data set, data=nih"
    )
    parser.add_argument("words", nargs="+", metavar="FOLDER|data.KEY=VALUE|data=NAME", help=text)
    parser.add_argument("--classes", nargs="+", metavar="NAME", help="which class folders (default: all)")
    text = "table (path, patient, group, source) to read, or none (default: metadata.csv in FOLDER or its parent)"
    parser.add_argument("--metadata", metavar="FILE", help=text)
    text = "where to write the table (default: FOLDER/metadata.csv)"
    parser.add_argument("--out", type=here, metavar="FILE", help=text)
    parser.add_argument("--force", action="store_true", help="overwrite a table that is there")
    add_body_part(parser, "chest")
    add_masks(parser, "auto")
    add_json(parser)


def run(options: argparse.Namespace) -> None:
    """Inspect the folder, write the table where it may be written, print the checks."""
    keys = _keys(options)
    if keys.get("root"):
        refuse_no_root(Path(str(keys["root"])), "data.root")
    refuse_missing(keys)
    refuse_no_place(options.out, "--out")
    refuse_no_place(options.json, "--json")
    tell_loading("sklearn")
    from covidnet.data.radiographs import Radiographs
    from covidnet.evidence.audit import audit_images, write_table
    from covidnet.evidence.audit_screen import print_audit
    from covidnet.files.plain import hints_of, misfit
    from covidnet.report.renew import renew

    unknown = sorted(keys.keys() - hints_of(Radiographs).keys())
    if unknown:
        raise UserError(f"Unknown key data.{unknown[0]}.{did_you_mean(unknown[0], hints_of(Radiographs))}")
    if wrong := misfit(Radiographs, keys):
        raise UserError(f"data.{wrong}.")
    if options.out and options.out.exists() and not options.force:
        raise UserError(f"{options.out} is there already. Give --force to overwrite it, or another --out.")
    data = Radiographs(**keys)
    audited = audit_images(data)
    if data.given_metadata == "none" and not options.out:
        table, told = None, "No table was written: in FOLDER it would hide one that was not read. Give --out FILE."
    else:
        table, told = write_table(audited, data.roots.get(""), options.out, force=options.force)
    print_audit(audited.report, told)
    write_json(options.json, {**audited.report, "table": str(table) if table else None})
    renew(options.json)


def _keys(options: argparse.Namespace) -> dict[str, Any]:
    """Return the keys of the data that were typed or that a known data set has, the folder among them."""
    sets = [word.removeprefix(_SET) for word in options.words if word.startswith(_SET)]
    found = [(word, _KEY.fullmatch(word)) for word in options.words if not word.startswith(_SET)]
    keys = {key: value for name in sets for key, value in _keys_of_set(name).items()}
    keys |= {match["name"]: value_of(match["value"], names=match["name"] in NAMES) for _, match in found if match}
    folders = [word for word, match in found if not match]
    named = [*folders, *(f"data.{key}" for key in ("root", "roots") if keys.get(key))]
    if len(named) > 1 or not (named or keys.get("table")):  # which lies above its images
        raise UserError(
            f"audit looks at one folder, or at those of data.roots, but {', '.join(named) or 'none'} "
            f"{'is' if not named else 'are'} given. Type FOLDER, or data.roots='{{site_a: FOLDER, site_b: FOLDER}}'."
        )
    typed = {
        "classes": options.classes,
        "metadata": options.metadata,
        "body_part": options.body_part,
        "masks": options.masks,
    }
    keys |= {key: value for key, value in typed.items() if value is not None}
    return {**keys, **({"root": str(at_home(folders[0]))} if folders else {})}


def _keys_of_set(name: str) -> dict[str, Any]:
    """Return the keys that ``data=NAME`` gives a training.

    Raises:
        UserError: Where there is no such data set, or it has no folder to look at.
    """
    known = [one for one in choices("data") if one != "phantom"]
    if name not in known:
        raise UserError(
            f"data={name}: audit knows {', '.join(known)}.{did_you_mean(name, known)} Or leave it out and give keys."
        )
    keys: dict[str, Any] = group_content("data", name)["data"]["init_args"]
    return keys
