"""Every stage that takes CUDA: what it computes there is what it computes on the CPU, in fp32 and bf16."""

import copy
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import accelerate.data_loader
import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from distill.audit.certainty import seen_logits
from distill.augmentation.fill_mask import Refiller
from distill.augmentation.words import whole_words
from distill.core.devices import best_device
from distill.data.dataset import Dataset
from distill.evaluation.evaluate import measure_student, measure_teacher
from distill.models.folds import FurtherTeachers
from distill.models.loading import set_labels
from distill.models.predict import predict
from distill.params.training import TeacherSettings
from distill.prediction.model import open_model
from distill.recipes.registry import RECIPES
from distill.store.target_set import TargetStore
from distill.targets.materialization.forward import Teacher, open_teacher
from distill.targets.materialization.materialize import Materializer
from distill.targets.verification.live import compare
from distill.tasks.registry import task_of
from distill.training.cross_fitting import train_further
from distill.training.fine_tuning import FineTuning
from tests import decoders, tiny
from tests.distilling import distil
from tests.formulas import JOB, random_model, settings
from tests.gpu.devices import DEVICES, only
from tests.stores import assembled, fingerprints, gathered, stored
from tests.target_specs import target_spec
from tests.words import masked_lm, wordpiece

NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
"""A GPU draws other random numbers."""
FP32, BF16 = 1e-3, 0.05
"""How far two devices may be apart after some steps of training, and bf16 from fp32, as a share."""
VARIANTS = ("hinton", "minilm", "tinybert-intermediate", "mobilebert-transfer", "pkd", "fitnets")


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    """A device that stages find within the test."""
    with only(request.param):
        yield request.param


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, tokenizer, dataset) -> Path:
    """Of three layers, without dropout."""
    model = tiny.bert(layers=3, **NO_DROPOUT)
    set_labels(model.config, dataset.labels)
    return tiny.save(model, tmp_path_factory.mktemp("checkpoint") / "model", tokenizer)


@pytest.fixture(scope="module")
def big(dataset) -> PreTrainedModel:
    """A teacher on the CPU whose outputs differ from row to row."""
    return random_model(dataset, layers=4, seed=1)


@pytest.fixture(scope="module")
def targets(tmp_path_factory, dataset, big) -> TargetStore:
    """All that students read of it, computed on the CPU."""
    return stored(big, dataset, tmp_path_factory.mktemp("targets") / "tiny", JOB)


def tuned(dataset: Dataset, checkpoint: Path, **how: Any) -> tuple[list[float], torch.Tensor]:
    """A teacher's losses, and its logits in the end."""
    entry = {"dataset": "tiny", "checkpoint": {"path": str(checkpoint)}, "epochs": 2, "batch_size": 8, "learning_rate": 3e-3}
    run = FineTuning(
        dataset,
        TeacherSettings.model_validate({**entry, "precision": "fp32", **how}),
        "teacher tiny",
        checkpoint.parent / "scratch",
    )
    model, trained = run.run()
    assert model.device.type == best_device().type
    return losses(trained.history), logits_of(model, dataset)


def losses(history: list[dict[str, float]]) -> list[float]:
    return [entry["loss"] for entry in history if "loss" in entry]


def logits_of(model: PreTrainedModel, dataset: Dataset) -> torch.Tensor:
    return torch.from_numpy(np.asarray(predict(model, task_of(dataset.task), dataset.rows("test"), "test")))


def taught(dataset: Dataset, targets: TargetStore, chosen: Any, student: PreTrainedModel) -> tuple[list[float], PreTrainedModel]:
    """A student's losses, and itself."""
    trained, _ = distil(dataset, targets, Path("scratch"), chosen, student)
    assert student.device.type == best_device().type
    return losses(trained.history), student


def close(found: Any, expected: Any, share: float) -> None:
    """Within a share of the largest."""
    found, expected = torch.as_tensor(found, device="cpu"), torch.as_tensor(expected, device="cpu")
    torch.testing.assert_close(found, expected, rtol=share, atol=share * float(expected.abs().max()))


@pytest.mark.parametrize(("precision", "share"), [("fp32", FP32), ("bf16", BF16)])
def test_a_teacher_is_fine_tuned_as_on_the_cpu(device, dataset, checkpoint, precision, share):
    found = tuned(dataset, checkpoint, precision=precision)
    with only("cpu"):
        expected = tuned(dataset, checkpoint)
    close(found[0], expected[0], share)
    close(found[1], expected[1], 2 * share)


@pytest.mark.parametrize("kind", ["folds", "seeds"])
def test_further_teachers_answer_as_on_the_cpu_what_they_have_seen_and_what_not(device, dataset, checkpoint, kind, tmp_path):
    how = {"folds": 2} if kind == "folds" else {"seeds": (2,)}
    entry = {"dataset": "tiny", "checkpoint": {"path": str(checkpoint)}, "epochs": 1, "precision": "fp32", **how}
    (tmp_path / "folds").mkdir()
    train_further(dataset, TeacherSettings.model_validate(entry), "tiny", tmp_path / "folds", tmp_path / "scratch")
    further, stores, seen = FurtherTeachers.open(tmp_path / "folds"), [], []
    for place in (device, "cpu"):
        with only(place):
            teacher, folder = open_teacher(checkpoint, dataset, tmp_path / "folds"), tmp_path / f"targets-{len(stores)}"
            made = Materializer(teacher, dataset, target_spec(), folder.with_suffix(".scratch"))
            made.run()
            stores.append(TargetStore.open(assembled(made, folder)))
            if kind == "folds":
                seen.append(torch.from_numpy(seen_logits(dataset, further, dataset.rows("train"))))
    ids = dataset.rows("train").ids
    close(*(gathered(store, "logits", "train", ids) for store in stores), FP32)
    if kind == "folds":
        close(*seen, FP32)  # of the audit


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("codec", ["fp32", "int8", "int4"])
def test_targets_made_on_the_device_are_the_cpus_and_what_is_replayed_is_what_the_device_computes(
    device, dataset, big, codec, precision, tmp_path
):
    job = target_spec(
        hidden=JOB.hidden, cls=JOB.cls, attention=JOB.attention, relations=JOB.relations, codec=codec, precision=precision
    )
    there = copy.deepcopy(big).to(best_device())
    store = stored(there, dataset, tmp_path / "tiny", job)
    for live in (big, there):
        differences = compare(store, Teacher(live, fingerprints(dataset)), dataset, 30)
        assert all(each.worst <= 1 for each in differences), differences


@pytest.mark.parametrize(
    ("device", "variant"),
    [*(("cpu", each) for each in VARIANTS[:2]), *(pytest.param("cuda", each, marks=pytest.mark.gpu) for each in VARIANTS)],
    indirect=["device"],
)
def test_a_student_is_trained_as_on_the_cpu(device, dataset, targets, variant):
    def run(**how: Any) -> tuple[list[float], PreTrainedModel]:
        chosen = settings(variant, batch_size=8, epochs=2, learning_rate=3e-3, **{"precision": "fp32", **how})
        return taught(dataset, targets, chosen, random_model(dataset, layers=2, seed=5, **NO_DROPOUT))

    found, half = run(), run(precision="bf16")
    with only("cpu"):
        expected = run()
    close(found[0], expected[0], FP32)
    close(logits_of(found[1], dataset), logits_of(expected[1], dataset), 5 * FP32)
    close(half[0], found[0], BF16)


def test_a_decoder_learns_from_replayed_logits_on_the_device(device, tmp_path):
    dataset = Dataset.open(tiny.prepare_task(tmp_path / "tiny", "causal-lm", decoders.tokenizer(), sizes=(30, 8, 8)))
    store = stored(decoders.decoder(seed=1).to(best_device()), dataset, tmp_path / "targets", target_spec(codec="fp32"))
    entry = {"recipe": "divergence", "dataset": "tiny", "targets": "tiny", "init": {"from": "data/teachers/tiny", "depth": 2}}
    chosen = RECIPES["divergence"].model_validate({**entry, "epochs": 2, "precision": "fp32"}, strict=False)
    found = taught(dataset, store, chosen, decoders.decoder(layers=2, seed=5))[0]
    with only("cpu"):
        close(found, taught(dataset, store, chosen, decoders.decoder(layers=2, seed=5))[0], FP32)


def test_batches_are_gathered_by_a_thread_and_copied_from_pinned_memory(device, dataset, targets, monkeypatch):
    seen: list[tuple[str, bool]] = []
    send = accelerate.data_loader.send_to_device

    def watched(batch: Any, *arguments: Any, **how: Any) -> Any:
        if isinstance(batch, dict) and "targets" in batch:
            tensors = [batch["input_ids"], *batch["targets"].values()]
            seen.append((threading.current_thread().name, all(each.is_pinned() for each in tensors if torch.is_tensor(each))))
        return send(batch, *arguments, **how)

    monkeypatch.setattr(accelerate.data_loader, "send_to_device", watched)
    chosen = settings("distilbert", batch_size=8, epochs=1, precision="fp32")
    taught(dataset, targets, chosen, random_model(dataset, layers=2, seed=5))
    threads, pinned = zip(*seen, strict=True)
    assert sum(name.startswith("prefetch") for name in threads) >= len(threads) - 2 > 3
    assert set(pinned) == {device == "cuda"}


def test_models_are_scored_as_on_the_cpu(device, dataset, targets, checkpoint):
    def run() -> list[dict[str, Any]]:
        return [measure_teacher(checkpoint, dataset)[0], measure_student(checkpoint, dataset, targets, (1,))[0]]

    found = run()
    with only("cpu"):
        for mine, theirs in zip(found, run(), strict=True):
            numbers = {name for name, value in theirs.items() if isinstance(value, float)}
            assert len(numbers) >= 5
            assert {name: mine[name] for name in numbers} == pytest.approx({name: theirs[name] for name in numbers}, abs=FP32)


def test_answers_to_new_texts_are_those_of_the_cpu(device, checkpoint):
    texts = tiny.rows(9, 7)[0]

    def run() -> torch.Tensor:
        model = open_model(checkpoint)
        return torch.from_numpy(np.stack(model.logits(model.encode(texts, [None] * len(texts)))))

    found = run()
    with only("cpu"):
        close(found, run(), FP32)


def test_words_are_refilled_as_on_the_cpu(device):
    tokenizer, model = wordpiece(), masked_lm("bert")
    ids = [np.array(row, np.int64) for row in tokenizer(["sun moon", "red fish swimming .", "old rock"])["input_ids"]]
    places = [np.arange(1, len(row) - 1) for row in ids]

    def run() -> list[list[list[int]]]:
        made = Refiller(copy.deepcopy(model).to(best_device()), whole_words(tokenizer, "here"), 4, 0, 64)
        return [found.tolist() for found in made.refills(ids, places, 3)]

    found = run()
    with only("cpu"):
        assert found == run()
