"""What is drawn of each kind, what is done with it, and its share of all cases."""

from collections.abc import Mapping

from hypothesis import strategies as st

from bench.fuzz.backbones import backbones, use_backbone
from bench.fuzz.configurations import configurations, run_command_line
from bench.fuzz.dicoms import dicoms, show_as_pydicom
from bench.fuzz.folders import folders, look_at_folder, train_on_folder
from bench.fuzz.images import decode_image, images
from bench.fuzz.keys import keys, train_with_keys
from bench.fuzz.label_tables import (
    label_tables,
    read_label_table,
    read_several_tables,
    read_split_lists,
    several_tables,
    split_lists,
)
from bench.fuzz.layouts import given_folders, serve_given_folders
from bench.fuzz.recipes import recipes, use_checkpoint
from bench.fuzz.run_directories import read_run, run_directories
from bench.fuzz.running import Target
from bench.fuzz.served import ask, requests, served
from bench.fuzz.tables import metadata_tables, read_metadata_table, read_split_file, split_files
from bench.fuzz.trained import trained
from bench.fuzz.written import cases, changed_cases, decode_changed, show_right, turn_as_pillow, turned

SOON = 15  # seconds for what is refused before it is used
TARGETS: Mapping[str, Target] = {
    "folders": Target(folders, look_at_folder, 0.08),
    "given splits and several roots": Target(given_folders, serve_given_folders, 0.04),
    "split files": Target(split_files, read_split_file, 0.08),
    "metadata tables": Target(metadata_tables, read_metadata_table, 0.08),
    "tables of labels": Target(label_tables, read_label_table, 0.06),
    "several tables": Target(several_tables, read_several_tables, 0.03),
    "lists of a split": Target(split_lists, read_split_lists, 0.03),
    "images": Target(images(), decode_image, 0.08),
    "kinds of images": Target(cases, show_right, 0.06),
    "kinds of images, changed": Target(changed_cases(), decode_changed, 0.06),
    "turned images": Target(turned, turn_as_pillow, 0.02),
    "DICOM that disagrees": Target(dicoms, show_as_pydicom, 0.04),
    "configurations": Target(configurations(), run_command_line, 0.06),
    "folders and tables, whole command": Target(
        st.tuples(folders, split_files, metadata_tables), train_on_folder, 0.02
    ),
    "recipes": Target(recipes, use_checkpoint, 0.10, SOON, trained),
    "run directories": Target(run_directories(), read_run, 0.06, prepare=trained),
    "backbones": Target(backbones, use_backbone, 0.01),
    "keys": Target(keys(), train_with_keys, 0.02),
    "requests": Target(requests(), ask, 0.10, prepare=served),
}
