"""data/targets/FIRST/logits, data/targets/SECOND/logits → data/targets/NAME/"""

from pathlib import Path

import click

from distill.core.console import PARAMS, command, print_result
from distill.core.files import atomic_folder
from distill.core.settings import load_entry, require_unedited
from distill.params.ensembles import EnsembleSettings


@command
@click.argument("name")
def main(name: str) -> None:
    """Write the weighted mean of two target sets' logits as the target set NAME."""
    settings = load_entry(PARAMS, "ensembles", name, EnsembleSettings)
    from distill.store.target_set import TargetStore
    from distill.targets.ensemble import write_mean

    first, second = (TargetStore.open(Path("data/targets", member, "logits")) for member in (settings.first, settings.second))
    with atomic_folder(Path("data/targets", name)) as folder:
        write_mean(folder, first, second, settings.weight)
        require_unedited(PARAMS, "ensembles", name, settings)
    print_result(f"ensemble {name}: {settings.weight:g} × {settings.first} + {1 - settings.weight:g} × {settings.second}")


if __name__ == "__main__":
    main()
