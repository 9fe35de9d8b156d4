"""data/raw/ → data/transfer/NAME.json"""

from pathlib import Path

import click

from distill.core.console import command, print_result
from distill.core.errors import UserError
from distill.core.files import read_json, sha256, to_json, write_text


@command
@click.argument("name")
def main(name: str) -> None:
    """Tell `prepare` what the sources hold whose rows the data set NAME learns from without labels.

    DVC cannot depend on a list of folders in params.yaml: this stage depends on all of data/raw, and `prepare` on what it writes.
    """
    found = {}
    for source in read_json(Path("data/jobs/transfer", f"{name}.json"), "what `dvc repro check` writes"):
        folder = Path("data/raw", source)
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; add '{source}' to `sources`, or put it there with `dvc add`")
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        found[source] = {file.relative_to(folder).as_posix(): sha256(file) for file in files}
    write_text(Path("data/transfer", f"{name}.json"), to_json(found))
    if found:
        print_result(f"transfer {name}: rows of {', '.join(found)}")


if __name__ == "__main__":
    main()
