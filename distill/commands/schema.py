"""`python -m distill schema`: for editors that complete and check params.yaml, and for readers."""

import click

from distill.console import command


@command
@click.option("--markdown", is_flag=True, help="Print a reference for people, docs/params.md, instead.")
def main(markdown: bool) -> None:
    """Print the JSON Schema of params.yaml."""
    from distill.commands.schema_markdown import reference
    from distill.files import to_json
    from distill.params.whole import json_schema

    schema = json_schema()
    click.echo(reference(schema) if markdown else to_json(schema), nl=False)


if __name__ == "__main__":
    main()
