"""No row's soft target comes from a teacher that has seen it: proved from example ids, by teachers that record what they saw."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from transformers import PreTrainedModel

from distill.core.errors import UserError
from distill.core.validation import validate
from distill.data.averaging import labels_a_row
from distill.data.dataset import Dataset
from distill.models.folds import NO_FOLD, FurtherTeachers
from distill.models.loading import set_labels
from distill.params.training import TeacherSettings
from distill.store.target_set import TargetStore
from distill.targets.materialization.forward import open_teacher
from distill.targets.materialization.materialize import Materializer
from distill.targets.materialization.outputs import MaterializeSpec
from distill.targets.verification.live import compare
from distill.training import fine_tuning
from distill.training.cross_fitting import assign_folds, train_further
from distill.training.trained import Trained
from distill.training.trainer import DistillationTrainer
from tests import tiny
from tests.command_line import contents
from tests.stores import assembled, gathered, live_outputs, teacher_for
from tests.target_specs import target_spec

LABELLED = tuple(task for task in tiny.TASKS if task != "masked-lm")
FOLDS = 3


class Recorder:
    """In place of training: notes the example ids that a run learns from, and makes its answers powers of ten."""

    def __init__(self) -> None:
        self.seen: list[set[bytes]] = []

    def __call__(self, model, rows, *_, **__) -> Trained:
        with torch.no_grad():
            head = model.qa_outputs if hasattr(model, "qa_outputs") else model.classifier
            head.weight.zero_()
            head.bias.fill_(10.0 ** len(self.seen))
        self.seen.append({rows.rows.ids[row].tobytes() for row in rows.chosen})
        return Trained([], 1.0, 0.5, 1.0)


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Checkpoints go to data/.scratch of the working folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(fine_tuning, "train", recorder)
    return recorder


def prepared_for(folder: Path, task: str, count: int = 40) -> Dataset:
    """A data set of a task: rows with labels, some of them twice, and some without."""
    return Dataset.open(tiny.prepare_task(folder / "prepared", task, sizes=(count, 8, 8)))


def teacher_of(dataset: Dataset) -> PreTrainedModel:
    """A random teacher that knows the data set's labels by name."""
    model = teacher_for(dataset)
    set_labels(model.config, dataset.labels)
    return model


def settings_for(folder: Path, dataset: Dataset, **changed: object) -> TeacherSettings:
    if not (folder / "checkpoint").exists():
        tiny.save(teacher_of(dataset), folder / "checkpoint", tiny.masking_tokenizer())
    entry = {"dataset": "tiny", "checkpoint": {"path": str(folder / "checkpoint")}, "epochs": 1, "precision": "fp32", **changed}
    return TeacherSettings(**entry)


def further(folder: Path, dataset: Dataset, settings: TeacherSettings) -> FurtherTeachers:
    out = folder / "folds"
    out.mkdir()
    records = train_further(dataset, settings, "tiny", out, folder / "scratch")
    assert len(records) == (settings.folds or len(settings.seeds))
    found = FurtherTeachers.open(out)
    assert found is not None
    return found


def targets(folder: Path, dataset: Dataset, job: MaterializeSpec | None = None, base: TargetStore | None = None) -> Materializer:
    """Of the checkpoint as the teacher, and of the further ones."""
    model = tiny.save(teacher_of(dataset), folder / "teacher", tiny.masking_tokenizer())
    made = Materializer(open_teacher(model, dataset, folder / "folds"), dataset, job or target_spec(), folder / "pool", base)
    made.run()
    return made


@pytest.mark.parametrize("task", LABELLED)
def test_no_target_of_a_labelled_row_comes_from_a_teacher_that_saw_it_and_that_of_others_is_the_mean(tmp_path, task, recorder):
    dataset = prepared_for(tmp_path, task)
    found = further(tmp_path, dataset, settings_for(tmp_path, dataset, folds=FOLDS))
    store = TargetStore.open(assembled(targets(tmp_path, dataset), tmp_path / "set"))
    everything = set().union(*recorder.seen)
    assert len(recorder.seen) == FOLDS
    for split in dataset.splits:
        rows = dataset.rows(split)
        reader = store.output("logits", split)
        for row in range(len(rows)):
            values = reader.gather(reader.locate(rows.ids[row : row + 1])).flatten()
            unseen = [number for number, seen in enumerate(recorder.seen) if rows.ids[row].tobytes() not in seen]
            answered = [10.0**number for number in unseen]
            if rows.ids[row].tobytes() in everything:
                assert len(unseen) == 1
            else:
                assert len(unseen) == FOLDS
            torch.testing.assert_close(values, torch.full_like(values, sum(answered) / len(answered)))
    train = dataset.rows("train")
    assert {train.ids[row].tobytes() for row in np.flatnonzero(labels_a_row(train))} == everything
    table = pq.read_table(tmp_path / "folds" / "assignment.parquet").to_pydict()
    assert {*table["example_id"]} >= everything
    for example, fold in zip(table["example_id"], table["fold"], strict=True):
        assert example not in recorder.seen[fold]
    folds = dict(zip(table["example_id"], table["fold"], strict=True))
    assert found.fold_of(train.ids).tolist() == [folds.get(each.tobytes(), NO_FOLD) for each in train.ids]


@pytest.fixture(scope="module")
def some(tmp_path_factory, tokenizer) -> Dataset:
    """90 rows, of which every third has no label and the last ten are copies of the first, in other case."""
    texts, labels = tiny.rows(80, 3)
    given = [label if i % 3 else "" for i, label in enumerate(labels)]
    texts, given = [*texts, *(text.replace(" ", ", ") for text in texts[:10])], [*given, *[""] * 10]
    return Dataset.open(tiny.prepare_rows(tmp_path_factory.mktemp("some") / "some", tokenizer, texts, given))


def test_folds_hold_equal_shares_of_each_class_and_texts_whole(some):
    rows, folds = some.rows("train"), assign_folds(some, 4, seed=1)
    labelled = labels_a_row(rows) > 0
    for label in range(len(some.labels)):
        counts = np.bincount(folds[labelled & (rows.labels == label)], minlength=4)
        assert counts.max() - counts.min() <= 1
    assert folds[80:].tolist() == folds[:10].tolist()
    assert (folds[~labelled][10:-10] == NO_FOLD).all()
    assert folds.tolist() == assign_folds(some, 4, seed=1).tolist()
    assert folds.tolist() != assign_folds(some, 4, seed=2).tolist()


def test_windows_of_one_context_are_in_one_fold(tmp_path):
    table = tiny.raw("question-answering", 12, 0).to_pylist()
    twice = [*table, *({**row, "question": "w3 w4"} for row in table)]
    folder = tmp_path / "asked"
    folder.mkdir()
    entry = tiny.settings("question-answering")
    splits = {"train": twice, "validation": tiny.raw("question-answering", 6, 1).to_pylist()}
    splits["test"] = splits["validation"]
    import pyarrow as pa

    from distill.preparation.prepare import make_rows, write_dataset

    tables = {name: pa.Table.from_pylist(rows) for name, rows in splits.items()}
    write_dataset(folder, *make_rows(tables, "tiny", entry), entry, tiny.masking_tokenizer())
    dataset = Dataset.open(folder)
    folds, contexts = assign_folds(dataset, 3, seed=1), dataset.texts("train")["context"]
    assert len(folds) > len({*contexts})
    assert all(len({int(fold) for fold, own in zip(folds, contexts, strict=True) if own == context}) == 1 for context in contexts)
    assert {*folds.tolist()} - {NO_FOLD} == {0, 1, 2}


def test_rows_that_share_texts_or_tokens_through_other_rows_are_in_one_fold(tmp_path, tokenizer):
    pairs = [(f"w5 x{k}{' !' * k}", f"w5 x{k}{' !' * (k + 1)}") for k in range(6)]  # one text; the next pair has its tokens
    linked = [pair[i] for i in (1, 0) for pair in pairs]
    texts, labels = tiny.rows(30, 3)
    rows = [*linked, *texts], [*["cat"] * len(linked), *labels]
    folds = assign_folds(Dataset.open(tiny.prepare_rows(tmp_path / "linked", tokenizer, *rows)), 3, seed=1)
    assert len({*folds[: len(linked)].tolist()}) == 1


def test_few_rows_change_their_fold_when_others_are_added(tmp_path, tokenizer):
    old, new = tiny.rows(200, 3), tiny.rows(60, 77)
    before = Dataset.open(tiny.prepare_rows(tmp_path / "before", tokenizer, *old))
    after = Dataset.open(tiny.prepare_rows(tmp_path / "after", tokenizer, [*new[0], *old[0]], [*new[1], *old[1]]))
    first, second = assign_folds(before, 4, 1), assign_folds(after, 4, 1)[60:]
    assert (first != second).mean() < 0.25


def test_folds_that_cannot_be_filled_are_refused(tmp_path, tokenizer):
    texts, labels = tiny.rows(12, 3)
    few = Dataset.open(tiny.prepare_rows(tmp_path / "few", tokenizer, texts, [*labels[:3], *[""] * 9]))
    with pytest.raises(UserError, match="has 3 different texts with a label, which cannot be cut into 5 folds; lower folds"):
        assign_folds(few, 5, 1)


def test_of_seeds_every_target_is_the_mean_of_all_teachers_and_the_teacher_itself(tmp_path, recorder):
    dataset = prepared_for(tmp_path, "sequence-classification")
    further(tmp_path, dataset, settings_for(tmp_path, dataset, seeds=(7, 8)))
    assert recorder.seen[0] == recorder.seen[1]
    store = TargetStore.open(assembled(targets(tmp_path, dataset), tmp_path / "set"))
    rows = dataset.rows("test")
    own, _ = live_outputs(teacher_for(dataset), rows, np.arange(len(rows)))
    torch.testing.assert_close(gathered(store, "logits", "test", rows.ids), (own + 1 + 10) / 3)
    assert store.manifest("logits").fingerprints.seeds
    assert store.manifest("logits").fingerprints.folds is None


def test_hidden_states_stay_the_teachers_own_and_outlive_new_folds_which_change_logits_alone(tmp_path, recorder):
    dataset, job = prepared_for(tmp_path, "sequence-classification"), target_spec(hidden=(-1,), codec="fp32")
    model = tiny.save(teacher_of(dataset), tmp_path / "teacher", tiny.masking_tokenizer())
    plain = Materializer(open_teacher(model, dataset), dataset, job, tmp_path / "pool")
    plain.run()
    before = assembled(plain, tmp_path / "before")
    further(tmp_path, dataset, settings_for(tmp_path, dataset, folds=2))
    made = targets(tmp_path, dataset, job, TargetStore.open(before))
    assert {unit.compute for unit in made.layout.units} == {("logits",)}
    after = assembled(made, tmp_path / "after")
    shards = {name: file for name, file in contents(before).items() if name.endswith(".arrow")}
    changed = {name for name, file in contents(after).items() if name in shards and file != shards[name]}
    assert {name.partition("/")[0] for name in changed} == {"logits"}
    again = Materializer(
        open_teacher(model, dataset, tmp_path / "folds"), dataset, job, tmp_path / "other", TargetStore.open(after)
    )
    assert again.layout.units == ()


def test_a_set_that_grows_asks_for_its_new_rows_alone(tmp_path, tokenizer, recorder):
    old, new = tiny.rows(30, 0), tiny.rows(12, 77)
    first = Dataset.open(tiny.prepare_rows(tmp_path / "prepared", tokenizer, *old))
    tiny.save(tiny.bert(layers=3), tmp_path / "checkpoint", tokenizer)
    further(tmp_path, first, settings_for(tmp_path, first, folds=2))
    teacher = open_teacher(tmp_path / "checkpoint", first, tmp_path / "folds")
    made = Materializer(teacher, first, target_spec(), tmp_path / "pool")
    made.run()
    base = TargetStore.open(assembled(made, tmp_path / "one"))
    grown = Dataset.open(tiny.prepare_rows(tmp_path / "grown", tokenizer, [*old[0], *new[0]], [*old[1], *new[1]]))
    more = Materializer(teacher, grown, target_spec(), tmp_path / "more", base)
    known = {each.tobytes() for each in first.rows("train").ids}
    asked = {grown.rows("train").ids[row].tobytes() for unit in more.layout.units for row in unit.positions}
    assert asked == {each.tobytes() for each in grown.rows("train").ids} - known
    more.run()
    store, rows = TargetStore.open(assembled(more, tmp_path / "two")), grown.rows("train")
    values = gathered(store, "logits", "train", rows.ids)[:, 0]
    fold = teacher.several.further.fold_of(rows.ids)
    expected = np.where(fold == NO_FOLD, 5.5, np.where(fold == 0, 1.0, 10.0))
    np.testing.assert_allclose(values.numpy(), expected)
    assert (fold == NO_FOLD).any()


@pytest.mark.parametrize("task", ["regression", "token-classification", "question-answering"])
def test_real_teachers_give_the_logits_of_the_one_without_the_row_to_the_last_bits_and_live_comparison_agrees(tmp_path, task):
    dataset = prepared_for(tmp_path, task)
    settings = settings_for(tmp_path, dataset, folds=2, batch_size=8, learning_rate=1e-2)
    found = further(tmp_path, dataset, settings)
    store = TargetStore.open(assembled(targets(tmp_path, dataset), tmp_path / "set"))
    rows = dataset.rows("train")
    answers = [live_outputs(found.load(number, dataset), rows, np.arange(len(rows)))[0] for number in range(2)]
    assert (answers[0] - answers[1]).abs().max() > 1e-2
    fold = np.repeat(found.fold_of(rows.ids), 1 if len(answers[0]) == len(rows) else rows.lengths)
    expected = torch.where(torch.from_numpy(fold == 0)[:, None], answers[0], answers[1])
    torch.testing.assert_close(gathered(store, "logits", "train", rows.ids), expected, atol=2e-5, rtol=1e-4)
    teacher = open_teacher(tmp_path / "teacher", dataset, tmp_path / "folds")
    assert all(each.worst <= 1 for each in compare(store, teacher, dataset, 30))
    alone = replace(teacher, several=None)
    assert {each.output: each.worst > 1 for each in compare(store, alone, dataset, 30)}["logits"]


def test_the_same_settings_write_the_same_bytes_and_a_killed_run_trains_nothing_again(tmp_path, monkeypatch):
    dataset = prepared_for(tmp_path, "sequence-classification")
    settings = settings_for(tmp_path, dataset, folds=3, batch_size=16)
    further(tmp_path, dataset, settings)
    whole, runs = contents(tmp_path / "folds"), []

    def killed(trainer, *arguments, **named):
        runs.append(len(trainer.data_collator.chosen))
        if len(runs) == 3:
            raise KeyboardInterrupt
        return original(trainer, *arguments, **named)

    original = DistillationTrainer.train
    monkeypatch.setattr(DistillationTrainer, "train", killed)
    (tmp_path / "again").mkdir()
    with pytest.raises(KeyboardInterrupt):
        train_further(dataset, settings, "tiny", tmp_path / "again", tmp_path / "second")
    (tmp_path / "third").mkdir()
    records = train_further(dataset, settings, "tiny", tmp_path / "third", tmp_path / "second")
    assert len(runs) == 3 + 1
    assert contents(tmp_path / "third") == whole
    assert [record["seed"] for record in records] == [1, 1, 1]


def test_a_fold_that_was_done_under_other_settings_is_trained_again(tmp_path, monkeypatch):
    dataset, runs = prepared_for(tmp_path, "sequence-classification"), []
    original = DistillationTrainer.train
    monkeypatch.setattr(DistillationTrainer, "train", lambda *given, **named: (runs.append(1), original(*given, **named))[1])
    for place, epochs in (("one", 1), ("two", 1), ("three", 2)):
        (tmp_path / place).mkdir()
        train_further(
            dataset, settings_for(tmp_path, dataset, folds=3, epochs=epochs), "tiny", tmp_path / place, tmp_path / "scratch"
        )
    assert len(runs) == 3 + 3


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("[]", r"folds.json: is damaged \(\[\]\); run `dvc repro folds@folds`"),
        (json.dumps({"kind": "fold", "count": 2}), "folds.json: is damaged"),
        (json.dumps({"kind": "folds", "count": 2}), "assignment.parquet: is missing or damaged"),
        (None, "folds.json: is missing; expected what further teachers there are"),
    ],
)
def test_a_damaged_folder_is_refused(tmp_path, content, complaint):
    (tmp_path / "folds").mkdir()
    if content is not None:
        (tmp_path / "folds" / "folds.json").write_text(content)
    with pytest.raises(UserError, match=complaint):
        FurtherTeachers.open(tmp_path / "folds")


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"folds": 1}, "folds: expected greater than or equal to 2, got 1"),
        ({"folds": 2, "seeds": [2]}, "expected one of: folds, seeds"),
        ({"seeds": [2, 2]}, "seeds: expected each seed once, and not that of the teacher itself (1)"),
        ({"seeds": [1]}, "seeds: expected each seed once, and not that of the teacher itself (1)"),
        ({"folds": 2, "epochs": 0}, "folds: with epochs: 0 nothing is fine-tuned; give epochs ≥ 1, or remove folds"),
        ({"seeds": [2], "epochs": 0}, "seeds: with epochs: 0 nothing is fine-tuned; give epochs ≥ 1, or remove seeds"),
    ],
)
def test_settings_that_make_no_sense_are_refused(given, complaint):
    with pytest.raises(UserError, match=re.escape(complaint)):
        validate(TeacherSettings, {"dataset": "d", "checkpoint": {"hub": "c"}, **given}, "teachers.t")
