"""Recipes on causal-lm: loss and gradients from the store are those with the live teacher, whatever divergence and family."""

from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from distill.core.errors import UserError
from distill.data.averaging import mean_divisors
from distill.data.dataset import Dataset
from distill.losses import in_chunks
from distill.recipes.registry import RECIPES
from distill.store.target_set import TargetStore
from distill.students.objective import objective_and_rows
from distill.targets.materialization.outputs import MaterializeSpec
from tests import tiny
from tests.decoders import decoder, tokenizer
from tests.formulas import gradients, inputs_of, loss_of
from tests.stores import stored
from tests.target_specs import target_spec

JOB = target_spec(hidden=(0, 2, -1), codec="fp32", shard_bytes=3000)
VARIANTS: dict[str, dict[str, Any]] = {
    "forward": {"recipe": "divergence", "temperature": 2.0},
    "reverse": {"recipe": "divergence", "divergence": "reverse-kl", "hard_weight": 0.5},
    "jensen-shannon": {"recipe": "divergence", "divergence": "jensen-shannon", "mixture": 0.3, "soft_weight": 2.0},
    "skewed": {"recipe": "divergence", "divergence": "skewed-kl", "skew": 0.2, "cosine_weight": 0.5},
    "skewed-reverse": {"recipe": "divergence", "divergence": "skewed-reverse-kl", "temperature": 3.0},
    "distilgpt2": {"recipe": "divergence", "temperature": 2.0, "soft_weight": 5.0, "hard_weight": 2.0, "cosine_weight": 1.0},
    "labels": {"recipe": "divergence", "soft_weight": 0.0, "hard_weight": 2.0},
    "cosine": {"recipe": "divergence", "soft_weight": 0.0, "cosine_weight": 3.0},
    "supervised": {"recipe": "supervised"},
    "hinton": {"recipe": "hinton"},
    "fitnets": {"recipe": "fitnets"},
    "tinybert": {"recipe": "tinybert", "stage": "intermediate", "attention_weight": 0.0},
}


class Problem:
    """Blocks of words, a teacher of four layers, a student of two, and the teacher's targets."""

    def __init__(self, folder: Path, family: str, job: MaterializeSpec = JOB) -> None:
        self.dataset = Dataset.open(tiny.prepare_task(folder / "tiny", "causal-lm", tokenizer(), sizes=(30, 8, 8)))
        self.teacher, self.folder = decoder(family, seed=1), folder
        self.store = stored(self.teacher, self.dataset, folder / "targets", job)

    def of(self, store: TargetStore) -> "Problem":
        """The same with another target set."""
        other = copy(self)
        other.store = store
        return other

    def objective(self, variant: str, student: PreTrainedModel, **changed: Any) -> Any:
        torch.manual_seed(7)
        entry = {"dataset": "tiny", "targets": "tiny", "init": {"from": "data/teachers/tiny", "depth": 2}}
        settings = RECIPES[VARIANTS[variant]["recipe"]].model_validate({**entry, **VARIANTS[variant], **changed}, strict=False)
        return objective_and_rows(settings, student, self.dataset, self.store)


@pytest.fixture(scope="module")
def problems(tmp_path_factory):
    return {family: Problem(tmp_path_factory.mktemp(family), family) for family in ("gpt2", "gemma2", "opt")}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(in_chunks, "CHUNK_BYTES", 46 * 4 * 7)


def live(variant: str, student: PreTrainedModel, teacher: PreTrainedModel, batch: Mapping[str, Any], extra: Any) -> Tensor:
    """A variant's loss as its formula has it, in float64, of both models' whole logits."""
    where, asked = batch["labels"] != -100, {**VARIANTS[variant]}
    own = student(**inputs_of(batch), output_hidden_states=True)
    with torch.no_grad():
        theirs = teacher(**inputs_of(batch), output_hidden_states=True)
    z, zt, labels = own.logits[where].double(), theirs.logits[where].double(), batch["labels"][where]
    hs, ht = ([state.double() for state in each.hidden_states] for each in (own, theirs))
    hard = functional.cross_entropy(z, labels)
    real = batch.get("attention_mask", torch.ones_like(batch["labels"])).bool()
    recipe = asked.pop("recipe")
    if recipe == "supervised":
        return hard
    if recipe in ("fitnets", "tinybert"):
        pairs = [(1, 2)] if recipe == "fitnets" else [(0, 0), (1, 2), (2, 4)]
        mapped = [(hs[s] @ extra[0].weight.double().T + extra[0].bias.double(), ht[t]) for s, t in pairs]
        return sum(((s - t)[real] ** 2).mean() for s, t in mapped)
    t = asked.get("temperature", 4.0 if recipe == "hinton" else 1.0)
    p, q = (zt / t).softmax(-1), (z / t).softmax(-1)

    def kl(a: Tensor, b: Tensor) -> Tensor:
        return (a * (a.log() - b.log())).sum(-1).mean() * t**2

    if recipe == "hinton":
        return 0.5 * kl(p, q) + 0.5 * hard
    b, a = asked.get("mixture", 0.5), asked.get("skew", 0.1)
    soft = {
        "forward-kl": lambda: kl(p, q),
        "reverse-kl": lambda: kl(q, p),
        "jensen-shannon": lambda: b * kl(p, b * p + (1 - b) * q) + (1 - b) * kl(q, b * p + (1 - b) * q),
        "skewed-kl": lambda: kl(p, a * p + (1 - a) * q),
        "skewed-reverse-kl": lambda: kl(q, a * q + (1 - a) * p),
    }[asked.get("divergence", "forward-kl")]()
    total = asked.get("soft_weight", 1.0) * soft + asked.get("hard_weight", 0.0) * hard
    if weight := asked.get("cosine_weight"):
        total = total + weight * (1 - functional.cosine_similarity(hs[-1][where], ht[-1][where], dim=-1).mean())
    return total


def close(own: Tensor, reference: Tensor) -> bool:
    return bool((own - reference).norm() <= 2e-5 * reference.norm() + 1e-7)


GRID = [("gpt2", variant) for variant in VARIANTS] + [(f, v) for f in ("gemma2", "opt") for v in ("distilgpt2", "jensen-shannon")]


@pytest.mark.parametrize(("family", "variant"), GRID)
def test_offline_loss_and_gradients_equal_those_with_the_live_teacher(problems, family, variant):
    problem = problems[family]
    student = decoder(family, layers=2, seed=5)
    objective, collator = problem.objective(variant, student)
    for size in (1, 9):
        batch = collator(np.random.default_rng(size).permutation(len(collator))[:size].tolist())
        expected = live(variant, student, problem.teacher, batch, objective.extra_modules)
        loss, values = loss_of(objective, student, batch)
        torch.testing.assert_close(loss.double(), expected.double(), rtol=1e-5, atol=1e-6)
        assert close(gradients(objective, student, loss), gradients(objective, student, expected).float())
        assert all(value.isfinite() for value in values.values())


@pytest.mark.parametrize("variant", ["distilgpt2", "reverse"])
def test_parts_of_a_batch_and_their_order_change_nothing(problems, variant):
    student = decoder(layers=2, seed=5)
    objective, collator = problems["gpt2"].objective(variant, student)
    last = len(collator) - 1  # the short one
    rows = [1, 0, 2, last, 4, 6]
    expected, values = loss_of(objective, student, collator(rows))
    torch.testing.assert_close(loss_of(objective, student, collator(rows[::-1]))[0], expected, rtol=1e-5, atol=1e-6)
    parts = [collator(part) for part in (rows[:1], rows[1:4], rows[4:])]
    losses = [loss_of(objective, student, {**part, "divisors": mean_divisors(parts)})[0] for part in parts]
    torch.testing.assert_close(torch.stack(losses).mean(), expected, rtol=1e-5, atol=1e-6)
    assert set(values) == (
        {"soft_targets", "hard_labels", "cosine"} if variant == "distilgpt2" else {"soft_targets", "hard_labels"}
    )


def test_int8_states_turn_the_gradient_by_very_little(problems, tmp_path):
    problem, found = problems["gpt2"], []
    student = decoder(layers=2, seed=5)
    coarse = stored(problem.teacher, problem.dataset, tmp_path / "int8", target_spec(codec="int8"))
    for each in (problem, problem.of(coarse)):
        objective, collator = each.objective("distilgpt2", student)
        found.append(gradients(objective, student, loss_of(objective, student, collator(list(range(9))))[0]))
    assert not torch.equal(*found)
    assert functional.cosine_similarity(*found, dim=0) > 0.999


@pytest.mark.parametrize(
    ("variant", "shape", "complaint"),
    [
        ("distilgpt2", {"width": 8}, "student's are 8 wide, the teacher's 16; set cosine_weight: 0"),
        ("forward", {"vocab_size": 50}, "chooses among 50 words, the teacher among 46: .* give the student vocab_size: 46"),
        ("forward", {"family": "cohere"}, r"logits of a CohereForCausalLM \('cohere'\) cannot be replayed"),
    ],
)
def test_students_that_cannot_be_compared_are_refused(problems, variant, shape, complaint):
    with pytest.raises(UserError, match=complaint):
        problems["gpt2"].objective(variant, decoder(layers=2, **shape))


def test_a_narrower_student_of_another_family_learns_from_the_logits(problems):
    student = decoder("llama", layers=1, width=8, seed=3)
    objective, collator = problems["gpt2"].objective("forward", student)
    batch = collator([0, 3, 5])
    loss = loss_of(objective, student, batch)[0]
    torch.testing.assert_close(
        loss.double(), live("forward", student, problems["gpt2"].teacher, batch, None), rtol=1e-5, atol=1e-6
    )


PARTS = {"top-k": {"logits_as": "top-k", "top_k": 8}, "draws": {"logits_as": "draws", "draws": 5}}


def in_part(problem: Problem, folder: Path, **job: Any) -> Problem:
    return problem.of(stored(problem.teacher, problem.dataset, folder, target_spec(shard_bytes=3000, **job)))


@pytest.mark.parametrize("family", ["gpt2", "gemma2", "opt"])
def test_the_likeliest_of_all_tokens_in_fp32_are_the_live_teacher_s_distributions(problems, tmp_path, family):
    problem = in_part(problems[family], tmp_path / "all", logits_as="top-k", top_k=46, codec="fp32")
    student = decoder(family, layers=2, seed=5)
    objective, collator = problem.objective("forward", student, temperature=1.0, hard_weight=0.5)
    for size in (1, 9):
        batch = collator(np.random.default_rng(size).permutation(len(collator))[:size].tolist())
        where = batch["labels"] != -100
        z = student(**inputs_of(batch)).logits[where].double()
        with torch.no_grad():
            p = problem.teacher(**inputs_of(batch)).logits[where].double().softmax(-1)
        hard = functional.cross_entropy(z, batch["labels"][where])
        expected = (p * (p.log() - z.log_softmax(-1))).sum(-1).mean() + 0.5 * hard
        loss, _ = loss_of(objective, student, batch)
        torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-6)
        assert close(gradients(objective, student, loss), gradients(objective, student, expected).float())


def test_the_mean_gradient_over_seeds_of_draws_comes_near_to_the_live_one_and_that_of_few_tokens_does_not(problems, tmp_path):
    student, rows = decoder(layers=2, seed=5), [0, 3, 5, 8]
    objective, collator = problems["gpt2"].objective("forward", student, temperature=1.0)
    exact = gradients(objective, student, loss_of(objective, student, collator(rows))[0])

    def gradient(name: str, **job: Any) -> Tensor:
        objective, collator = in_part(problems["gpt2"], tmp_path / name, **job).objective("forward", student, temperature=1.0)
        return gradients(objective, student, loss_of(objective, student, collator(rows))[0])

    drawn = torch.stack([gradient(f"draws-{seed}", logits_as="draws", draws=2, draw_seed=seed) for seed in range(24)])
    errors = [float((drawn[:count].mean(0) - exact).norm() / exact.norm()) for count in (1, 6, 24)]
    assert errors[1] < 0.6 * errors[0]
    assert errors[2] < 0.6 * errors[1]
    few = gradient("top", logits_as="top-k", top_k=2)
    assert float((few - exact).norm() / exact.norm()) > errors[2]


@pytest.mark.parametrize("kept", PARTS)
def test_parts_of_a_batch_change_nothing_where_distributions_are_kept_in_part(problems, tmp_path, kept):
    student = decoder(layers=2, seed=5)
    problem = in_part(problems["gpt2"], tmp_path / kept, **PARTS[kept])
    objective, collator = problem.objective("forward", student, temperature=1.0, hard_weight=1.0)
    rows = [1, 0, 2, 4, 6]
    expected, values = loss_of(objective, student, collator(rows))
    assert set(values) == {"soft_targets", "hard_labels"}
    torch.testing.assert_close(loss_of(objective, student, collator(rows[::-1]))[0], expected, rtol=1e-5, atol=1e-6)
    parts = [collator(part) for part in (rows[:1], rows[1:])]
    losses = [loss_of(objective, student, {**part, "divisors": mean_divisors(parts)})[0] for part in parts]
    torch.testing.assert_close(torch.stack(losses).mean(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kept", PARTS)
def test_what_asks_for_more_than_a_part_is_refused_and_so_is_another_vocabulary(problems, tmp_path, kept):
    problem = in_part(problems["gpt2"], tmp_path / kept, **PARTS[kept])
    with pytest.raises(UserError, match="divergence: reverse-kl asks for the whole .* set divergence: forward-kl, or logits_as"):
        problem.objective("reverse", decoder(layers=2))
    with pytest.raises(UserError, match="chooses among 50 words, the teacher among 46"):
        problem.objective("forward", decoder(layers=2, vocab_size=50), temperature=1.0)
