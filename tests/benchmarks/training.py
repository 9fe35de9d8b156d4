"""A student's training steps: from the store, from RAM, with hard labels alone, with the live teacher in the loop."""

import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from distill.data.batching import Collator
from distill.data.dataset import PreparedRows
from distill.data.prefetch import Prefetched
from distill.models.attention import capture_attention
from distill.params.students import Shapes
from distill.recipes.registry import RECIPES
from distill.recipes.terms.terms import Term, terms_of
from distill.store.codecs.attention import AttentionCodec
from distill.store.output_names import LOGITS, attention_output, hidden_output, kind_of
from distill.store.readers import OutputReader, OutputReaders, ReplayedOutput
from distill.store.replay.attention import attention_weights
from distill.students.objective import objective_of
from distill.targets.materialization.forward import run_teacher
from distill.tasks.registry import task_of
from tests.benchmarks.harness import Figure, classifier, interleave, random_rows, ratio
from tests.benchmarks.stores import InRam, ManyMaps, random_store

ROWS, BATCH, LONGEST, WIDTH, LAYERS, HEADS = 192, 32, 64, 768, 12, 12
STUDENTS = {"3 × 384": (3, 384), "6 × 768": (6, 768)}
UNIT = "ratio of epochs"


def terms_for(recipe: str, layers: int, width: int) -> tuple[Term, ...]:
    """A recipe's terms, as params.yaml's defaults have them."""
    entry = {"dataset": "x", "targets": "x", "init": {"from": "data/teachers/x"}, "recipe": recipe}
    settings = RECIPES[recipe].model_validate(entry | ({"stage": "intermediate"} if recipe == "tinybert" else {}))
    student = {"student_layers": layers, "student_width": width, "student_heads": HEADS}
    teacher = {"teacher_layers": LAYERS, "teacher_width": WIDTH, "teacher_heads": HEADS, "teacher_scores": True}
    return terms_of(settings, Shapes(**student, **teacher))


def epoch(
    size: tuple[int, int], terms: tuple[Term, ...], collator: Collator, teacher: PreTrainedModel | None = None
) -> Callable[[], None]:
    """A function that trains a student for one epoch, as the trainer does: the next batch is gathered by a thread."""
    student, objective = classifier(*size).train(), objective_of(terms, task_of("sequence-classification"))
    trained = [*student.parameters(), *([] if objective.extra_modules is None else objective.extra_modules.parameters())]
    optimizer = torch.optim.AdamW(trained, lr=1e-5, fused=True)
    reads = sorted({output for term in terms for output in term.reads})

    def run() -> None:
        batches = Prefetched((collator(range(start, start + BATCH)) for start in range(0, ROWS, BATCH)), ahead=1)
        for batch in batches:
            inputs = {name: batch[name] for name in ("input_ids", "attention_mask") if name in batch}
            if teacher is not None:
                batch["targets"] = live_targets(teacher, inputs, reads)
            with capture_attention(student, objective.reads_attention) as attention:
                outputs = student(**inputs, output_hidden_states=objective.reads_hidden)
            loss, _ = objective.loss(outputs, batch, attention)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        batches.close()

    return run


def live_targets(teacher: PreTrainedModel, inputs: Mapping[str, Any], reads: list[str]) -> dict[str, Any]:
    """What the store would give, from the teacher itself."""
    layers = sorted({layer for output in reads if (layer := kind_of(output)[1]) is not None})
    attention = [layer for output in reads if (layer := kind_of(output)[1]) and kind_of(output)[0] == "attention"]
    with capture_attention(teacher, attention) as captured:
        logits, hidden = run_teacher(teacher, inputs, layers, "fp32")
    found: dict[str, Any] = {LOGITS: logits} | {hidden_output(layer): states for layer, states in hidden.items()}
    return found | {attention_output(layer): captured[layer].clone() for layer in attention}


def stores(folder: Path, rows: PreparedRows, terms: tuple[Term, ...], teacher: PreTrainedModel) -> dict[str, dict[str, Any]]:
    """What TinyBERT's terms read: from shards with stored maps, with replayed ones, and from RAM."""
    reads = sorted({output for term in terms for output in term.reads})
    maps = {output: AttentionCodec("scores-u8", HEADS) for output in reads if output.startswith("attention")}
    below = {output: hidden_output((kind_of(output)[1] or 0) - 1) for output in maps}
    hidden = [output for output in reads if output not in maps]
    found = random_store(folder, rows, dict.fromkeys([*hidden, *below.values()]) | maps, WIDTH)
    replayed: dict[str, OutputReader] = {
        output: ReplayedOutput(found[source], attention_weights(teacher, kind_of(output)[1] or 0), output)
        for output, source in below.items()
    }
    return {
        "stored": {output: found[output] for output in reads},
        "replayed": {output: found[output] for output in hidden} | replayed,
        "ram": {output: ManyMaps(found[output]) if output in maps else InRam(found[output]) for output in reads},
    }


def reading(terms: tuple[Term, ...], collator: Collator, teacher: PreTrainedModel) -> Callable[[], None]:
    """A function that runs the teacher alone over an epoch's batches."""
    reads = sorted({output for term in terms for output in term.reads})

    def run() -> None:
        for start in range(0, ROWS, BATCH):
            batch = collator(range(start, start + BATCH))
            live_targets(teacher, {name: batch[name] for name in ("input_ids", "attention_mask") if name in batch}, reads)

    return run


def share_of_bound(seconds: Mapping[str, list[float]]) -> Figure:
    """How much of (teacher + step) / step an epoch with the live teacher / one from the store is.

    The step is one with targets in RAM. What a teacher costs in the loop beyond its own pass may bring more than 1. Medians over
    rounds, of times of the same round.
    """
    rounds = list(zip(*(seconds[name] for name in ("live", "stored", "teacher", "ram")), strict=True))
    bound = statistics.median((teacher + ram) / ram for _, _, teacher, ram in rounds)
    share = statistics.median(live / stored * ram / (teacher + ram) for live, stored, teacher, ram in rounds)
    return Figure(share, ">= 0.95", f"of bound {bound:.2f}")


def logits_alone(folder: Path, rows: PreparedRows) -> dict[str, Figure]:
    """A 3 × 384 student on logits, against hard labels alone and against targets in RAM."""
    reader = random_store(folder, rows, {LOGITS: None}, WIDTH)
    hinton, size = terms_for("hinton", 3, 384), STUDENTS["3 × 384"]
    arms = {
        "hard labels": epoch(size, terms_for("supervised", 3, 384), Collator(rows)),
        "ram": epoch(size, hinton, Collator(rows, OutputReaders({LOGITS: InRam(reader[LOGITS])}))),
        "store": epoch(size, hinton, Collator(rows, OutputReaders(reader))),
    }
    seconds = interleave(arms, 9, "training on logits")
    return {
        "training on logits from the store / hard labels only": ratio(seconds, "store", "hard labels", "<= 1.05", UNIT),
        "training on logits from the store / targets in RAM": ratio(seconds, "store", "ram", "<= 1.03", UNIT),
    }


def measure(folder: Path) -> dict[str, Figure]:
    """The ratios of docs/store.md's table."""
    rows = random_rows(ROWS, LONGEST)
    teacher = classifier(LAYERS, WIDTH)
    figures = logits_alone(folder / "logits", rows)
    for name, size in STUDENTS.items():
        terms = terms_for("tinybert", *size)
        sources = stores(folder / name, rows, terms, teacher)
        arms = {kind: epoch(size, terms, Collator(rows, OutputReaders(targets))) for kind, targets in sources.items()}
        seconds = interleave(arms, 7, f"training {name}")
        alone = {"live": epoch(size, terms, Collator(rows), teacher), "teacher": reading(terms, Collator(rows), teacher)}
        live = interleave({kind: arms[kind] for kind in ("stored", "ram")} | alone, 5, "live teacher")
        what = f"TinyBERT's terms, {name} student"
        most = {"3 × 384": "<= 1.15", "6 × 768": "<= 1.05"}[name]
        figures |= {
            f"{what}: stored maps / RAM": ratio(seconds, "stored", "ram", "<= 1.03", UNIT),
            f"{what}: replayed maps / RAM": ratio(seconds, "replayed", "ram", most, UNIT),
            f"{what}: live 12 × 768 teacher / stored maps": share_of_bound(live),
        }
    return figures
