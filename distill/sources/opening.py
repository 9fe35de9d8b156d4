"""Raw rows of whatever `sources` names."""

from distill.core.console import print_progress
from distill.core.locations import local_folder
from distill.params.sources import Source
from distill.sources.files import read_local
from distill.sources.hub import fetch_hub
from distill.sources.streams import ReadOptions, Stream


def open_source(source: Source) -> dict[str, Stream]:
    """Its splits: of a file or folder, also of a package, or of a data set of the hub, which is downloaded."""
    place = local_folder(source.path, source.package)
    if place is not None:
        return read_local(place, ReadOptions(source.encoding, source.delimiter, source.names, source.format, source.sheet))
    print_progress(f"{source.hub}: from the hub")
    return fetch_hub(str(source.hub), source.config, source.revision)
