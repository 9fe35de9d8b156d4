"""data/prepared/DATASET → data/teachers/NAME/"""

import shutil
from pathlib import Path

import click

from distill.core.console import PARAMS, command, print_result
from distill.core.files import SCRATCH, to_json, write_text
from distill.core.settings import load_entry, require_unedited
from distill.params.training import TeacherSettings


@command
@click.argument("name")
def main(name: str) -> None:
    """Fine-tune the teacher NAME, by one process or by those of `torchrun`; a killed run goes on from its last epoch."""
    settings = load_entry(PARAMS, "teachers", name, TeacherSettings)
    from distill.core.recorded import refuse_to_compute_again

    refuse_to_compute_again(f"teacher@{name}")
    from distill.data.dataset import Dataset
    from distill.data.tokenizers import load_tokenizer
    from distill.models.loading import save_model
    from distill.models.predict import tune
    from distill.tasks.registry import task_of
    from distill.training.distributed import written_once
    from distill.training.fine_tuning import FineTuning

    dataset, scratch = Dataset.open(Path("data/prepared", settings.dataset)), SCRATCH / "training" / f"teachers-{name}"
    with written_once(Path("data/teachers", name)) as folder:
        run = FineTuning(dataset, settings, f"teacher {name}", scratch)
        model, trained = run.run()
        if folder is None:
            return
        tune(model, task_of(dataset.task), run.validation)
        save_model(folder, model, load_tokenizer(run.place, settings.checkpoint.revision), dataset)
        require_unedited(PARAMS, "teachers", name, settings)
    write_text(Path("data/runs/teachers", f"{name}.json"), to_json(trained.record(settings.seed)))
    print_result(f"teacher {name}: {trained.summary(dataset.metric)}")
    shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
