"""What a student is trained on: the recipe's terms as its loss, with what they read of the store for each training row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from distill.audit.confident_learning import KINDS, lines_of, train_logits, worst_lines
from distill.core.arrays import Array
from distill.core.errors import UserError
from distill.data.averaging import shares
from distill.data.batching import Collator
from distill.data.dataset import Dataset
from distill.models.bi_encoder import reads_apart
from distill.models.causal_heads import softcap_of
from distill.models.sentence_encoder import vector_size
from distill.params.students import SampleWeight, Shapes, StudentSettings
from distill.recipes.terms.terms import LastStates, Step, Term, terms_of, total
from distill.store.codecs.attention import PROBABILITIES
from distill.store.output_names import DRAWS, IN_PART, LIKELIEST, LOGITS, TRANSFORM, kind_of
from distill.store.replay.logits import LinearHead, vocabulary_head
from distill.store.target_set import TargetStore
from distill.students.row_divergences import row_divergences
from distill.tasks.base import HARD_LABELS, Task
from distill.tasks.masked_lm import MaskedLm
from distill.tasks.registry import task_of
from distill.training.objective import Objective

SAMPLED = 16_384
"""Vectors of the teacher that a projection is made from."""


def recipe_terms(settings: StudentSettings, student: PreTrainedModel, store: TargetStore) -> tuple[Term, ...]:
    """The recipe's terms for this student and the teacher whose targets the store holds."""
    width = {kind_of(name)[0]: manifest.width for name, manifest in store.manifests.items()}
    config = student.config
    shapes = Shapes(
        student_layers=config.num_hidden_layers,
        student_width=config.hidden_size,
        teacher_layers=store.teacher_layers,
        teacher_width=width.get("hidden", width.get("cls")),
        student_heads=getattr(config, "num_attention_heads", 0),
        teacher_heads=width.get("attention"),
        teacher_state_width=width.get(TRANSFORM),
        logits_as="top-k" if LIKELIEST in store.manifests else "draws" if DRAWS in store.manifests else "replay",
        teacher_scores=all(manifest.codec != PROBABILITIES for manifest in store.manifests.values()),
        student_size=vector_size(student),
        teacher_size=width.get(LOGITS),
        teacher_vectors=lambda: store.output(LOGITS, "train").some(SAMPLED),
    )
    terms = terms_of(settings, shapes)
    states = any(term.reads_student_hidden or term.reads_student_attention for term in terms)
    if reads_apart(config) and (reason := settings.no_bi_encoder(reads_states=states)):
        raise UserError(reason)
    for term in terms:
        for output in term.reads:
            store.manifest(output)
    return terms


def objective_of(
    terms: tuple[Term, ...], task: Task, earlier_layers_lr_scale: float | None = None, heads: "VocabularyHeads | None" = None
) -> Objective:
    """The loss of a batch from its outputs and targets. `heads` are there if terms read last states in place of logits.

    Each term is a mean over what it compares (rows, real tokens, masked positions) in the whole optimizer step, of which a batch
    may be a part; labels are divided by how many a step is expected to hold: distill/data/averaging.py.
    """

    def loss(outputs: Any, batch: Mapping[str, Any], attention: Mapping[int, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        return total(terms, step_of(task, outputs, batch, attention, heads))

    modules = {id(term.trains): term.trains for term in terms if term.trains is not None}
    return Objective(
        task,
        loss,
        reads_hidden=any(term.reads_student_hidden for term in terms),
        reads_last_states=heads is not None,
        reads_attention=tuple(sorted({layer for term in terms for layer in term.reads_student_attention})),
        row_divergences=partial(row_divergences, task),
        extra_modules=nn.ModuleList(modules.values()) if modules else None,
        earlier_layers_lr_scale=earlier_layers_lr_scale,
    )


def step_of(
    task: Task, outputs: Any, batch: Mapping[str, Any], attention: Mapping[int, Tensor], heads: "VocabularyHeads | None"
) -> Step:
    """What terms read of a batch: a student's outputs, the labels and the targets, one for each compared position."""
    mask, labels = batch.get("attention_mask", torch.ones_like(batch["input_ids"])), batch["labels"]
    weights = batch.get("weights")
    if weights is not None:  # a row's is that of each of its labels
        weights = weights.view(-1, *[1] * (labels.dim() - 1)).expand(labels.shape)
    last = None if heads is None else heads.of(outputs.last_hidden_state, task.positions(labels, mask))
    return Step(
        task=task,
        logits=task.align(task.raw(outputs), mask) if last is None else last.states[:, :0],
        last=last,
        labels=task.align_labels(labels, mask),
        weights=None if weights is None else task.align_labels(weights, mask),
        targets=batch.get("targets", {}),
        groups=batch.get("groups"),
        mask=mask,
        padded="attention_mask" in batch,
        hidden=outputs.hidden_states or (),
        attention=attention,
        current_layer=batch.get("current_layer"),
        progress=batch.get("progress", 0.0),
        gaps="gaps" in batch,
        shares=shares(batch),
    )


@dataclass
class VocabularyHeads:
    """How a student's last hidden states and its teacher's become logits."""

    student: PreTrainedModel
    teacher: LinearHead | None
    """None if nothing of the teacher's is read."""

    @classmethod
    def find(cls, student: PreTrainedModel, store: TargetStore, outputs: Sequence[str]) -> "VocabularyHeads":
        """Refuse a student whose logits are more than its output embedding times these states, or are of another vocabulary."""
        own, found = vocabulary_head(student), store.replay_weights(LOGITS) if TRANSFORM in outputs else None
        words = next((store.manifest(output).width for output in IN_PART if output in outputs), len(own.weight))
        sizes = [len(own.weight), len(found.weight) if isinstance(found, LinearHead) else words]
        given = store.teacher_layers == 0  # its words are those of the tokenizer, of which a model may have some more
        if sizes[0] < sizes[1] or (sizes[0] > sizes[1] and not given):
            raise UserError(
                f"the student chooses among {sizes[0]} words, the teacher among {sizes[1]}: they cannot be compared; give the "
                f"student vocab_size: {sizes[1]}, or take its embeddings from the teacher"
            )
        return cls(student, found if isinstance(found, LinearHead) else None)

    def of(self, states: Float[Tensor, "batch seq hidden"], where: Bool[Tensor, "batch seq"] | None) -> LastStates:
        """Those of the tokens that are to be predicted."""
        embedding: Any = self.student.get_output_embeddings()
        if self.teacher is not None and self.teacher.weight.device != states.device:
            moved = {name: getattr(self.teacher, name).to(states.device) for name in ("weight", "bias")}
            self.teacher = replace(self.teacher, **moved)
        teacher = self.teacher.logits if self.teacher is not None else torch.zeros_like
        return LastStates(states[where], embedding.weight, embedding.bias, softcap_of(self.student), teacher)


def objective_and_rows(
    settings: StudentSettings, student: PreTrainedModel, dataset: Dataset, store: TargetStore
) -> tuple[Objective, Collator]:
    """What is minimized, and the training rows that it reads anything of; projections begin at torch's current random state.

    On masked-lm data, logits are compared at every token if the store keeps the teacher's logits of them all.
    """
    terms = recipe_terms(settings, student, store)
    outputs = sorted({output for term in terms for output in term.reads})
    for output in outputs:
        store.require(dataset, ["train"], output)
    if settings.hardest_of > 1 and (reason := settings.no_hardest(dataset.spec, reads_logits=LOGITS in outputs)):
        raise UserError(f"hardest_of: {reason}")
    labels = [term.name == HARD_LABELS for term in terms]
    weights = None
    if settings.sample_weight is not None:
        if reason := settings.no_weights(dataset.spec, learns_labels=any(labels)):
            raise UserError(f"sample_weight: {reason}")
        weights = row_weights(dataset, store, settings.sample_weight)
    task, logits = task_of(dataset.task), store.manifests.get(LOGITS)
    if isinstance(task, MaskedLm) and logits is not None and logits.per == "token":
        task = MaskedLm(every_token=True)
    heads = VocabularyHeads.find(student, store, outputs) if any(term.reads_last_states for term in terms) else None
    objective = objective_of(terms, task, settings.earlier_layers_lr_scale, heads)
    reads = {"labelled_only": all(labels), "reads_labels": any(labels)}
    targets = store.outputs(outputs, "train")
    return objective, Collator(dataset.rows("train"), targets, weights, hardest_of=settings.hardest_of, **reads)


def row_weights(dataset: Dataset, store: TargetStore, weights: SampleWeight) -> Array:
    """What each training row weighs, by its kind in the audit, (rows,) float32; 1 where it has no label, or a kind no weight."""
    rows = dataset.rows("train")
    lines = worst_lines(lines_of(dataset, rows, train_logits(dataset, store), dataset.texts("train").get("context", [])))
    by_row = np.ones(len(rows), np.float32)
    by_row[lines.rows] = [getattr(weights, KINDS[kind], 1.0) for kind in lines.kinds]
    return by_row
