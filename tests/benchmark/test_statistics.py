import numpy as np
import pytest

from distill.benchmark.statistics import latency, speedup, throughput


def noisy(median: float, rounds: int = 40, calls: int = 3, seed: int = 0) -> np.ndarray:
    """Seconds with a deviation of 10%."""
    return median * np.random.default_rng(seed).normal(1, 0.1, (rounds, calls))


def test_percentiles_are_in_milliseconds() -> None:
    found = latency(np.arange(1, 101).reshape(50, 2) / 1000)
    assert [found[key] for key in ("p50", "p95", "p99", "calls")] == pytest.approx([50.5, 95.05, 99.01, 100])
    percentiles = found["percentiles"]
    assert [percentiles[key] for key in ("0", "50", "95", "99", "100")] == pytest.approx([1, 50.5, 95.05, 99.01, 100])


def test_the_interval_of_a_median_holds_it_and_shrinks_with_more_rounds() -> None:
    few, many = latency(noisy(0.01, 10)), latency(noisy(0.01, 400))
    for found in (few, many):
        assert found["p50_low"] <= found["p50"] <= found["p50_high"]
    assert many["p50_high"] - many["p50_low"] < 0.5 * (few["p50_high"] - few["p50_low"])


def test_intervals_hold_the_truth_about_95_times_of_100() -> None:
    found = [latency(noisy(0.01, seed=seed)) for seed in range(100)]
    assert 85 <= sum(own["p50_low"] <= 10 <= own["p50_high"] for own in found) <= 100


def test_a_disturbance_that_both_share_in_a_round_leaves_their_ratio_alone_and_other_rounds_are_refused() -> None:
    disturbed = np.random.default_rng(0).uniform(1, 5, (40, 1))
    slow, fast = 0.03 * disturbed * np.ones((1, 3)), 0.01 * disturbed * np.ones((1, 3))
    assert speedup(slow, fast) == pytest.approx({"speedup": 3, "speedup_low": 3, "speedup_high": 3})
    assert speedup(slow, slow) == {"speedup": 1.0, "speedup_low": 1.0, "speedup_high": 1.0}
    assert latency(slow)["p50_high"] > 1.2 * latency(slow)["p50_low"]
    with pytest.raises(ValueError, match="not timed in one run"):
        speedup(noisy(1, 5), noisy(1, 6))


def test_throughput_is_rows_by_seconds() -> None:
    found = throughput(noisy(0.5, calls=1), 32)
    assert found["rows_a_second"] == pytest.approx(64, rel=0.1)
    assert found["rows_a_second_low"] <= found["rows_a_second"] <= found["rows_a_second_high"]
