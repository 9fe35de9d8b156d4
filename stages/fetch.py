"""sources.NAME → data/raw/NAME/"""

from pathlib import Path

import click

from distill.console import PARAMS, command, note, say
from distill.files import whole_folder
from distill.params.base import load_entry
from distill.params.sources import Source


@command
@click.argument("name")
def main(name: str) -> None:
    """Fetch the source NAME into data/raw/NAME/, a Parquet file a split."""
    source = load_entry(PARAMS, "sources", name, Source)
    from distill.places import local_folder
    from distill.sources import fetch_hub, read_local, write_tables

    with whole_folder(Path("data/raw", name)) as folder:
        place = local_folder(source.path, source.package)
        if place is not None:
            tables = read_local(place, source.encoding)
        else:
            note(f"fetch {name}: {source.hub} from the hub")
            tables = fetch_hub(str(source.hub), source.config, source.revision)
        rows = write_tables(tables, folder)
    say(f"fetch {name}: {rows} rows in {', '.join(tables)}")


if __name__ == "__main__":
    main()
