"""`python -m distill publish`: a target set at a URL, for those who do not use DVC; or a model on the hub."""

from pathlib import Path

import click

from distill.core.console import command


@command
@click.argument("name")
@click.argument("url", required=False)
@click.option("--hub", metavar="USER/NAME", help="Upload the export of the student NAME, card and weights, to this repository.")
@click.option("--private", is_flag=True, help="Make the repository private, if it is new.")
def main(name: str, url: str | None, hub: str | None, private: bool) -> None:
    """Copy the target set NAME to URL (s3://BUCKET/targets/NAME, any fsspec URL), from where TargetStore.open(URL) reads it.

    With --hub, upload the student NAME to the Hugging Face hub instead: for transformers, Optimum and transformers.js.
    """
    from distill.core.errors import UserError

    if (url is None) == (hub is None):
        raise UserError("expected one of: a URL, for the target set of that name; --hub USER/NAME, for the student")
    if hub is not None:
        from distill.export.hub import files_for_hub, upload

        export = Path("data/exports/students", name)
        files = files_for_hub(export, Path("data/students", name))
        click.echo(f"{export}: {len(files)} files published at {upload(files, hub, private=private)}")
        return
    from distill.store.remote import publish

    folder = Path("data/targets", name)
    publish(folder, str(url))
    click.echo(f"{folder}: published at {url}")
