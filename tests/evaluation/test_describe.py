from dataclasses import replace

import numpy as np
import pytest

from distill.data.dataset import Dataset
from distill.evaluation.describe import EXAMPLES, detail_of
from distill.evaluation.details import Detail
from distill.models.predict import predict
from distill.tasks.base import EvaluationSplit
from distill.tasks.question_answering import NO_ANSWER
from distill.tasks.registry import task_of
from tests import tiny

HEAD = {"token-classification": "TokenClassification", "question-answering": "QuestionAnswering", "masked-lm": "MaskedLM"}
TOKENIZER = tiny.masking_tokenizer()
LOGITS = np.log(np.array([[0.9, 0.1], [0.3, 0.7], [0.6, 0.4], [0.2, 0.8]], np.float32))


@pytest.fixture(scope="module")
def details(tmp_path_factory) -> dict[str, Detail]:
    """What is told of a random student of a random teacher, by task."""
    return {task: detail_for(tmp_path_factory.mktemp(task) / "data", task) for task in tiny.TASKS}


def detail_for(folder, task) -> Detail:
    dataset = Dataset.open(tiny.prepare_task(folder, task, TOKENIZER))
    split, kept = EvaluationSplit.from_dataset(dataset, "test"), []
    for model_type in ("bert", "electra"):
        model = tiny.family(
            model_type, HEAD.get(task, "SequenceClassification"), num_labels=max(1, len(dataset.labels)), vocab_size=45
        )
        kept.append(predict(model, task_of(task), split.rows, "x"))
    return detail_of(task_of(task), kept[0], split, TOKENIZER, kept[1])


@pytest.mark.parametrize("task", tiny.TASKS)
def test_every_task_tells_what_it_can(details, task):
    detail = details[task]
    assert bool(detail.classes) == (task not in ("regression", "masked-lm", "ranking"))
    assert (detail.confusion is not None) == (bool(detail.classes) and task != "multi-label")
    assert bool(detail.calibration) == (detail.agreement is not None) == (task != "regression")
    assert 0 < len(detail.examples) <= EXAMPLES
    assert detail.to_json().count("NaN") == 0
    if detail.confusion is not None and task != "token-classification":
        assert [sum(line) for line in detail.confusion.counts] == [each.support for each in detail.classes]
        assert sum(each.count for each in detail.calibration) == sum(each.support for each in detail.classes)


@pytest.mark.parametrize("task", tiny.TASKS)
def test_examples_are_where_the_two_differ_the_surest_first(details, task):
    examples = details[task].examples
    assert all(each.teacher != each.student and each.text for each in examples)
    if task != "regression":
        confidences = [each.teacher_confidence + each.student_confidence for each in examples]
        assert confidences == sorted(confidences, reverse=True)
        if task != "question-answering":
            assert all(each.right == "neither" or getattr(each, each.right) == each.label for each in examples)
    if task == "token-classification":
        plain = [each.text.replace("[", "").replace("]", "") for each in examples]
        assert len(plain) == len(set(plain)), "a row gives one example"
    if task == "question-answering":
        assert any(NO_ANSWER in (each.label, each.teacher, each.student) for each in examples)


def test_of_numbers_the_nearer_is_right_and_the_farthest_apart_come_first(tmp_path):
    split = EvaluationSplit.from_dataset(
        Dataset.open(tiny.prepare_task(tmp_path / "data", "regression", TOKENIZER, (20, 5, 3))), "test"
    )
    split = replace(split, rows=replace(split.rows, labels=np.array([0.0, 0.5, 1.0], np.float32)))
    student, teacher = (np.array([own], np.float32).T for own in ([0.1, 0.5, 0.0], [0.2, 0.5, 0.9]))
    first, second = detail_of(task_of("regression"), student, split, TOKENIZER, teacher).examples
    assert (first.label, first.teacher, first.student, first.right) == ("1", "0.9", "0", "teacher")
    assert (second.label, second.teacher, second.student, second.right) == ("0", "0.2", "0.1", "student")


def test_a_teacher_and_a_student_that_is_its_teacher_have_no_examples(dataset):
    split = EvaluationSplit.from_dataset(dataset, "test")
    logits = np.random.default_rng(0).normal(size=(len(split.rows), 3)).astype(np.float32)
    alone = detail_of(task_of(dataset.task), logits, split, TOKENIZER)
    same = detail_of(task_of(dataset.task), logits, split, TOKENIZER, logits)
    assert (alone.agreement, alone.examples, same.examples) == (None, (), ())
    assert same.agreement.both + same.agreement.neither_same == len(split.rows)
    assert (alone.classes, alone.calibration) == (same.classes, same.calibration)
