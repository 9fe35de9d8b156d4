"""Every form of an answer says the same probabilities."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from distill.targets.given.numbers import (
    MIN_PROBABILITY,
    mean,
    of_log_probabilities,
    of_logits,
    of_probabilities,
    of_votes,
)

SHARES = st.lists(st.floats(0.01, 1.0), min_size=2, max_size=6).map(lambda weights: np.array(weights) / sum(weights))


def softmax(logits: np.ndarray) -> np.ndarray:
    """An independent float64 reference."""
    powers = [math.exp(value - max(logits)) for value in logits]
    return np.array([power / sum(powers) for power in powers])


@given(SHARES)
def test_probabilities_their_logarithms_and_logits_of_any_height_are_one_distribution(shares):
    for logits in (
        of_probabilities(shares, exclusive=True),
        of_log_probabilities(np.log(shares), exclusive=True),
        of_logits(np.log(shares) + 3, exclusive=True),
    ):
        np.testing.assert_allclose(softmax(logits), shares, atol=1e-12)


@given(SHARES, st.data())
def test_labels_that_are_missing_share_the_rest(shares, data):
    missing = np.array(data.draw(st.lists(st.booleans(), min_size=len(shares), max_size=len(shares))))
    assume(missing.any() and not missing.all())
    rest = shares[missing].sum() / missing.sum()
    expected = np.where(missing, rest, shares)
    for found in (
        of_probabilities(np.where(missing, np.nan, shares), exclusive=True),
        of_log_probabilities(np.where(missing, np.nan, np.log(shares)), exclusive=True),
    ):
        np.testing.assert_allclose(softmax(found), expected, atol=1e-9)


@given(st.lists(st.integers(0, 9), min_size=2, max_size=6), st.floats(0, 5))
def test_votes_are_the_mean_of_the_posterior(counts, prior):
    assume(sum(counts) > 0)
    found = of_votes(np.array([counts], float), np.array([sum(counts)]), prior, exclusive=True)
    expected = [(count + prior) / (sum(counts) + prior * len(counts)) for count in counts]
    np.testing.assert_allclose(softmax(found[0]), expected, atol=1e-9)


@given(st.integers(1, 9), st.data(), st.floats(0, 5))
def test_votes_for_labels_that_exclude_no_other_are_of_each(votes, data, prior):
    counts = data.draw(st.lists(st.integers(0, votes), min_size=1, max_size=4))
    found = of_votes(np.array([counts], float), np.array([votes]), prior, exclusive=False)
    expected = [(count + prior) / (votes + 2 * prior) for count in counts]
    np.testing.assert_allclose(1 / (1 + np.exp(-found[0])), expected, atol=1e-9)


@pytest.mark.parametrize("exclusive", [True, False])
def test_certainty_stays_finite(exclusive):
    found = of_probabilities(np.array([1.0, 0.0]), exclusive=exclusive)
    assert np.isfinite(found.astype(np.float32)).all()
    assert found[1] == pytest.approx(math.log(MIN_PROBABILITY))
    assert found[0] >= 0


def test_equal_rows_have_the_mean_probability():
    one, other = np.log([[0.9, 0.1]]), np.log([[0.5, 0.5]]) + 7
    np.testing.assert_allclose(softmax(mean([one, other], exclusive=True, numbers=False)[0]), [0.7, 0.3])
    np.testing.assert_allclose(mean([np.array([[1.0]]), np.array([[4.0]])], exclusive=True, numbers=True), [[2.5]])
    sure, unsure = np.array([[math.log(9)]]), np.array([[0.0]])
    np.testing.assert_allclose(mean([sure, unsure], exclusive=False, numbers=False), [[math.log(0.7 / 0.3)]])
    assert mean([one, one.copy()], exclusive=True, numbers=False) is one


@pytest.mark.parametrize(
    ("read", "found", "complaint"),
    [
        (of_probabilities, [0.5, 0.4], "whose sum is 0.9, expected 1"),
        (of_probabilities, [0.9, 0.4], "whose sum is 1.3, expected 1"),
        (of_probabilities, [-0.1, 1.1], "the probability -0.1, expected 0 to 1"),
        (of_probabilities, [0.9, 0.4, np.nan], "whose sum is 1.3"),
        (of_log_probabilities, [0.4, np.nan], "the log-probability 0.4, expected at most 0"),
        (of_log_probabilities, [-2.0, -2.0], "whose sum is 0.2707, expected 1"),
        (of_logits, [1.0, np.nan], "names 1 of 2 labels, expected a logit of each label"),
    ],
)
def test_what_is_no_answer_is_refused(read, found, complaint):
    with pytest.raises(ValueError, match=complaint):
        read(np.array(found), exclusive=True)


def test_of_labels_that_exclude_no_other_none_may_be_missing():
    with pytest.raises(ValueError, match="expected a probability of each label"):
        of_probabilities(np.array([0.5, np.nan]), exclusive=False)
