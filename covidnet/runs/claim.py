"""covidnet.runs.claim."""

import json
from pathlib import Path
from typing import Any


def recorded_recipe(file: Path) -> Any:
    """Return the recipe in the record of several runs, None where it is missing or cannot be read."""
    try:
        return json.loads(file.read_text("utf-8")).get("recipe")
    except (OSError, ValueError, AttributeError):
        return None
