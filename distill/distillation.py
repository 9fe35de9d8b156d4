"""Training a student from the store, for each of its seeds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase, set_seed

from distill.auditing import row_weights
from distill.batches import Collator
from distill.errors import UserError
from distill.models import load_for, save_model
from distill.objectives import Objective
from distill.params.students import SampleWeight, Shapes, StudentSettings
from distill.prepared import Dataset
from distill.recipes.base import HARD_LABELS, Step, Term, terms_of, total
from distill.targets.maps import PROBABILITIES
from distill.targets.reader import TargetStore
from distill.targets.schema import LOGITS, kind_of
from distill.tasks.base import Gold, Task
from distill.tasks.catalogue import task_of
from distill.tasks.masked import MaskedLm
from distill.training import Trained, run_key, train


def recipe_terms(settings: StudentSettings, student: PreTrainedModel, store: TargetStore) -> tuple[Term, ...]:
    """The recipe's terms for this student under the teacher whose targets the store holds.

    Raises:
        UserError: a term cannot compare the two, or reads what the store lacks.
    """
    width = {kind_of(name)[0]: manifest.width for name, manifest in store.manifests.items()}
    config = student.config
    shapes = Shapes(
        student_layers=config.num_hidden_layers,
        student_width=config.hidden_size,
        teacher_layers=store.teacher_layers,
        teacher_width=width.get("hidden", width.get("cls")),
        student_heads=config.num_attention_heads,
        teacher_heads=width.get("attention"),
        teacher_scores=all(manifest.codec != PROBABILITIES for manifest in store.manifests.values()),
    )
    terms = terms_of(settings, shapes)
    for term in terms:
        for output in term.reads:
            store.manifest(output)
    return terms


def objective_of(terms: tuple[Term, ...], task: Task, earlier_share: float | None = None) -> Objective:
    """The loss of a batch from its outputs and targets.

    Each term is a mean over what it compares (rows, real tokens, masked positions), so a batch that is split into parts has
    the same gradient where the parts have equally many of them.
    """

    def loss(outputs: Any, batch: Mapping[str, Any], attention: Mapping[int, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        mask, labels = batch.get("attention_mask", torch.ones_like(batch["input_ids"])), batch["labels"]
        weights = batch.get("weights")
        step = Step(
            task=task,
            logits=task.align(task.raw(outputs), mask),
            labels=task.align_labels(labels, mask),
            weights=None if weights is None else task.align_labels(like(weights, labels), mask),
            targets=batch.get("targets", {}),
            mask=mask,
            padded="attention_mask" in batch,
            hidden=outputs.hidden_states or (),
            attention=attention,
            turn=batch.get("turn"),
        )
        return total(terms, step)

    modules = {id(term.trains): term.trains for term in terms if term.trains is not None}
    return Objective(
        task,
        loss,
        reads_hidden=any(term.reads_student_hidden for term in terms),
        reads_attention=tuple(sorted({layer for term in terms for layer in term.reads_student_attention})),
        trained=nn.ModuleList(modules.values()) if modules else None,
        earlier_share=earlier_share,
    )


def like(weights: Float[Tensor, " batch"], labels: Num[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
    """A row's weight for each of its labels."""
    return weights.view(-1, *[1] * (labels.dim() - 1)).expand(labels.shape)


def task_for(dataset: Dataset, store: TargetStore) -> Task:
    """The data set's task; of masked-lm at every token, if the store keeps the teacher's logits of them all."""
    task = task_of(dataset.task)
    logits = store.manifests.get(LOGITS)
    every_token = isinstance(task, MaskedLm) and logits is not None and logits.per == "token"
    return MaskedLm(every_token=True) if every_token else task


def target_collator(
    dataset: Dataset, store: TargetStore, terms: tuple[Term, ...], sample_weight: SampleWeight | None = None
) -> Collator:
    """Batches of the training rows with what the terms read, and the rows' weights if they have any.

    Raises:
        UserError: the store was not made from these rows, or is damaged; or nothing can be weighted.
    """
    outputs = sorted({output for term in terms for output in term.reads})
    for output in outputs:
        store.require(dataset, ["train"], output)
    targets = {output: store.output(output, "train") for output in outputs}
    if sample_weight is None:
        return Collator(dataset.rows("train"), targets)
    if not any(term.name == HARD_LABELS for term in terms):
        raise UserError("sample_weight: weighs rows in the loss against the labels, which this student has not; set it to null")
    return Collator(dataset.rows("train"), targets, row_weights(dataset, store, sample_weight.model_dump()))


def distill_student(
    newborn: Path, dataset: Dataset, store: TargetStore, settings: StudentSettings, folder: Path | None, scratch: Path, title: str
) -> dict[int, Trained]:
    """Train a student once a seed. The best goes to `folder` (None writes nothing), the others to `folder/seeds/SEED`.

    The best is that of the highest validation score; where no head is trained, that of the lowest training loss.

    Raises:
        UserError: student, data set, store and recipe do not fit each other, or the loss diverges.
    """
    runs: dict[int, Trained] = {}
    models: dict[int, tuple[PreTrainedModel, PreTrainedTokenizerBase]] = {}
    for seed in settings.seeds:
        set_seed(seed)
        student, tokenizer = load_for(newborn, dataset)
        terms = recipe_terms(settings, student, store)
        rows = target_collator(dataset, store, terms, settings.sample_weight)
        read = sorted({*rows.targets} if rows.weights is None else {*rows.targets, LOGITS})
        key = run_key(settings, dataset, student, str([store.manifest(output) for output in read]))
        runs[seed] = train(
            student,
            rows,
            Gold.of(dataset, "validation"),
            settings,
            objective_of(terms, task_for(dataset, store), settings.earlier_share),
            seed=seed,
            metric=dataset.metric,
            scratch=scratch / f"{seed}-{key}",
            title=title if len(settings.seeds) == 1 else f"{title} (seed {seed})",
            keep="best" if settings.trains_head else "last",
        )
        models[seed] = (student.cpu(), tokenizer)
    if folder is None:
        return runs
    best = max(runs, key=lambda seed: runs[seed].merit)
    for seed, model in models.items():
        save_model(folder if seed == best else folder / "seeds" / str(seed), *model, dataset.max_length)
    return runs
