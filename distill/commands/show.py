"""`python -m distill show`: what target sets hold."""

import click

from distill.commands.verify import folders
from distill.console import command


@command
@click.argument("names", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of tables.")
def main(names: tuple[str, ...], as_json: bool) -> None:
    """Show what the target sets NAMES hold (entries of params.yaml, or paths), by default all in data/targets."""
    from distill.files import to_json
    from distill.targets.show import describe, table

    found = [describe(folder) for folder in folders(names)]
    click.echo(to_json(found) if as_json else "\n\n".join(map(table, found)) + "\n", nl=False)
