"""Bytes that are predicted from lengths, against what is really written."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from distill.data.dataset import Dataset
from distill.data.rows import Rows
from distill.preparation.prepare import write_dataset
from distill.store.codecs.attention import STORED
from distill.store.codecs.vectors import VECTOR_CODECS
from distill.store.output_names import HEADS
from distill.targets.disk_size import KL_LOST, VARIANCE_LOST, DiskSize
from distill.targets.materialization.outputs import MaterializeSpec
from tests import tiny
from tests.stores import materialize, teacher_for
from tests.target_specs import target_spec

SPLITS = {"train": 1000, "validation": 60, "test": 40}
JOBS = {
    "int8": target_spec(hidden=(0, -1), cls=(1, 2), attention=(2,)),
    "int4": target_spec(hidden=(1,), codec="int4", attention=(1,), attention_as="probabilities-u8"),
    "fp32": target_spec(hidden=(0, 2), codec="fp32", replays_embeddings=False, attention=(1, 2), attention_as="scores-u8"),
    "bf16": target_spec(hidden=(2,), attention=(-1,), attention_as="scores-fp16", codec="bf16", hidden_splits=("train", "test")),
    "small shards": target_spec(hidden=(0, 1), codec="fp16", shard_bytes=2**18),
}


def write(folder: Path, tokenizer: PreTrainedTokenizerFast, *, pairs: bool = False, train: int = 1000) -> Dataset:
    """Rows of 3 to 30 tokens, one in ten of them twice."""
    rng = random.Random(0)

    def split(count: int) -> Rows:
        texts = [" ".join(rng.choices(tiny.WORDS[:30], k=rng.randint(1, 13))) for _ in range(count)]
        texts[: count // 10] = texts[count // 10 : count // 10 * 2]
        seconds = [text[::-1].replace(" ", " w1 ") for text in texts] if pairs else None
        return Rows(texts, seconds, np.arange(count) % 3, np.arange(count))

    folder.mkdir()
    rows = {name: split(count) for name, count in {**SPLITS, "train": train}.items()}
    write_dataset(folder, rows, tiny.LABELS, tiny.settings(max_length=30), tokenizer)
    return Dataset.open(folder)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Dataset:
    return write(tmp_path_factory.mktemp("mixed") / "rows", tokenizer)


def planned(dataset: Dataset, model_type: str = "bert") -> DiskSize:
    with torch.device("meta"):
        model = tiny.bert(width=64, model_type=model_type)
    return DiskSize({split: dataset.rows(split) for split in SPLITS}, model, dataset.task)


def written(folder: Path) -> dict[str, dict[str, int]]:
    """Bytes of each output's files, manifests left out."""
    found: dict[str, dict[str, int]] = {output.name: {} for output in folder.iterdir()}
    for file in folder.rglob("*"):
        if file.suffix in (".arrow", ".safetensors"):
            output, part = file.relative_to(folder).parts[:2]
            found[output][part] = found[output].get(part, 0) + file.stat().st_size
    return found


def require_prediction(plan: DiskSize, folder: Path, job: MaterializeSpec, slack: int = 0) -> None:
    found, expected = written(folder), plan.outputs(job)
    assert {output: set(sizes) for output, sizes in expected.items()} == {output: set(sizes) for output, sizes in found.items()}
    for output, sizes in found.items():
        for part, size in sizes.items():
            assert expected[output][part] == pytest.approx(size, rel=0.02, abs=slack), (output, part)


@pytest.mark.parametrize("name", [*JOBS, "pairs"])
def test_what_is_written_is_what_was_predicted(mixed: Dataset, tmp_path: Path, tokenizer: PreTrainedTokenizerFast, name: str):
    dataset = write(tmp_path / "rows", tokenizer, pairs=True) if name == "pairs" else mixed
    job = JOBS.get(name, JOBS["int8"])
    require_prediction(planned(dataset), materialize(tiny.bert(width=64), dataset, tmp_path / "set", job), job)


@pytest.mark.parametrize(("task", "positions"), [*((task, "masked") for task in tiny.TASKS[2:]), ("masked-lm", "all")])
def test_tokens_and_projections_are_predicted_too(tmp_path: Path, task: str, positions: str):
    dataset = Dataset.open(tiny.prepare_task(tmp_path / "rows", task, sizes=(400, 60, 60)))
    model, job = teacher_for(dataset, "mobilebert"), target_spec(relations=(1, 3), positions=positions, shard_bytes=2**18)
    folder = materialize(model, dataset, tmp_path / "set", job)
    plan = DiskSize({split: dataset.rows(split) for split in SPLITS}, model.to("meta"), task)
    require_prediction(plan, folder, job, slack=200)  # headers of tiny matrices


@pytest.mark.parametrize("model_type", ["roberta", "electra", "mobilebert"])
def test_the_frozen_matrices_of_other_families_are_predicted_too(tmp_path, tokenizer, model_type: str):
    dataset, job = write(tmp_path / "rows", tokenizer, train=40), target_spec(hidden=(0,), attention=(2,))
    found = written(materialize(tiny.bert(width=64, model_type=model_type), dataset, tmp_path / "set", job))
    expected = planned(dataset, model_type).outputs(job)
    for output in ("hidden-00", "attention-02"):
        assert expected[output] == {HEADS: pytest.approx(found[output][HEADS], rel=0.02)}


def test_what_attention_adds_is_the_difference_of_two_sets(mixed: Dataset):
    plan, job = planned(mixed), target_spec(hidden=(1,), attention=(1, 2))
    added = plan.attention(job)
    assert set(added) == {"replay", *STORED}
    outputs, stored = plan.outputs(job), plan.outputs(replace(job, attention_as="scores-fp16"))
    maps = [output for output in stored if output.startswith("attention")]
    assert added["scores-fp16"] == sum(sum(stored[output].values()) for output in maps)
    # Hidden state 1 is kept anyway; of 0 and the attentions only matrices are.
    assert added["replay"] == sum(outputs[output][HEADS] for output in ("hidden-00", "attention-01", "attention-02"))


def test_replay_is_smaller_for_long_rows_and_stored_maps_for_short_ones(tmp_path: Path, tokenizer: PreTrainedTokenizerFast):
    write(tmp_path / "rows", tokenizer, train=40)
    job = target_spec(attention=(2,))
    added = {}
    for length in (4, 400):
        plan = planned(Dataset.open(tmp_path / "rows"))
        plan.lengths = {split: np.full(5000, length) for split in plan.lengths}
        added[length] = plan.attention(job)
    assert min(added[4], key=added[4].__getitem__) == "probabilities-u8"
    assert min(added[400], key=added[400].__getitem__) == "replay"


def test_a_large_set_is_planned_without_memory_for_it(mixed: Dataset):
    plan = planned(mixed)
    plan.lengths = {"train": np.full(100_000, 128)}
    assert plan.total(target_spec(hidden=(1, 2), codec="fp32")) == pytest.approx(100_000 * 128 * (2 * 64 * 4 + 4), rel=0.02)


def test_every_codec_has_its_price():
    assert (set(VARIANCE_LOST), set(KL_LOST)) == (set(VECTOR_CODECS), {"replay", *STORED})
