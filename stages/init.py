"""the model that `init.from` names → data/inits/NAME/"""

from pathlib import Path

import click

from distill.console import PARAMS, command, say
from distill.files import whole_folder
from distill.params.base import load_entry
from distill.params.students import AnyStudent


@command
@click.argument("name")
def main(name: str) -> None:
    """Bring the student NAME into the world: copied layers, a whole checkpoint, or random weights."""
    settings = load_entry(PARAMS, "students", name, AnyStudent)
    from distill.birth import newborn
    from distill.encoders import load_tokenizer
    from distill.models import save_model
    from distill.prepared import Dataset

    dataset = Dataset.open(Path("data/prepared", settings.dataset))
    init = settings.init
    student = newborn(
        Path(init.source),
        dataset,
        seed=init.seed,
        layers=init.layers,
        depth=init.depth,
        family=init.family,
        architecture=init.architecture,
        embeddings=init.copy_embeddings,
    )
    with whole_folder(Path("data/inits", name)) as folder:
        save_model(folder, student, load_tokenizer(dataset.folder / "tokenizer"), dataset.max_length)
    parameters = sum(parameter.numel() for parameter in student.parameters())
    shape = f"{student.config.num_hidden_layers} layers × {student.config.hidden_size}"
    say(f"init {name}: {shape}, {parameters / 1e6:.1f}M parameters")


if __name__ == "__main__":
    main()
