import numpy as np
import pytest

from distill.core.errors import UserError
from distill.tasks.cascade import cascade, fit, joined
from distill.tasks.judged import FILE, Judged, read_judged, write_judged

LABELS = np.zeros(200, np.int64)
CLASSES = "sequence-classification"


def judged(right: np.ndarray, confidence: np.ndarray | None) -> Judged:
    rows = np.stack([1.0 - right, 0.0 * right, np.ones(len(right))], axis=1)
    return Judged(tuple(map(str, range(len(right)))), confidence, right.astype(bool), rows)


SURE = np.linspace(0.5, 1.0, 200)
STUDENT = judged(np.arange(200) >= 30, SURE)
"""Wrong where it is least sure."""
TEACHER = judged(np.arange(200) % 20 != 0, None)
"""Wrong on every twentieth row."""


def test_the_fewest_rows_are_sent_that_reach_the_teacher_on_validation() -> None:
    threshold = fit(CLASSES, "accuracy", STUDENT, TEACHER)
    sent = threshold > SURE
    assert joined(STUDENT, TEACHER, sent)[:, 0].mean() <= TEACHER.rows[:, 0].mean()
    fewer = SURE[int(sent.sum()) - 3] > SURE
    assert joined(STUDENT, TEACHER, fewer)[:, 0].mean() > TEACHER.rows[:, 0].mean()
    both = dict.fromkeys(("validation", "test"), STUDENT), dict.fromkeys(("validation", "test"), TEACHER)
    found = cascade(CLASSES, "accuracy", *both)
    assert found == {
        "threshold": threshold,
        "sent": sent.mean(),
        "accuracy": pytest.approx(np.where(sent, TEACHER.right, STUDENT.right).mean()),
    }


def test_who_needs_nobody_or_cannot_tell_has_no_cascade() -> None:
    better = judged(np.ones(200), SURE)
    assert fit(CLASSES, "accuracy", better, TEACHER) is None
    assert fit(CLASSES, "accuracy", TEACHER, STUDENT) is None
    hopeless = judged(np.zeros(200), SURE)
    assert (fit(CLASSES, "accuracy", hopeless, TEACHER) > SURE).all()


@pytest.mark.parametrize("shape", [(3,), (3, 4)])
def test_what_is_written_is_read(shape: tuple[int, ...], tmp_path) -> None:
    rng = np.random.default_rng(0)
    kept = {
        (split, model): Judged(("a", "b"), confidence, np.array([True, False]), rng.normal(size=(2, *shape)))
        for split, model, confidence in (
            ("test", "7", np.array([0.5, 0.9])),
            ("test", "teacher", None),
            ("validation", "7", None),
        )
    }
    write_judged(tmp_path / FILE, kept)
    first = (tmp_path / FILE).read_bytes()
    found = read_judged(tmp_path, "test", "evaluate@x")
    assert list(found) == ["7", "teacher"]
    np.testing.assert_allclose(found["7"].rows, kept["test", "7"].rows, rtol=1e-6)
    np.testing.assert_allclose(found["7"].confidence, [0.5, 0.9], rtol=1e-6)
    assert (found["7"].ids, found["7"].right.tolist(), found["teacher"].confidence) == (("a", "b"), [True, False], None)
    write_judged(tmp_path / FILE, kept)
    assert (tmp_path / FILE).read_bytes() == first
    (tmp_path / FILE).write_bytes(first[:50])
    with pytest.raises(UserError, match=r"judged\.parquet: is damaged .*; run `dvc repro --force --single-item evaluate@x`"):
        read_judged(tmp_path, "test", "evaluate@x")
    with pytest.raises(UserError, match="is missing; expected what `dvc repro evaluate@x` writes"):
        read_judged(tmp_path / "none", "test", "evaluate@x")
