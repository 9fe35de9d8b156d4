"""`python -m distill`: commands that are no stages."""

import sys

try:
    import click

    from distill.commands import check, choose, join, new, plan, plots, predict, publish, schema, show, sweep, verify
except ModuleNotFoundError as error:
    if str(error.name).startswith("distill"):
        raise
    sys.exit(f"error: {error.name} is not installed for {sys.executable}; `make setup && source .venv/bin/activate`")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Distill transformers from their cached answers. The pipeline itself runs with `dvc repro`."""


for module in (check, choose, join, new, plan, plots, predict, publish, schema, show, sweep, verify):
    main.add_command(module.main, module.__name__.rpartition(".")[2])


if __name__ == "__main__":
    main(prog_name="python -m distill")
