"""data/targets/FIRST/logits, data/targets/SECOND/logits → data/targets/NAME/"""

from pathlib import Path

import click

from distill.console import PARAMS, command, say
from distill.files import whole_folder
from distill.params.base import load_entry
from distill.params.ensembles import EnsembleSettings


@command
@click.argument("name")
def main(name: str) -> None:
    """Write the weighted mean of two target sets' logits as the target set NAME."""
    settings = load_entry(PARAMS, "ensembles", name, EnsembleSettings)
    from distill.targets.mean import write_mean
    from distill.targets.reader import TargetStore

    first, second = (TargetStore.open(Path("data/targets", member, "logits")) for member in (settings.first, settings.second))
    with whole_folder(Path("data/targets", name)) as folder:
        write_mean(folder, first, second, settings.weight)
    say(f"ensemble {name}: {settings.weight:g} × {settings.first} + {1 - settings.weight:g} × {settings.second}")


if __name__ == "__main__":
    main()
