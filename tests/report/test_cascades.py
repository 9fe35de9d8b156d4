"""The latency of two models, of which some rows take both."""

import numpy as np
import pytest

from distill.benchmark.statistics import latency
from distill.report.cascades import both_latency


@pytest.mark.parametrize("sent", [0.0, 0.02, 0.2, 0.6, 1.0])
@pytest.mark.parametrize("percentile", [50.0, 95.0, 99.0])
def test_it_is_that_of_rows_that_take_either_or_both(sent: float, percentile: float) -> None:
    rng = np.random.default_rng(0)
    length = rng.lognormal(0, 0.4, 40_000)
    student, teacher = 2 * length, 11 * length + 1
    rows = student + teacher * (rng.random(len(length)) < sent)
    told = [latency(times[:, None] / 1000)["percentiles"] for times in (student, teacher)]
    assert both_latency(*told, sent, percentile) == pytest.approx(np.percentile(rows, percentile), rel=0.04)


def test_times_that_do_not_vary_are_either_or_both() -> None:
    same = {"0": 2.0, "100": 2.0}, {"100": 10.0, "0": 10.0}
    assert [both_latency(*same, 0.25, percentile) for percentile in (50.0, 74.0, 76.0, 95.0)] == [2, 2, 12, 12]
