"""Training a student from the store, for each of its seeds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase, set_seed

from distill.batches import Collator
from distill.models import load_for, save_model
from distill.params.students import StudentSettings
from distill.prepared import Dataset
from distill.recipes.base import Shapes, Step, Term, total
from distill.recipes.catalogue import terms_of
from distill.targets.reader import TargetStore
from distill.training import Objective, Trained, run_key, train


def recipe_terms(settings: StudentSettings, student: PreTrainedModel, store: TargetStore) -> tuple[Term, ...]:
    """The recipe's terms for this student under the teacher whose targets the store holds.

    Raises:
        UserError: a term cannot compare the two, or reads what the store lacks.
    """
    widths = [store.manifests[name].width for name in store.manifests if name.startswith("hidden")]
    shapes = Shapes(
        student.config.num_hidden_layers, student.config.hidden_size, store.teacher_layers, widths[0] if widths else None
    )
    terms = terms_of(settings, shapes)
    for term in terms:
        for output in term.reads:
            store.manifest(output)
    return terms


def objective_of(terms: tuple[Term, ...]) -> Objective:
    """The loss of a batch from its outputs and targets."""

    def objective(outputs: Any, batch: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        step = Step(
            logits=outputs.logits,
            labels=batch["labels"],
            targets=batch.get("targets", {}),
            hidden=outputs.hidden_states or (),
            attention_mask=batch.get("attention_mask"),
        )
        return total(terms, step)

    return objective


def target_collator(dataset: Dataset, store: TargetStore, terms: tuple[Term, ...]) -> Collator:
    """Batches of the training rows with what the terms read.

    Raises:
        UserError: the store was not made from these rows, or is damaged.
    """
    outputs = sorted({output for term in terms for output in term.reads})
    for output in outputs:
        store.require(dataset, ["train"], output)
    return Collator(dataset.rows("train"), {output: store.output(output, "train") for output in outputs})


def distill_student(
    newborn: Path,
    dataset: Dataset,
    store: TargetStore,
    settings: StudentSettings,
    folder: Path,
    scratch: Path,
    title: str,
) -> dict[int, Trained]:
    """Train a student once a seed. The best on the validation split goes to `folder`, the others to `folder/seeds/SEED`.

    Raises:
        UserError: student, data set, store and recipe do not fit each other, or the loss diverges.
    """
    runs: dict[int, Trained] = {}
    models: dict[int, tuple[PreTrainedModel, PreTrainedTokenizerBase]] = {}
    for seed in settings.seeds:
        set_seed(seed)
        student, tokenizer = load_for(newborn, dataset)
        terms = recipe_terms(settings, student, store)
        runs[seed] = train(
            student,
            target_collator(dataset, store, terms),
            Collator(dataset.rows("validation")),
            settings,
            seed=seed,
            metric=dataset.metric,
            scratch=scratch / f"{seed}-{run_key(settings, dataset, student)}",
            title=title if len(settings.seeds) == 1 else f"{title} (seed {seed})",
            objective=objective_of(terms),
            with_hidden=any(term.reads_student_hidden for term in terms),
        )
        models[seed] = (student.cpu(), tokenizer)
    best = max(settings.seeds, key=lambda seed: runs[seed].best_score)
    for seed, (student, tokenizer) in models.items():
        save_model(folder if seed == best else folder / "seeds" / str(seed), student, tokenizer)
    return runs
