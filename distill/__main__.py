"""`python -m distill`: commands that are no stages."""

from pathlib import Path

import click

from distill.console import PARAMS, command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Distill BERT-family teachers from cached targets. The pipeline itself runs with `dvc repro`."""


@command
@click.option("--params", type=click.Path(path_type=Path), default=PARAMS, show_default=True)
@click.option("--stamp", type=click.Path(path_type=Path), help="Write this file if all is well.")
def check(params: Path, stamp: Path | None) -> None:
    """Check the whole of params.yaml: types, typos, references, cycles."""
    from distill.files import write_text
    from distill.params.whole import load_params

    checked = load_params(params)
    counts = ", ".join(f"{len(entries)} {section}" for section, entries in vars(checked).items())
    if stamp is not None:
        write_text(stamp, "params.yaml has been checked\n")
    click.echo(f"{params}: {counts}")


@command
def schema() -> None:
    """Print the JSON Schema of params.yaml."""
    from distill.files import to_json
    from distill.params.whole import json_schema

    click.echo(to_json(json_schema()), nl=False)


main.add_command(check, "check")
main.add_command(schema, "schema")

if __name__ == "__main__":
    main(prog_name="python -m distill")
