"""`python -m distill publish`: a target set at a URL, for those who do not use DVC."""

from pathlib import Path

import click

from distill.core.console import command


@command
@click.argument("name")
@click.argument("url")
def main(name: str, url: str) -> None:
    """Copy the target set NAME to URL (s3://BUCKET/targets/NAME, any fsspec URL), from where TargetStore.open(URL) reads it."""
    from distill.store.remote import publish

    folder = Path("data/targets", name)
    publish(folder, url)
    click.echo(f"{folder}: published at {url}")
