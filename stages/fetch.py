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
    from distill.sources.tables import fetch_hub, read_local, write_tables

    with atomic_folder(Path("data/raw", name)) as folder:
        place = local_folder(source.path, source.package)
        if place is not None:
            tables = read_local(place, source.encoding)
        else:
            print_progress(f"fetch {name}: {source.hub} from the hub")
            tables = fetch_hub(str(source.hub), source.config, source.revision)
        rows = write_tables(tables, folder)
    print_result(f"fetch {name}: {rows} rows in {', '.join(tables)}")


if __name__ == "__main__":
    main()
