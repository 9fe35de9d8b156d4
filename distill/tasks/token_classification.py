"""One class a token: entities, slots, parts of speech."""

import numpy as np
import torch
from jaxtyping import Float, Int, Num
from torch import Tensor

from distill.core.arrays import Array
from distill.data.averaging import Kind
from distill.data.dataset import UNLABELLED
from distill.data.tag_schemes import to_bio
from distill.params.task_specs import names_entities
from distill.tasks.base import EvaluationSplit, Mask, Predictions, Task, real_tokens


class TokenClassification(Task):
    """A tag for the first sub-word of each word. Soft targets are those of all real tokens."""

    name = "token-classification"
    scores = ("token_accuracy",)
    """And those of entities, or `macro_f1` where the tags are no entities'."""

    @property
    def averaged_over(self) -> Kind:
        """Real tokens."""
        return "tokens"

    def vectors(self, logits: Float[Tensor, "batch seq classes"], mask: Mask) -> Float[Tensor, "tokens classes"]:
        """Logits of the real tokens, one row after the other."""
        return real_tokens(logits, mask)

    def align_labels(self, labels: Num[Tensor, "batch seq"], mask: Mask) -> Num[Tensor, " tokens"]:
        """Tags of the real tokens."""
        return real_tokens(labels, mask)

    def mean_by_row(self, lines: Float[Tensor, " n"], mask: Int[Tensor, "batch seq"]) -> Float[Tensor, " batch"]:
        """The mean over the tokens of each row that have a target: of given ones, those that words begin with."""
        rows = torch.arange(len(mask), device=lines.device).repeat_interleave(mask.sum(dim=1))
        known, sums = ~lines.isnan(), lines.new_zeros(2, len(mask))
        values = torch.stack([lines.where(known, 0.0), known.to(lines.dtype)])
        total, count = sums.index_add(1, rows, values).unbind()
        return total / count

    def lines(self, kept: Array, split: EvaluationSplit) -> Predictions:
        """The tag of each labelled token."""
        return Predictions.of_classes(kept[split.labelled_tokens], split.rows.labels[split.labelled_tokens])

    def judge(self, kept: Array, split: EvaluationSplit) -> Array:
        """Of each row the tags found rightly, all tags, how many kinds the split has; of each kind found rightly, found, true.

        (rows, 3 + 3 kinds). Entities are one kind, parts of speech a kind each.
        """
        predictions, labels = kept.argmax(axis=1), split.rows.labels
        entities = names_entities(split.labels)
        kinds = 1 if entities else len(split.labels)
        counts = np.zeros((len(split.rows), 3 + 3 * kinds))
        counts[:, 2] = 1 if entities else len(np.unique(labels[labels != UNLABELLED]))
        for row, (start, stop) in enumerate(zip(split.rows.offsets[:-1], split.rows.offsets[1:], strict=True)):
            scored = labels[start:stop] != UNLABELLED
            true, found = labels[start:stop][scored], predictions[start:stop][scored]
            counts[row, :2] = (true == found).sum(), len(true)
            if entities:
                from seqeval.metrics.sequence_labeling import get_entities

                wanted, got = (set(get_entities(list(to_bio([split.labels[tag] for tag in tags])))) for tags in (true, found))
                counts[row, 3:] = len(wanted & got), len(got), len(wanted)
            else:
                parts = (true[true == found], found, true)
                counts[row, 3:] = np.concatenate([np.bincount(tags, minlength=kinds) for tags in parts])
        return counts

    def measures(self, kept: Array, split: EvaluationSplit) -> dict[str, float]:
        """Those that the tags have, and the loss."""
        found, judged = super().measures(kept, split), self.judge(kept, split)
        more = ("entity_f1", "entity_precision", "entity_recall") if names_entities(split.labels) else ("macro_f1",)
        return {**{metric: self.score(metric, judged) for metric in more}, **found}
