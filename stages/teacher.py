"""data/prepared/DATASET → data/teachers/NAME/"""

from pathlib import Path

import click

from distill.core.console import PARAMS, command, print_result
from distill.core.files import SCRATCH, to_json, write_text
from distill.core.settings import load_entry
from distill.params.training import TeacherSettings


@command
@click.argument("name")
def main(name: str) -> None:
    """Fine-tune the teacher NAME, by one process or by those of `torchrun`; a killed run goes on from its last epoch."""
    settings = load_entry(PARAMS, "teachers", name, TeacherSettings)
    from distill.core.recorded import refuse_to_compute_again

    refuse_to_compute_again(f"teacher@{name}")
    from transformers import set_seed

    from distill.core.locations import checkpoint_place
    from distill.data.batching import Collator
    from distill.data.dataset import Dataset
    from distill.data.tokenizers import load_tokenizer
    from distill.models.loading import load_model, save_model
    from distill.models.predict import tune
    from distill.models.probing import require_trainable
    from distill.tasks.base import EvaluationSplit
    from distill.tasks.registry import task_of
    from distill.training.distributed import written_once
    from distill.training.objective import supervised
    from distill.training.trainer import run_key, train

    dataset = Dataset.open(Path("data/prepared", settings.dataset))
    checkpoint = settings.checkpoint
    place = checkpoint_place(checkpoint.hub, checkpoint.path, checkpoint.package)
    with written_once(Path("data/teachers", name)) as folder:
        set_seed(settings.seed)
        task, validation = task_of(dataset.task), EvaluationSplit.from_dataset(dataset, "validation")
        model = load_model(place, task, dataset.labels, new_head=settings.epochs > 0, revision=checkpoint.revision)
        require_trainable(model, dataset, str(place))
        rows = Collator(dataset.rows("train"), labelled_only=True)
        trained = train(
            model,
            rows,
            validation,
            settings,
            supervised(task),
            seed=settings.seed,
            metric=dataset.metric,
            scratch=SCRATCH / "training" / f"teachers-{name}-{run_key(settings, dataset, rows, model)}",
            title=f"teacher {name}",
        )
        if folder is None:
            return
        tune(model, task, validation)
        save_model(folder, model, load_tokenizer(place, checkpoint.revision), dataset)
    write_text(Path("data/runs/teachers", f"{name}.json"), to_json(trained.record(settings.seed)))
    best = f"best epoch {trained.best_epoch:g}, validation {dataset.metric} {trained.best_score or 0:.4f}"
    print_result(f"teacher {name}: {best}, {trained.seconds:.0f} s")


if __name__ == "__main__":
    main()
