"""A student of several seeds that was killed trains none of those again that were done, and ends with the same bytes.

Nor does it if one more was asked for when it was killed.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from distill.data.dataset import Dataset
from distill.models.loading import set_labels
from distill.store.target_set import TargetStore
from distill.students.distill import distill_student
from distill.training.trainer import DistillationTrainer
from tests import tiny
from tests.command_line import contents
from tests.formulas import settings
from tests.stores import materialize
from tests.target_specs import target_spec

SEEDS = (3, 1, 2)


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The seeds that are trained, as they are; the third run of all is killed."""
    seeds, train = [], DistillationTrainer.train

    def counted(trainer: DistillationTrainer, *arguments: Any, **more: Any) -> Any:
        seeds.append(trainer.args.seed)
        if len(seeds) == 3:
            raise KeyboardInterrupt
        return train(trainer, *arguments, **more)

    monkeypatch.setattr(DistillationTrainer, "train", counted)
    return seeds


@pytest.mark.parametrize("recipe", ["hinton", "tinybert-intermediate"])
def test_seeds_that_are_done_wait(tmp_path: Path, trained: list[int], monkeypatch: pytest.MonkeyPatch, recipe: str) -> None:
    rows = Dataset.open(tiny.prepare_task(tmp_path / "data", "sequence-classification", sizes=(24, 8, 8)))
    spec = target_spec(hidden=(0, 1, 2, 3), attention=(1, 2, 3))
    store = TargetStore.open(materialize(tiny.family("bert", vocab_size=45), rows, tmp_path / "targets", spec))
    student = tiny.family("bert", vocab_size=45)
    set_labels(student.config, rows.labels)
    folder = tiny.save(student, tmp_path / "initial", tiny.masking_tokenizer())
    how = settings(recipe, epochs=1, batch_size=8, learning_rate=3e-3, precision="fp32", seeds=SEEDS)

    def run(name: str, seeds: tuple[int, ...] = SEEDS, scratch: str = "scratch") -> Any:
        asked = how.model_copy(update={"seeds": seeds})
        return distill_student(folder, rows, store, asked, tmp_path / name, tmp_path / scratch, "test")

    with pytest.raises(KeyboardInterrupt):
        run("first", (*SEEDS, 4))
    assert not (tmp_path / "first").exists()
    resumed = run("first")
    assert trained == [*SEEDS, SEEDS[2]]
    assert run("again") == resumed, "what has ended is not trained again before its stage has written all"
    assert len(trained) == 4
    trained.extend([0] * 3)
    whole = run("second", scratch="elsewhere")
    assert trained[-3:] == list(SEEDS)
    assert contents(tmp_path / "first") == contents(tmp_path / "second") == contents(tmp_path / "again")
    found, expected = (
        [json.loads(json.dumps(each.record(seed))) | {"seconds": 0} for seed, each in runs.items()] for runs in (resumed, whole)
    )
    assert found == expected
