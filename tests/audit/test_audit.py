import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from distill.audit.audit import COLUMNS, audit, audit_store, summary
from distill.audit.certainty import difference, figures
from distill.audit.confident_learning import KINDS, answers, classes, numbers, thresholds, worst_lines
from distill.core.errors import UserError
from distill.data.dataset import UNLABELLED, Dataset, PreparedRows
from distill.params.students import SampleWeight
from distill.store.target_set import TargetStore
from distill.students.objective import row_weights
from stages.audit import main
from tests import tiny
from tests.command_line import invoke
from tests.stores import materialize, no_folds, teacher_for
from tests.target_specs import target_spec

PARAMS = "targets: {tiny: {teacher: tiny, dataset: tiny}}"
NAMES = ("cat", "dog")
AUDITED = ("sequence-classification", "multi-label", "regression", "token-classification", "question-answering")


def logits_of(*probabilities: float) -> np.ndarray:
    """Of two classes, by the probability of the second."""
    second = np.array(probabilities)
    return np.log(np.stack([1 - second, second], axis=1)).astype(np.float32)


def kinds_of(lines) -> list[str]:
    return [KINDS[kind] for kind in lines.kinds]


def test_a_label_is_suspect_where_another_class_reaches_its_threshold_the_mean_self_confidence_and_not_before():
    found = thresholds(np.array([0.9, 0.7, 0.2]), np.array([0, 0, 2]), 4)
    np.testing.assert_allclose(found, [0.8, np.inf, 0.2, np.inf])
    # Rows labelled dog give it 0.99, 0.99, 0.55, 0.99 → threshold 0.88: a cat with p(dog) 0.9 is suspect, one with 0.8 only hard.
    logits = logits_of(0.99, 0.99, 0.55, 0.99, 0.9, 0.8, 0.01, 0.3)
    lines = classes(logits, np.array([1, 1, 1, 1, 0, 0, 0, 0]), np.arange(8), NAMES)
    assert kinds_of(lines) == ["fine", "fine", "fine", "fine", "suspect", "hard", "fine", "fine"]
    assert (lines.labels[4:6].tolist(), lines.predicted[4:6].tolist()) == (["cat", "cat"], ["dog", "dog"])
    np.testing.assert_allclose(lines.confidence[4:6], [0.9, 0.8], rtol=1e-5)
    np.testing.assert_allclose(lines.margin[4:6], [-0.8, -0.6], rtol=1e-5)
    np.testing.assert_allclose(lines.loss[4:6], -np.log([0.1, 0.2]), rtol=1e-5)


def test_an_over_confident_teacher_raises_its_thresholds_and_a_class_that_it_hardly_knows_contradicts_only_if_likeliest():
    for sure, kind in ((0.7, "suspect"), (0.999, "hard")):
        assert kinds_of(classes(logits_of(sure, sure, sure, 0.9), np.array([1, 1, 1, 0]), np.arange(4), NAMES))[-1] == kind
    # The third class is given 0.02 by its own rows: its threshold is next to nothing, and the first row's 0.03 is above it.
    probabilities = np.array([[0.9, 0.07, 0.03], [0.99, 0.005, 0.005], [0.5, 0.48, 0.02]])
    lines = classes(np.log(probabilities).astype(np.float32), np.array([0, 0, 2]), np.arange(3), (*NAMES, "rare"))
    assert kinds_of(lines) == ["fine", "fine", "hard"]


def test_rows_without_a_label_are_left_out_and_none_at_all_is_no_error():
    lines = classes(logits_of(0.5, 0.9), np.array([UNLABELLED, 1]), np.arange(2), NAMES)
    assert lines.rows.tolist() == [1]
    assert len(classes(logits_of(0.5), np.array([UNLABELLED]), np.arange(1), NAMES).rows) == 0


def test_a_row_is_as_bad_as_its_worst_tag():
    logits = logits_of(0.99, 0.99, 0.98, 0.6, 0.995, 0.2)
    lines = classes(logits, np.array([1, 1, 1, 0, 0, 0]), np.array([0, 0, 0, 1, 1, 2]), NAMES, tokens=True)
    worst = worst_lines(lines)
    assert (worst.rows.tolist(), kinds_of(worst)) == ([0, 1, 2], ["fine", "suspect", "fine"])
    assert worst.places.tolist() == [2, 4, 5]


def test_numbers_are_judged_by_their_distance_from_the_mean_error():
    labels = np.array([*np.linspace(0, 1, 100), 0.0, np.nan], np.float32)
    errors = np.array([*[0.1, -0.1] * 50, 0.5, 9.0])
    lines = numbers(labels, (np.nan_to_num(labels) + errors).astype(np.float32))
    assert (len(lines.rows), kinds_of(lines)) == (101, ["fine"] * 100 + ["suspect"])
    assert lines.loss[100] == pytest.approx(0.25)
    assert kinds_of(numbers(np.ones(3, np.float32), np.ones(3, np.float32))) == ["fine"] * 3


def windows(labels: list[list[int]], length: int = 6) -> PreparedRows:
    """Windows of a [CLS], a question of one token and `length` − 2 words of 2 characters and a blank."""
    count = len(labels)
    spans = np.array([[-1, -1], [-1, -1], *([3 * i, 3 * i + 2] for i in range(length - 2))], np.int32)
    return PreparedRows(
        ids=np.arange(16 * count, dtype=np.uint8).reshape(count, 16),
        tokens=np.zeros(count * length, np.int32),
        offsets=np.arange(count + 1) * length,
        token_types=None,
        labels=np.array(labels, np.int64),
        examples=np.arange(count),
        spans=np.tile(spans, (count, 1)),
    )


def test_an_answer_elsewhere_is_suspect_if_the_teacher_is_as_sure_as_usual():
    rows = windows([[2, 3], [4, 4], [2, 2], [0, 0], [UNLABELLED, UNLABELLED]])
    logits = np.zeros((5, 6, 2), np.float32)
    for row, (first, last, height) in enumerate([(2, 3, 6), (4, 4, 4), (5, 5, 8), (0, 0, 6), (3, 3, 9)]):
        logits[row, first, 0] = logits[row, last, 1] = height
    lines = answers(rows, logits.reshape(-1, 2), ["aa bb cc dd"] * 5)
    assert (lines.rows.tolist(), kinds_of(lines)) == ([0, 1, 2, 3], ["fine", "fine", "suspect", "fine"])
    assert lines.labels.tolist() == ["aa bb", "cc", "aa", ""]
    assert lines.predicted.tolist() == ["aa bb", "cc", "dd", ""]
    probability = np.exp(8) / (np.exp(8) + 5)
    assert lines.confidence[2] == pytest.approx(probability, rel=1e-5)
    assert lines.loss[2] == pytest.approx(-np.log(1 / (np.exp(8) + 5)), rel=1e-5)


def test_the_word_of_a_tag_is_its_sub_words():
    labels = np.array([UNLABELLED, 1, UNLABELLED, 0, UNLABELLED, UNLABELLED, 2])
    rows = PreparedRows(np.zeros((2, 16), np.uint8), np.arange(7, dtype=np.int32), np.array([0, 5, 7]), None, labels)
    assert [rows.word(place) for place in (1, 3, 6)] == [[1, 2], [3, 4], [6]]


@pytest.fixture(scope="module", params=AUDITED)
def made(request, tmp_path_factory) -> tuple[Dataset, TargetStore]:
    """The tiny data set of a task, and a store of its random teacher's logits."""
    folder = tmp_path_factory.mktemp("audit")
    how = {"stride": 4} if request.param == "question-answering" else {}
    dataset = Dataset.open(tiny.prepare_task(folder / "prepared" / "tiny", request.param, **how))
    return dataset, TargetStore.open(materialize(teacher_for(dataset), dataset, folder / "targets" / "tiny", target_spec()))


def test_every_labelled_row_is_told_once_the_worst_first(made):
    dataset, store = made
    task = dataset.task
    table = audit_store(dataset, store)
    rows = dataset.rows("train")
    assert table.schema == COLUMNS
    assert len(table) == len(set(table["example_id"].to_pylist())) <= len(rows)
    order = [(-KINDS.index(row["kind"]), -row["loss"]) for row in table.to_pylist()]
    assert order == sorted(order)
    assert all(table["text"].to_pylist())
    assert (table["confidence"].null_count == len(table)) == (task == "regression")
    assert (table["word"].null_count == 0) == (task == "token-classification")
    if task == "token-classification":
        assert all(row["word"] in row["text"].split() for row in table.to_pylist())
    counts = summary(dataset, table)
    assert counts["rows"] == len(table)
    assert counts["suspect"] + counts["hard"] <= len(table)
    if task in ("sequence-classification", "multi-label", "token-classification"):
        assert sum(count for own in counts["confused"].values() for count in own.values()) == counts["suspect"]


def test_a_row_weighs_what_its_kind_in_the_audit_does(made):
    dataset, store = made
    kinds = dict(zip(*(audit_store(dataset, store)[name].to_pylist() for name in ("example_id", "kind")), strict=True))
    found = row_weights(dataset, store, SampleWeight(suspect=0.0, hard=0.5))
    expected = [{"suspect": 0.0, "hard": 0.5}.get(kinds.get(row.tobytes().hex()), 1.0) for row in dataset.rows("train").ids]
    assert found.tolist() == expected
    assert len(set(expected)) > 1
    assert set(row_weights(dataset, store, SampleWeight()).tolist()) == {1.0}


def test_masked_lm_is_refused(tmp_path):
    dataset = Dataset.open(tiny.prepare_task(tmp_path / "tiny", "masked-lm"))
    for refused in (audit_store, lambda *both: row_weights(*both, SampleWeight())):
        with pytest.raises(UserError, match="masked-lm are the text itself"):
            refused(dataset, TargetStore(tmp_path, {}, verify=True))


def test_a_changed_label_is_the_first_line_of_an_audit(dataset):
    rows = dataset.rows("train")
    logits = np.eye(3, dtype=np.float32)[rows.labels] * 5
    logits[7] = np.roll(logits[7], 1)
    table = audit(dataset, rows, logits, [f"text {i}" for i in range(len(rows))])
    assert table["kind"].to_pylist() == ["suspect"] + ["fine"] * 59
    first = {name: values[0] for name, values in table.to_pydict().items()}
    label = int(rows.labels[7])
    assert (first["example_id"], first["text"]) == (rows.ids[7].tobytes().hex(), "text 7")
    assert (first["label"], first["teacher"]) == (tiny.LABELS[label], tiny.LABELS[(label + 1) % 3])
    assert summary(dataset, table)["confused"] == {first["label"]: {first["teacher"]: 1}}


def test_the_stage_writes_rows_and_counts_and_opens_no_teacher(in_project):
    project = in_project(PARAMS)
    dataset = Dataset.open(tiny.prepare(project / "data/prepared/tiny", tiny.tokenizer()))
    no_folds(project)
    materialize(tiny.bert(), dataset, project / "data/targets/tiny", target_spec())
    done = invoke(main, "tiny")
    counts = json.loads((project / "data/audits/tiny.json").read_text())
    assert counts["rows"] == len(pq.read_table(project / "data/audits/tiny.parquet")) == 60
    assert {split: part["lines"] for split, part in counts["certainty"].items()} == {"train": 60, "validation": 20}
    assert f"{counts['suspect']} of 60 labels contradicted, {counts['hard']} rows hard" in done.stderr


def test_the_stage_leaves_an_empty_audit_of_masked_lm(in_project):
    project = in_project(PARAMS)
    tiny.prepare_task(project / "data/prepared/tiny", "masked-lm")
    assert "the text itself" in invoke(main, "tiny").stderr
    assert pq.read_table(project / "data/audits/tiny.parquet").schema == COLUMNS
    assert json.loads((project / "data/audits/tiny.json").read_text())["rows"] == 0


@pytest.mark.parametrize("task", AUDITED)
def test_certainty_is_what_the_formulas_say_line_by_line(tmp_path: Path, task: str) -> None:
    dataset = Dataset.open(tiny.prepare_task(tmp_path / task, task, sizes=(12, 8, 8)))
    rows = dataset.rows("train").take(np.arange(5)[::-1])
    rng = np.random.default_rng(0)
    vectors = int(rows.lengths.sum()) if dataset.spec.logits_per == "token" else len(rows)
    one, other = (rng.normal(size=(vectors, dataset.classes)).astype(np.float32) for _ in range(2))
    found, apart = figures(dataset, rows, one), difference(dataset, rows, one, other)
    assert difference(dataset, rows, one, one) == dict.fromkeys(apart, 0.0)
    if task == "regression":
        assert found == {"lines": 5, "loss": pytest.approx(float(((one[:, 0] - rows.labels) ** 2).mean()))}
        assert apart["change"] == pytest.approx(float(np.abs(one - other).mean()))
        return
    pairs = [list(_distributions(dataset, rows, logits)) for logits in (one, other)]
    assert found["lines"] == len(pairs[0])
    chosen = [p for p, _ in pairs[0]]
    assert found["confidence"] == pytest.approx(np.mean([p.max() for p in chosen]))
    assert found["accuracy"] == pytest.approx(np.mean([p.argmax() == label for p, label in pairs[0]]))
    assert found["entropy"] == pytest.approx(np.mean([-(p * np.log(p)).sum() for p in chosen]))
    assert found["loss"] == pytest.approx(np.mean([-np.log(p[label]) for p, label in pairs[0]]))
    both = [(p, q) for (p, _), (q, _) in zip(*pairs, strict=True)]
    assert apart["change"] == pytest.approx(np.mean([np.abs(p - q).sum() / 2 for p, q in both]))
    assert apart["kl"] == pytest.approx(np.mean([(p * np.log(p / q)).sum() for p, q in both]))


def _distributions(dataset: Dataset, rows: PreparedRows, logits: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
    """Of each label the teacher's probabilities, and its class, one by one."""

    def softmax(values: np.ndarray) -> np.ndarray:
        powers = np.exp(values.astype(np.float64))
        return powers / powers.sum()

    for row in range(len(rows)):
        start, stop = int(rows.offsets[row]), int(rows.offsets[row + 1])
        if dataset.task == "multi-label":
            yield from (
                (softmax(np.array([0.0, value])), label) for value, label in zip(logits[row], rows.labels[row], strict=True)
            )
        elif dataset.spec.windows:
            yield from (
                (softmax(logits[start:stop, side]), rows.labels[row, side]) for side in (0, 1) if rows.labels[row, 0] >= 0
            )
        elif dataset.spec.labels_per_token:
            yield from ((softmax(logits[place]), rows.labels[place]) for place in range(start, stop) if rows.labels[place] >= 0)
        else:
            yield softmax(logits[row]), rows.labels[row]
