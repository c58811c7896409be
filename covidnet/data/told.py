"""What a user is told of the images of a run before they are divided, and what is proposed."""

from collections.abc import Mapping

from covidnet.data.division.metadata import NAME
from covidnet.data.division.names import propose
from covidnet.data.local import local_file
from covidnet.data.located import Located
from covidnet.data.walk import tables_in
from covidnet.errors import some


def told_of(data: Located) -> list[str]:
    """Return what came of the folders and tables, and what is proposed, a sentence each."""
    proposed = (proposed_table(data), proposed_pattern(data))
    return [*(line for known in data.known for line in known.told), *filter(None, proposed)]


def counted_told(total: int, counts: Mapping[str, Mapping[str, int]], place: str) -> str:
    """Return how many images there are, and of each class in each split."""
    sides = (
        f"{name} {', '.join(f'{number:,} {of}' for of, number in numbers.items())}" for name, numbers in counts.items()
    )
    return f"{total:,} images in {place}: {'; '.join(sides)}"


def warned_of(data: Located) -> list[str]:
    """Return what the user may not have meant, a sentence each."""
    return [line for known in data.known for line in known.warned]


def proposed_pattern(data: Located) -> str | None:
    """Return a sentence on a pattern that finds patients in names, where no patient is known."""
    known = data.metadata.rows.values() if data.metadata else []
    return None if any(row.get("patient") for row in known) else propose(data.listings)


def proposed_table(data: Located) -> str | None:
    """Return a sentence on the tables beside the folders of the classes that no key names; they may be meant."""
    metadata = None if data.given_metadata == "none" else data.given_metadata
    given = local_file(metadata, data.cache_dir, "data.metadata")
    read = {file.resolve() for file in (given, data.split_file) if file}
    found = [] if data.layout.tables else [file for root in data.roots.values() for file in tables_in(root)]
    files = [str(file) for file in found if file.name != NAME and file.resolve() not in read]
    keys = "data.metadata=FILE takes patients and sources of one, data.table=FILE classes too"
    return f"Tables that are not read: {some(files, 3, ', ')}; {keys}." if files else None
