"""What a store has of the teacher for the rows that students are scored on: of all of them, of some, or of none."""

from dataclasses import dataclass, replace

import numpy as np
from transformers import PreTrainedModel

from distill.core.arrays import Array
from distill.core.numeric import length_batches
from distill.data.averaging import labels_a_row
from distill.data.batching import pad_batch, pad_labels
from distill.data.dataset import UNLABELLED, Dataset, PreparedRows
from distill.models.evaluating import evaluating
from distill.models.predict import CAUSAL_BATCH_TOKENS, forward_of
from distill.store.output_names import LIKELIEST, LOGITS
from distill.store.readers import OutputReader
from distill.store.target_set import TargetStore
from distill.tasks.base import EvaluationSplit, Task, closeness, real_tokens
from distill.tasks.registry import task_of
from distill.tasks.sentence_embedding import is_scored

STORED_ROWS, STORED_LOGITS = 64, 2**26
"""Rows read from the store at once, and logits: a vocabulary's are many."""


@dataclass(frozen=True)
class TeacherAnswers:
    """What a store has of the teacher for a split."""

    split: EvaluationSplit
    """The rows that have answers."""
    kept: Array
    """What scoring needs of them, in the form of `predict`."""
    lines: Array | None
    """The places of these rows' vectors among those of all rows; None if these are all."""

    @classmethod
    def of(
        cls, store: TargetStore, task: Task, dataset: Dataset, test: EvaluationSplit, validation: EvaluationSplit
    ) -> "tuple[TeacherAnswers | None, TeacherAnswers | None]":
        """Those of the test rows and of the validation rows, both as tuned on the latter; None where none has one."""
        found, before = (
            cls.read(store, task, dataset, name, split) for name, split in (("test", test), ("validation", validation))
        )
        config = {} if before is None or not task.tunes else task.tune(before.kept, before.split)
        tuned = [None if each is None else replace(each, kept=task.tuned(each.kept, config)) for each in (found, before)]
        return tuned[0], tuned[1]

    @classmethod
    def read(cls, store: TargetStore, task: Task, dataset: Dataset, name: str, split: EvaluationSplit) -> "TeacherAnswers | None":
        """Those of the rows of `split`, all or some of the data set's split `name`, with whatever thresholds are usual.

        Labels count where there is an answer: of tags, words may have none, and then rows with no other word are left out.
        """
        if LIKELIEST in store.manifests and LOGITS not in store.manifests:  # given, of training rows alone
            return None
        if name not in store.manifest(LOGITS).splits:  # what a teacher computes has all of them
            return None
        store.require(dataset, [name])
        reader, per = store.output(LOGITS, name), store.manifest(LOGITS).per
        known = np.flatnonzero(reader.find(split.rows.ids) >= 0)
        if task.spec.embeds and not is_scored(split):  # pairs of any rows are compared, so that none is left out
            vectors = reader.spread(split.rows.ids).numpy()
            return cls(task.expecting(split, task.judge(vectors, split)), vectors, None) if len(known) else None
        lines = None
        if len(known) < len(split.rows):
            split, lines = split.part(known), split.rows.lines(known)
        return cls(split, stored(reader, task, split.rows, per), lines).labelled() if len(known) else None

    def labelled(self) -> "TeacherAnswers | None":
        """These without labels of lines that have no answer, NaN, and without rows that have no other; None if none is left."""
        rows = self.split.rows
        if not rows.labels_per_token or len(self.kept) != len(rows.labels):
            return self
        lacking = np.asarray(np.isnan(self.kept).reshape(len(self.kept), -1).any(axis=1))
        if not (lacking & (rows.labels != UNLABELLED)).any():
            return self
        split = replace(self.split, rows=rows.without_labels(lacking))
        chosen = np.flatnonzero(labels_a_row(split.rows))
        places = rows.lines(chosen)
        lines = places if self.lines is None else self.lines[places]
        return TeacherAnswers(split.part(chosen), self.kept[places], lines) if len(chosen) else None

    def rows_of(self, kept: Array) -> Array:
        """A student's predictions of all rows, for those that have answers."""
        return kept if self.lines is None else kept[self.lines]


def score_answers(store: TargetStore, dataset: Dataset) -> dict[str, dict[str, float]]:
    """By split the scores of a set's answers on the rows that have a label, as if a model had given them; thresholds are 0.5."""
    task, found = task_of(dataset.task), {}
    for name in store.manifest(LOGITS).splits:
        whole = EvaluationSplit.from_dataset(dataset, name)
        labelled = whole.part(np.flatnonzero(labels_a_row(whole.rows)))
        answers = TeacherAnswers.read(store, task, dataset, name, labelled) if len(labelled.rows) else None
        if answers is not None:
            found[name] = task.measures(answers.kept, answers.split)
    return found


def kl_from_teacher(model: PreTrainedModel, task: Task, store: TargetStore, name: str, rows: PreparedRows) -> float:
    """KL(teacher ‖ student) of a language model's distributions over the vocabulary, nats a token that is to be predicted.

    The student is run again: what `predict` keeps of it is less than its distributions.
    """
    reader, forward = store.output(LOGITS, name), forward_of(model, task)
    places, total, count = reader.locate(rows.ids), 0.0, 0
    for chosen in length_batches(rows.lengths, CAUSAL_BATCH_TOKENS):
        batch, labels = pad_batch(rows, chosen), pad_labels(rows, chosen)
        where, vectors = task.positions(labels, batch.get("attention_mask")), reader.gather(places[chosen])
        if where is not None and store.manifest(LOGITS).per == "token":
            vectors = vectors[real_tokens(where, batch.get("attention_mask"))]
        with evaluating(model):
            logits = forward(batch, where).cpu()
        total += closeness(logits.numpy(), vectors.numpy())["kl_from_teacher"] * len(logits)
        count += len(logits)
    return total / count


def stored(reader: OutputReader, task: Task, rows: PreparedRows, per: str) -> Array:
    """What scoring needs of the teacher's logits over all rows, from the store; in the form of `predict`.

    `per` is what the set has one vector of; a masked-lm set may have them of every token, of which the masked ones count.
    """
    places = reader.locate(rows.ids)
    parts = []
    a_row = int(reader.lengths[places].max()) * reader.gather(places[:1]).shape[1]
    step = min(STORED_ROWS, max(1, STORED_LOGITS // a_row))
    for start in range(0, len(rows), step):
        chosen = np.arange(start, min(start + step, len(rows)))
        mask, labels = pad_batch(rows, chosen).get("attention_mask"), pad_labels(rows, chosen)
        vectors, wanted = reader.gather(places[chosen]), task.positions(labels, mask)
        if wanted is not None and per == "token":
            vectors = vectors[real_tokens(wanted, mask)]
        parts.append(task.kept(vectors, labels, mask).numpy())
    return np.concatenate(parts)
