"""Pairs of texts: which are scored, how alike they are, where a search finds them."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from distill.tasks.registry import task_of
from distill.tasks.sentence_embedding import is_scored, is_searched, pairs_of
from tests.evaluation_splits import split_of

TASK = task_of("sentence-embedding")
RNG = np.random.default_rng(0)
NONE = np.nan


def split(labels, pairs=None):
    """Rows with these scores; `pairs` says of each which pair it is of."""
    made = split_of([2] * len(labels), np.array(labels, np.float32), examples=None if pairs is None else np.array(pairs))
    ids = np.arange(len(labels), dtype=np.uint8)[:, None].repeat(16, axis=1)
    return replace(made, rows=replace(made.rows, ids=ids))


def cosine(one, other):
    return float(one @ other / np.sqrt(one @ one) / np.sqrt(other @ other))


SCORED = split([0.1, 0.1, NONE, 0.9, 0.9, NONE, NONE, 0.5, 0.5], [0, 0, 1, 2, 2, 3, 3, 4, 4])
SEARCHED = split([NONE] * 7, [0, 0, 1, 1, 2, 2, 3])
ALONE = split([NONE] * 6)


def test_pairs_with_scores_are_compared_with_these_alone():
    vectors = RNG.normal(size=(9, 4)).astype(np.float32)
    assert (is_scored(SCORED), is_searched(SCORED)) == (True, False)
    judged = TASK.judge(vectors, SCORED)
    expected = [cosine(vectors[i].astype(float), vectors[i + 1].astype(float)) for i in (0, 3, 7)]
    np.testing.assert_allclose(judged, np.stack([np.zeros(3), expected, np.float32([0.1, 0.9, 0.5])], axis=1), atol=1e-12)
    assert TASK.measures(vectors, SCORED) == {"spearman": spearmanr(expected, [0.1, 0.9, 0.5]).statistic}
    taught = TASK.expecting(SCORED, TASK.judge(-vectors, SCORED))
    np.testing.assert_array_equal(TASK.judge(vectors, taught), judged)


@pytest.mark.parametrize("rows", [ALONE, SEARCHED])
def test_pairs_without_scores_are_compared_with_the_teachers_similarities(rows):
    student, teacher = RNG.normal(size=(2, len(rows.rows), 5)).astype(np.float32)
    assert TASK.measures(student, rows)["spearman"] == pytest.approx(1)
    taught = TASK.expecting(rows, TASK.judge(teacher, rows))
    first, second = pairs_of(rows)
    assert (first != second).all()
    own, theirs = (
        [cosine(v[i].astype(float), v[j].astype(float)) for i, j in zip(first, second, strict=True)] for v in (student, teacher)
    )
    np.testing.assert_allclose(TASK.judge(student, taught)[:, 1:], np.stack([own, theirs], axis=1), atol=1e-12)
    assert TASK.measures(student, taught)["spearman"] == pytest.approx(spearmanr(own, theirs).statistic)
    assert TASK.measures(teacher, taught)["spearman"] == pytest.approx(1)
    assert TASK.relation(student, teacher, taught)["agreement"] == pytest.approx(spearmanr(own, theirs).statistic)
    assert TASK.loss(teacher, taught) == 0 < TASK.loss(student, taught)


def test_pairs_that_chance_makes_are_always_the_same_and_use_each_row_twice():
    first, second = pairs_of(ALONE)
    assert sorted(first) == sorted(second) == list(range(6))
    np.testing.assert_array_equal(pairs_of(ALONE), pairs_of(split([NONE] * 6)))


def test_a_second_text_is_searched_among_all_second_texts():
    unit = np.eye(7, dtype=np.float32)
    unit[0], unit[2], unit[4] = unit[1] + 0.1 * unit[3], unit[1] + 0.5 * unit[3], unit[3] + 0.5 * unit[1] + 0.2 * unit[5]
    first, _ = pairs_of(SEARCHED)
    judged = TASK.judge(unit, SEARCHED)
    assert dict(zip(first.tolist(), judged[:, 0], strict=True)) == {0: 1, 2: 2, 4: 3}
    found = TASK.measures(unit, SEARCHED)
    assert found["recall_at_1"] == pytest.approx(1 / 3)
    assert found["recall_at_10"] == 1
    assert found["ndcg_at_10"] == pytest.approx((1 + 1 / np.log2(3) + 1 / np.log2(4)) / 3)


def test_equal_second_texts_are_one_and_beyond_ten_nothing_is_found():
    ranks = np.array([[11.0, 0, 0], [10, 0, 0]])
    assert TASK.score("ndcg_at_10", ranks) == pytest.approx(1 / np.log2(11) / 2)
    assert TASK.score("recall_at_10", ranks) == 0.5
    ids = SEARCHED.rows.ids.copy()
    ids[3] = ids[1]
    vectors = np.ones((7, 3), np.float32)
    vectors[1], vectors[4], vectors[5] = (1 + 1e-3, 1, 1), (1, 0, 0), (1, 0, 0)
    same = replace(SEARCHED, rows=replace(SEARCHED.rows, ids=ids))
    assert TASK.judge(vectors, same)[:, 0].max() == 1


def test_pairs_of_which_the_teacher_says_nothing_are_left_out():
    teacher = RNG.normal(size=(6, 3)).astype(np.float32)
    teacher[2] = np.nan
    taught = TASK.expecting(ALONE, TASK.judge(teacher, ALONE))
    student = RNG.normal(size=(6, 3)).astype(np.float32)
    judged = TASK.judge(student, taught)
    assert np.isfinite(judged).all(axis=1).sum() == 4 == len(judged) - 2
    known = judged[np.isfinite(judged).all(axis=1)]
    assert TASK.measures(student, taught)["spearman"] == pytest.approx(spearmanr(known[:, 1], known[:, 2]).statistic)
    assert np.isfinite(TASK.loss(student, taught))
    assert TASK.score("spearman", TASK.judge(np.full((6, 3), np.nan, np.float32), taught)) == 0
    teacher = RNG.normal(size=(7, 3)).astype(np.float32)
    teacher[1] = np.nan
    ranks = TASK.judge(teacher, SEARCHED)[:, 0]
    assert np.isnan(ranks).sum() == 1


def test_both_texts_of_a_pair_are_shown():
    assert [TASK.rows_of(line, SCORED) for line in range(3)] == [[0, 1], [3, 4], [7, 8]]
