"""`python -m distill schema`: for editors that complete and check params.yaml."""

import click

from distill.console import command


@command
def main() -> None:
    """Print the JSON Schema of params.yaml."""
    from distill.files import to_json
    from distill.params.whole import json_schema

    click.echo(to_json(json_schema()), nl=False)


if __name__ == "__main__":
    main()
