"""data/students/STUDENT, data/prepared/DATASET or data/annotations/ANNOTATOR → data/selections/NAME/"""

from pathlib import Path

import click

from distill.core.console import PARAMS, command, print_result
from distill.core.files import atomic_folder
from distill.core.settings import load_entry, require_unedited
from distill.params.annotators import SelectionSettings


@command
@click.argument("name")
def main(name: str) -> None:
    """Choose the rows that a student is least sure of as the selection NAME."""
    settings = load_entry(PARAMS, "selections", name, SelectionSettings)
    from distill.annotation.select import write_selection
    from distill.annotation.table import DESCRIPTION, dataset_of
    from distill.core.devices import best_device
    from distill.data.dataset import Dataset
    from distill.models.loading import load_for
    from distill.models.predict import predict
    from distill.tasks.registry import task_of

    dataset = Dataset.open(Path("data/prepared", dataset_of(settings.rows, DESCRIPTION)))
    model, _ = load_for(Path("data/students", settings.student), dataset)
    predicted = predict(model.to(best_device()), task_of(dataset.task), dataset.rows("train"), f"select {name}")
    with atomic_folder(Path("data/selections", name)) as folder:
        made = write_selection(folder, dataset, predicted, settings)
        require_unedited(PARAMS, "selections", name, settings)
    print_result(
        f"select {name}: {made['chosen']} of {made['without_label']} rows without a label, and {made['annotated']} that are "
        f"annotated already, least sure first by {settings.by}"
    )


if __name__ == "__main__":
    main()
