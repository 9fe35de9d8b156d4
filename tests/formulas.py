"""Every recipe's loss as its paper has it, written out: float64, with the live teacher in the loop, and without padding."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid
from transformers import AttentionInterface, AttentionMaskInterface, AutoConfig, PreTrainedModel
from transformers.masking_utils import eager_mask

from distill.data.batching import Collator
from distill.data.dataset import Dataset, PreparedRows
from distill.models.loading import model_class
from distill.params.students import StudentSettings
from distill.recipes.registry import RECIPES
from distill.store.target_set import TargetStore
from distill.students.objective import objective_and_rows
from distill.targets.materialization.outputs import MaterializeSpec
from distill.tasks.registry import task_of
from distill.training.objective import DistillationModel, Objective
from tests import tiny
from tests.stores import materialize
from tests.target_specs import target_spec

JOB = target_spec(hidden=(0, 2, -1), cls=(2, 3), attention=(2, -1), relations=(-1,), codec="fp32", shard_bytes=3000)
"""What the variants read of a teacher of four layers."""
VARIANTS: dict[str, dict[str, Any]] = {
    "supervised": {},
    "hinton": {},
    "logit_mse": {"hard_weight": 0.4},
    "annealing_kd": {"max_temperature": 4},
    "distilbert": {},
    "tinybert-intermediate": {"stage": "intermediate", "attention_weight": 0.5, "embedding_weight": 2.0},
    "tinybert-prediction": {"stage": "prediction", "temperature": 2.0, "hard_weight": 0.3},
    "mobilebert-transfer": {"stage": "transfer", "mean_weight": 50.0},
    "mobilebert-distill": {"stage": "distill", "alpha": 0.3, "temperature": 2.0},
    "pkd": {},
    "pkd-last": {"strategy": "last", "alpha": 0.2, "beta": 500.0, "temperature": 5.0},
    "fitnets": {},
    "minilm": {"relation_heads": 4, "key_weight": 0.5},
    "minilm-1": {"version": 1, "value_weight": 2.0},
    "margin_mse": {"hard_weight": 0.5},
    "listwise": {"temperature": 0.5, "hard_weight": 0.3},
}
OF_VECTORS: dict[str, dict[str, Any]] = {
    "cosine": {},
    "embedding_mse": {"sizes": [4, 8]},
    "embedding_mse-pca": {"projection": "pca"},
    "similarity_kl": {"sizes": [3], "temperature": 0.3},
    "leaf": {},
}
"""Those of sentence embedding, which has no labels."""
TRUNKS = ("tinybert-intermediate", "mobilebert-transfer", "fitnets", "minilm", "minilm-1")
"""Those that teach hidden states and attention alone, whatever the task."""
NARROW = ("embedding_mse-pca", "similarity_kl", "pkd-last", *TRUNKS)
"""Variants whose student may be narrower than its teacher."""
RANKED = ("margin_mse", "listwise")
"""Variants of ranking alone."""
ROWS = 60
SEEN: list[tuple[Tensor, ...]] = []
"""Queries, keys and values, (batch, heads, seq, size), that `recorded` saw in one forward pass, layer after layer."""


def settings(variant: str, **changed: object) -> StudentSettings:
    """A student's settings."""
    entry = {"dataset": "tiny", "targets": "tiny", "init": {"from": "data/teachers/tiny", "depth": 2}}
    recipe = variant.partition("-")[0]
    return RECIPES[recipe].model_validate(
        {"recipe": recipe, **entry, **(VARIANTS | OF_VECTORS)[variant], **changed}, strict=False
    )


def random_model(dataset: Dataset, layers: int, width: int = 16, seed: int = 0, heads: int = 2, **more: Any) -> PreTrainedModel:
    """A random BERT with the head of the data set's task, its weights far from 0."""
    torch.manual_seed(seed)
    config = AutoConfig.for_model(
        "bert",
        vocab_size=dataset.vocabulary,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=2 * width,
        max_position_embeddings=64,
        num_labels=max(1, len(dataset.labels)),
        pad_token_id=dataset.pad_token,
        initializer_range=0.2,
        **more,
    )
    return model_class(task_of(dataset.task)).from_config(config).eval()


class Problem:
    """A task's tiny data set, a teacher of four layers, and its targets."""

    def __init__(self, folder: Path, task: str, job: MaterializeSpec = JOB):
        self.task, self.folder = task, folder
        self.dataset = Dataset.open(tiny.prepare_task(folder / "tiny", task, sizes=(ROWS, 8, 8)))
        self.teacher = random_model(self.dataset, layers=4, seed=1)
        self.store = self.kept(job, "targets")

    def kept(self, job: MaterializeSpec, name: str) -> TargetStore:
        return TargetStore.open(materialize(self.teacher, self.dataset, self.folder / name, job))

    def student(self, variant: str = "hinton") -> PreTrainedModel:
        return random_model(self.dataset, layers=2, width=8 if variant in NARROW else 16, seed=5)

    def objective(
        self, variant: str, student: PreTrainedModel, store: TargetStore | None = None, **changed: object
    ) -> tuple[Objective, Collator]:
        """The objective of a student, and what makes its batches."""
        torch.manual_seed(7)
        return objective_and_rows(settings(variant, **changed), student, self.dataset, store or self.store)

    def setup(self, variant: str, mixed: bool = False) -> tuple[PreTrainedModel, Objective, Collator]:
        """A student, its objective, and what makes its batches; if `mixed`, two rows of three are transfer rows."""
        student = self.student(variant)
        objective, rows = self.objective(variant, student)
        return student, objective, Collator(self.mixed, rows.targets or None) if mixed else rows

    @cached_property
    def mixed(self) -> PreparedRows:
        """The training rows, two of three without their labels, which masked language models keep."""
        rows = self.dataset.rows("train")
        taken, labels = (np.arange(len(rows)) if rows.groups is None else rows.groups) % 3 > 0, rows.labels.copy()
        if self.task != "masked-lm":
            labels[np.repeat(taken, rows.lengths) if len(labels) > len(rows) else taken] = (
                np.nan if labels.dtype.kind == "f" else -100
            )
        return replace(rows, labels=labels)

    def labels_expected(self, batch: Sequence[int]) -> float | None:
        """How many of a batch's lines should have a label, if rows are mixed."""
        if self.task == "masked-lm":
            return None
        rows = self.mixed
        if rows.groups is not None:
            return float(np.isin(rows.groups, batch).sum() * np.isfinite(rows.labels).mean())
        if self.task != "token-classification":
            return len(batch) * (2 if self.task == "question-answering" else 1) * len(rows.labels[::3]) / len(rows)
        tags = [int((part != -100).sum()) for part in np.split(rows.labels, rows.offsets[1:-1])]
        a_token = sum(tags) / rows.lengths[::3].sum()
        lines = [own or a_token * tokens for own, tokens in zip(tags, rows.lengths.tolist(), strict=True)]
        return sum(tags) / sum(lines) * sum(lines[row] for row in batch)


def problems_in(new_folder: Callable[[str], Path], job: MaterializeSpec = JOB) -> Callable[[str], Problem]:
    """By task: a problem, made when it is first asked for."""
    return cache(lambda task: Problem(new_folder(task), task, job))


def loss_of(objective: Objective, student: PreTrainedModel, batch: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
    return DistillationModel(student, objective)(batch)


def gradients(objective: Objective, student: PreTrainedModel, loss: Tensor) -> Tensor:
    """Of the student's parameters and the objective's own, in one vector."""
    parameters = [*DistillationModel(student, objective).parameters()]
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return torch.cat([torch.zeros(p.numel()) if g is None else g.flatten() for p, g in zip(parameters, found, strict=True)])


def recorded(module, query, key, value, attention_mask, scaling, **_):
    """Attention as its formula has it, which keeps what it is made of."""
    SEEN.append((query, key, value))
    scores = query @ key.transpose(-1, -2) * scaling
    weights = (scores if attention_mask is None else scores + attention_mask).softmax(-1)
    return (weights @ value).transpose(1, 2).contiguous(), weights


AttentionInterface.register("recorded", recorded)
AttentionMaskInterface.register("recorded", eager_mask)


def answer_of(outputs: Any) -> Tensor:
    """Logits, or vectors."""
    return outputs.sentence_embedding if "sentence_embedding" in outputs else outputs.logits


def inputs_of(batch: Mapping[str, Any]) -> dict[str, Tensor]:
    """What a model reads."""
    return {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids") if name in batch}


@dataclass(frozen=True)
class Observed:
    """All of a model's forward pass, in float64."""

    logits: Tensor
    """(batch, classes), or (batch, seq, classes)"""
    hidden: Sequence[Tensor]
    layers: Sequence[tuple[Tensor, ...]]
    """Queries, keys and values."""

    @classmethod
    def of(cls, model: PreTrainedModel, batch: Mapping[str, Any]) -> "Observed":
        SEEN.clear()
        before = model.config._attn_implementation
        model.set_attn_implementation("recorded")
        outputs = model(**inputs_of(batch), output_hidden_states=True)
        model.set_attn_implementation(before)
        spans = hasattr(outputs, "start_logits")
        logits = torch.stack([outputs.start_logits, outputs.end_logits], dim=-1) if spans else answer_of(outputs)
        layers = [tuple(part.double() for part in layer) for layer in SEEN]
        return cls(logits.double(), [state.double() for state in outputs.hidden_states], layers)

    def cut(self, layer: int, projection: int, heads: int) -> Tensor:
        """Projections of a layer, counted from 1, cut anew: (batch, heads, seq, size)."""
        joined = self.layers[layer - 1][projection].transpose(1, 2).flatten(2)
        return joined.unflatten(2, (heads, -1)).transpose(1, 2)


@dataclass(frozen=True)
class Formulas:
    """The terms of all recipes, for one batch."""

    task: str
    own: Observed
    theirs: Observed
    labels: Tensor
    mask: Tensor
    """(batch, seq) bool: real tokens."""
    every_token: bool = False
    """Whether soft targets of a masked language model are those of all tokens."""
    groups: Tensor | None = None
    """Ranking: (batch,) the query that each row is of."""
    progress: float = 0.0
    """The share of all steps that is done."""
    labels_expected: float | None = None
    """How many of the lines should have a label; by default as many as have one."""

    def lines(self) -> list[tuple[Tensor, Tensor, Tensor]]:
        """The student's logits, the teacher's, and the label, of all that is predicted."""
        own, theirs, labels = self.own.logits, self.theirs.logits, self.labels
        if self.task in ("sequence-classification", "multi-label", "regression", "ranking"):
            return list(zip(own, theirs, labels, strict=True))
        if self.task == "question-answering":
            rows = range(len(own))
            return [(own[i, self.mask[i], e], theirs[i, self.mask[i], e], labels[i, e]) for e in (0, 1) for i in rows]
        where = self.mask if self.task == "token-classification" or self.every_token else labels != -100
        return list(zip(own[where], theirs[where], labels[where], strict=True))

    def hard(self) -> Tensor:
        """The sum over what has a label, divided by how many should have one; 0 where nothing has."""
        if self.task == "multi-label":
            cross = binary_cross_entropy_with_logits
            found = [cross(s, y.double()) for s, _, y in self.lines() if (y != -100).all()]
        elif self.task == "ranking":
            found = [-y * logsigmoid(s[0]) - (1 - y) * logsigmoid(-s[0]) for s, _, y in self.lines() if not y.isnan()]
        elif self.task == "regression":
            found = [(s[0] - y) ** 2 for s, _, y in self.lines() if not y.isnan()]
        else:
            found = [-s.log_softmax(-1)[y] for s, _, y in self.lines() if y != -100]
        return torch.stack(found).sum() / (self.labels_expected or len(found)) if found else 0 * self.own.logits.sum()

    def soft(self, temperature: float, entropy: bool = True) -> Tensor:
        """T²·KL; without `entropy` the cross-entropy, which lacks T²."""
        if self.task in ("regression", "ranking"):
            return torch.stack([(s - t) ** 2 for s, t, _ in self.lines()]).mean()
        if self.task == "multi-label":
            own, chances = (torch.stack([line[i] for line in self.lines()]) / temperature for i in (0, 1))
            chances, cross = chances.sigmoid(), binary_cross_entropy_with_logits
            value = cross(own, chances)
            return (value - cross(chances.logit(), chances)) * temperature**2 if entropy else value
        found = []
        for s, t, _ in self.lines():
            p, log_q = (t / temperature).softmax(-1), (s / temperature).log_softmax(-1)
            found.append((p * (p.log() - log_q)).sum() * temperature**2 if entropy else -(p * log_q).sum())
        return torch.stack(found).mean()

    def squared(self, share: float = 1.0) -> Tensor:
        """The squared error from a share of the teacher's logits; of multi-label from that of "yes", for that of "no" is 0."""
        if self.task == "multi-label":
            return ((self.own.logits - share * self.theirs.logits) ** 2).mean() / 2
        return torch.stack([((s - share * t) ** 2).mean() for s, t, _ in self.lines()]).mean()

    def queries(self) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Of each query its passages' scores, the student's and the teacher's, and their labels."""
        parts = [self.groups == group for group in self.groups.unique()]
        return [(self.own.logits[part, 0], self.theirs.logits[part, 0], self.labels[part]) for part in parts]

    def margins(self) -> Tensor:
        found = []
        for s, t, y in self.queries():
            two = [(i, j) for i in range(len(s)) for j in range(len(s)) if (i < j if y.isnan().all() else y[i] > y[j])]
            squares = [((s[i] - s[j]) - (t[i] - t[j])) ** 2 for i, j in two]
            found.append(sum(squares) / len(squares) if two else 0 * s.sum())
        return torch.stack(found).mean()

    def listwise(self, temperature: float) -> Tensor:
        found = []
        for s, t, _ in self.queries():
            p, q = (t / temperature).softmax(0), (s / temperature).softmax(0)
            found.append((p * (p / q).log()).sum() * temperature**2)
        return torch.stack(found).mean()

    def states(self, layer: int, teacher_layer: int, projection: Any) -> Tensor:
        mapped = self.own.hidden[layer] @ projection.weight.double().T + projection.bias.double()
        return ((mapped - self.theirs.hidden[teacher_layer])[self.mask] ** 2).mean()

    def transfer(self, layer: int, teacher_layer: int, projection: Any) -> Tensor:
        s = (self.own.hidden[layer] @ projection.weight.double().T + projection.bias.double())[self.mask]
        t = self.theirs.hidden[teacher_layer][self.mask]
        means, variances = [x.mean(-1) for x in (s, t)], [x.var(-1, correction=0) for x in (s, t)]
        normal = [(x - m[:, None]) / (v[:, None] + 1e-5).sqrt() for x, m, v in zip((s, t), means, variances, strict=True)]
        features, mean = ((normal[0] - normal[1]) ** 2).mean(), ((means[0] - means[1]) ** 2).mean()
        gap = (variances[0] - variances[1]).abs().mean()
        return 100 * features + 50 * mean + 5 * gap + divergence(self.attention(layer, teacher_layer))

    def cosine(self) -> Tensor:
        s, t = self.own.hidden[-1][self.mask], self.theirs.hidden[-1][self.mask]
        return 1 - ((s * t).sum(-1) / s.norm(dim=-1) / t.norm(dim=-1)).mean()

    def patience(self, layer: int, teacher_layer: int, projection: Any = None) -> Tensor:
        s, t = self.own.hidden[layer][:, 0], self.theirs.hidden[teacher_layer][:, 0]
        s = s if projection is None else s @ projection.weight.double().T + projection.bias.double()
        return ((s / s.norm(dim=-1, keepdim=True) - t / t.norm(dim=-1, keepdim=True)) ** 2).mean()

    def scores(self, left: tuple[Tensor, Tensor], right: tuple[Tensor, Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Left·rightᵀ/√d of the student and of the teacher, a row: (heads, tokens, tokens), real tokens alone."""
        found = []
        for i, real in enumerate(self.mask):
            pair = [x[i][:, real] @ y[i][:, real].transpose(1, 2) / x.shape[-1] ** 0.5 for x, y in zip(left, right, strict=True)]
            found.append((pair[0], pair[1]))
        return found

    def attention(self, layer: int, teacher_layer: int) -> list[tuple[Tensor, Tensor]]:
        own, theirs = self.own.layers[layer - 1], self.theirs.layers[teacher_layer - 1]
        return self.scores((own[0], theirs[0]), (own[1], theirs[1]))

    def relation(self, projection: int, heads: int) -> list[tuple[Tensor, Tensor]]:
        cut = self.own.cut(len(self.own.layers), projection, heads), self.theirs.cut(len(self.theirs.layers), projection, heads)
        return self.scores(cut, cut)

    def of(self, variant: str, trained: Any) -> Tensor:
        """A variant's loss; `trained` are its projections."""
        match variant:
            case "supervised":
                return self.hard()
            case "hinton":
                return 0.5 * self.hard() + 0.5 * self.soft(4.0)
            case "logit_mse":
                return self.squared() + 0.4 * self.hard()
            case "annealing_kd":
                return self.squared((1 + int(4 * self.progress)) / 4)
            case "distilbert":
                return 5 * self.soft(2.0) + 2 * self.hard() + self.cosine()
            case "tinybert-intermediate":
                states = self.states(1, 2, trained[0]) + self.states(2, 4, trained[0]) + 2 * self.states(0, 0, trained[0])
                return states + 0.5 * (squares(self.attention(1, 2)) + squares(self.attention(2, 4)))
            case "tinybert-prediction":
                return self.soft(2.0, entropy=False) + 0.3 * self.hard()
            case "mobilebert-transfer":
                return self.transfer(1, 2, trained[0]) + self.transfer(2, 4, trained[0])
            case "mobilebert-distill":
                return 0.3 * self.hard() + 0.7 * self.soft(2.0)
            case "pkd":
                return 0.5 * self.hard() + 0.5 * self.soft(10.0) + 100 * self.patience(1, 2)
            case "pkd-last":
                return 0.8 * self.hard() + 0.2 * self.soft(5.0) + 500 * self.patience(1, 3, trained[0])
            case "fitnets":
                return self.states(1, 2, trained[0])
            case "minilm":
                return sum(weight * divergence(self.relation(i, 4)) for i, weight in enumerate((1.0, 0.5, 1.0)))
            case "margin_mse":
                return self.margins() + 0.5 * self.hard()
            case "listwise":
                return self.listwise(0.5) + 0.3 * self.hard()
            case "minilm-1":
                return divergence(self.attention(2, 4)) + 2 * divergence(self.relation(2, 2))
        return self.of_vectors(variant, trained)

    def of_vectors(self, variant: str, axes: Any) -> Tensor:
        """Those of sentence embedding; `axes` are the principal ones of the teacher's vectors."""
        s, t = self.own.logits, self.theirs.logits
        match variant:
            case "cosine":
                return torch.stack([1 - a @ b / a.norm() / b.norm() for a, b in zip(s, t, strict=True)]).mean()
            case "embedding_mse":
                return torch.stack([((s - t)[:, :size] ** 2).mean() for size in (4, 8, 16)]).mean()
            case "embedding_mse-pca":
                return ((s - t @ axes.double()) ** 2).mean()
            case "similarity_kl":
                return (alike(s, t, 0.3) + alike(s[:, :3], t, 0.3)) / 2
            case "leaf":
                return (s - t).norm(dim=1).mean()
        raise AssertionError(variant)


def alike(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """The mean KL between how alike each row is to the others; 0 of one row."""
    if len(student) == 1:
        return 0 * student.sum()
    found = []
    for i in range(len(student)):
        others = [j for j in range(len(student)) if j != i]
        cosines = [torch.stack([v[i] @ v[j] / v[i].norm() / v[j].norm() for j in others]) for v in (student, teacher)]
        q, p = [(part / temperature).softmax(0) for part in cosines]
        found.append((p * (p / q).log()).sum())
    return torch.stack(found).mean()


def squares(rows: list[tuple[Tensor, Tensor]]) -> Tensor:
    """The mean squared difference of all pairs of tokens."""
    return torch.cat([((s - t) ** 2).flatten() for s, t in rows]).mean()


def divergence(rows: list[tuple[Tensor, Tensor]]) -> Tensor:
    """The mean over heads and queries of KL(teacher ‖ student)."""
    found = []
    for s, t in rows:
        p, q = t.softmax(-1), s.softmax(-1)
        found.append((p * (p / q).log()).sum(-1).flatten())
    return torch.cat(found).mean()


def live_loss(task: str, variant: str, student: PreTrainedModel, teacher: PreTrainedModel, batch: Any, trained: Any, **how: Any):
    """A recipe's loss on a batch with the teacher in the loop, float64."""
    own = Observed.of(student, batch)
    with torch.no_grad():
        theirs = Observed.of(teacher, batch)
    mask = batch.get("attention_mask", torch.ones_like(batch["input_ids"])).bool()
    return Formulas(task, own, theirs, batch["labels"], mask, groups=batch.get("groups"), **how).of(variant, trained)
