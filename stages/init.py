"""the model that `init.from` names → data/inits/NAME/"""

from pathlib import Path

import click

from distill.core.console import PARAMS, command, print_result
from distill.core.files import atomic_folder
from distill.core.quantities import millions
from distill.core.settings import load_entry, read_sections, require_unedited
from distill.params.students import AnyStudent


@command
@click.argument("name")
def main(name: str) -> None:
    """Initialize the student NAME: copied layers, a whole checkpoint, or random weights."""
    settings = load_entry(PARAMS, "students", name, AnyStudent)
    from distill.data.dataset import Dataset
    from distill.data.seen import require_unseen
    from distill.data.tokenizers import load_tokenizer
    from distill.models.loading import save_model
    from distill.students.initialize import init_student

    dataset = Dataset.open(Path("data/prepared", settings.dataset))
    if settings.init.architecture is None:
        require_unseen(read_sections(PARAMS), settings.init.source, dataset, f"{PARAMS}: students.{name}.init.from")
    student = init_student(settings.init, dataset)
    with atomic_folder(Path("data/inits", name)) as folder:
        save_model(folder, student, load_tokenizer(dataset.folder / "tokenizer"), dataset)
        require_unedited(PARAMS, "students", name, settings, "init", "dataset")
    parameters = sum(parameter.numel() for parameter in student.parameters())
    shape = f"{student.config.num_hidden_layers} layers × {student.config.hidden_size}"
    print_result(f"init {name}: {shape}, {millions(parameters)}M parameters")


if __name__ == "__main__":
    main()
