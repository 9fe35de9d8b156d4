"""Students are compared with what their teacher has answered, and with nothing else."""

from typing import Any

import numpy as np
import pytest

from distill.data.averaging import labels_a_row
from distill.data.dataset import UNLABELLED
from distill.data.tokenizers import load_tokenizer
from distill.evaluation.evaluate import measure_student
from distill.evaluation.teacher_answers import TeacherAnswers, score_answers
from distill.models.predict import predict
from distill.tasks.base import EvaluationSplit
from distill.tasks.registry import task_of
from tests import tiny
from tests.formulas import Problem
from tests.target_specs import target_spec
from tests.targets.given.test_training import given_set


@pytest.fixture(scope="module")
def problem(tmp_path_factory: pytest.TempPathFactory) -> Problem:
    """A tiny data set, its teacher and its set of logits: read only."""
    made = Problem(tmp_path_factory.mktemp("tags"), "token-classification", target_spec())
    made.teacher.config.id2label = dict(enumerate(made.dataset.labels))
    return made


@pytest.mark.parametrize("unsaid", ["first words", "all but one row"])
def test_words_without_an_answer_count_for_nothing(problem, unsaid, tmp_path, monkeypatch):
    """Scores, retention and agreement are those of the words that the teacher has answered."""
    monkeypatch.setattr("distill.core.numeric.RESAMPLES", 20)
    kind, rows = task_of(problem.task), problem.dataset.rows("test")

    def forget(number: int, words: list[Any]) -> list[Any]:
        return [None if place == 0 or (unsaid != "first words" and number) else word for place, word in enumerate(words)]

    store = given_set(problem, tmp_path, change=forget)
    split, validation = (EvaluationSplit.from_dataset(problem.dataset, name) for name in ("test", "validation"))
    answers = TeacherAnswers.of(store, kind, problem.dataset, split, validation)[0]
    labelled = answers.split.rows.labels != UNLABELLED
    assert np.isfinite(answers.kept[labelled]).all()
    several = {identity.tobytes() for identity, count in zip(rows.ids, labels_a_row(rows), strict=True) if count > 1}
    alone = {bytes(identity) for identity in rows.ids[:1]} if unsaid != "first words" else several
    counted = [row for row, identity in enumerate(rows.ids) if identity.tobytes() in several & alone]
    assert len(answers.split.rows) == len(counted) <= len(rows)
    expected = np.concatenate([np.flatnonzero(rows.labels[rows.lines(np.array([row]))] != UNLABELLED)[1:] for row in counted])
    found = [
        np.flatnonzero(labelled[start:stop])
        for start, stop in zip(answers.split.rows.offsets, answers.split.rows.offsets[1:], strict=False)
    ]
    np.testing.assert_array_equal(np.concatenate(found), expected)
    whole = predict(problem.teacher, kind, rows, "")
    np.testing.assert_allclose(answers.rows_of(whole)[labelled], answers.kept[labelled], atol=1e-4)
    assert all(np.isfinite(value) for scores in score_answers(store, problem.dataset).values() for value in scores.values())
    place = tiny.save(problem.teacher, tmp_path / "model", load_tokenizer(problem.dataset.folder / "tokenizer"))
    measured, *_ = measure_student(place, problem.dataset, store, (1,))
    assert (measured["retention_rows"], measured["agreement"]) == (len(counted), 1.0)
