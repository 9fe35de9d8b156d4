"""`python -m distill check`: what can be known to be wrong before anything runs."""

from pathlib import Path

import click

from distill.console import PARAMS, command


@command
@click.option("--params", type=click.Path(path_type=Path), default=PARAMS, show_default=True)
@click.option("--stamp", type=click.Path(path_type=Path), help="Write this file if all is well.")
def main(params: Path, stamp: Path | None) -> None:
    """Check the whole of params.yaml: types, typos, references, cycles, and that target sets keep what students read."""
    from distill.errors import UserError
    from distill.files import write_text
    from distill.params.needs import unfed
    from distill.params.whole import load_params
    from distill.shapes import local_config, read_shape

    checked = load_params(params)
    shapes = {name: read_shape(local_config(**teacher.checkpoint.model_dump())) for name, teacher in checked.teachers.items()}
    depths = {name: shape.layers for name, shape in shapes.items() if shape is not None}
    problems = [line for name in checked.targets for line in unfed(checked, name, params, depths)]
    if problems:
        raise UserError("\n".join(problems))
    counts = ", ".join(f"{len(entries)} {section}" for section, entries in vars(checked).items())
    if stamp is not None:
        write_text(stamp, "params.yaml has been checked\n")
    click.echo(f"{params}: {counts}")


if __name__ == "__main__":
    main()
