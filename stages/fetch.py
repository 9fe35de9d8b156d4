"""sources.NAME → data/raw/NAME/"""

from pathlib import Path

import click

from distill.core.console import PARAMS, command, print_progress, print_result
from distill.core.files import atomic_folder
from distill.core.settings import load_entry
from distill.params.sources import Source


@command
@click.argument("name")
def main(name: str) -> None:
    """Fetch the source NAME into data/raw/NAME/, a Parquet file a split."""
    source = load_entry(PARAMS, "sources", name, Source)
    from distill.core.locations import local_folder
    from distill.sources.files import read_local
    from distill.sources.hub import fetch_hub
    from distill.sources.streams import ReadOptions, write_splits

    with atomic_folder(Path("data/raw", name)) as folder:
        place = local_folder(source.path, source.package)
        if place is not None:
            splits = read_local(place, ReadOptions(source.encoding, source.delimiter, source.names, source.format, source.sheet))
        else:
            print_progress(f"fetch {name}: {source.hub} from the hub")
            splits = fetch_hub(str(source.hub), source.config, source.revision)
        rows = write_splits(splits, folder)
    print_result(f"fetch {name}: {rows} rows in {', '.join(splits)}")


if __name__ == "__main__":
    main()
