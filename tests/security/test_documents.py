"""The JSON files and tables of a run of a stranger: each value is of the kind that is read there, or is refused."""

import json
from pathlib import Path

import pytest
from helpers import mistake, read_json
from made_run import CLASSES, write_run

from covidnet.commands.main import main as tools
from covidnet.runs.documents import KINDS
from covidnet.runs.documents import read_json as gate
