import numpy as np

from distill.evaluation.details import AnsweredAlone, Coverage
from distill.evaluation.selective import answered, coverage
from distill.tasks.judged import Judged

CONFIDENCE = np.linspace(0.02, 1.0, 200)
RIGHT = np.ones(200, bool)
RIGHT[:40:2] = False
"""Wrong on 20 of the 40 rows that it is least sure of."""


def judged(right: np.ndarray, confidence: np.ndarray | None = CONFIDENCE) -> Judged:
    return Judged(tuple(map(str, range(len(right)))), confidence, right, right[:, None].astype(float))


def test_the_curve_is_the_share_right_of_the_surest_rows_in_any_order() -> None:
    curve = coverage(judged(RIGHT))
    assert curve[0] == Coverage(0.025, 1.0)
    assert curve[-1] == Coverage(1.0, 0.9)
    for point in curve:
        surest = np.argsort(-CONFIDENCE)[: round(point.share * 200)]
        assert point.right == RIGHT[surest].mean()
    order = np.random.default_rng(0).permutation(200)
    assert coverage(judged(RIGHT[order], CONFIDENCE[order])) == curve
    assert coverage(judged(RIGHT, None)) == ()


def test_the_confidence_is_chosen_on_validation_and_measured_on_test() -> None:
    test = RIGHT.copy()
    test[100] = False
    found = answered(judged(RIGHT), judged(test))
    kept = found.threshold <= CONFIDENCE
    assert found == AnsweredAlone(kept.mean(), test[kept].mean(), 0.99, found.threshold)
    assert RIGHT[kept].mean() >= 0.99 > RIGHT[CONFIDENCE[int((~kept).sum()) - 2] <= CONFIDENCE].mean()
    assert answered(judged(np.ones(200, bool)), judged(test)) == AnsweredAlone(1.0, test.mean(), 0.99, 0.0)
    assert answered(judged(np.arange(200) % 2 == 0), judged(test)) is None
    tied = answered(judged(RIGHT, np.full(200, 0.7)), judged(test))
    assert (tied.goal, tied.share) == (0.9, 1.0)
