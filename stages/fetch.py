"""sources.NAME → data/raw/NAME/"""

from pathlib import Path

import click

from distill.core.console import PARAMS, command, print_result
from distill.core.files import atomic_folder
from distill.core.settings import load_entry, require_unedited
from distill.params.sources import Source


@command
@click.argument("name")
def main(name: str) -> None:
    """Fetch the source NAME into data/raw/NAME/, a Parquet file a split."""
    source = load_entry(PARAMS, "sources", name, Source)
    from distill.sources.opening import open_source
    from distill.sources.streams import write_splits

    with atomic_folder(Path("data/raw", name)) as folder:
        splits = open_source(source)
        rows = write_splits(splits, folder)
        require_unedited(PARAMS, "sources", name, source)
    print_result(f"fetch {name}: {rows} rows in {', '.join(splits)}")


if __name__ == "__main__":
    main()
