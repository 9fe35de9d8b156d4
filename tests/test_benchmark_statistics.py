import numpy as np
import pytest

from distill.benchmark.statistics import latency, speedup, throughput


def noisy(median: float, rounds: int = 40, calls: int = 3, seed: int = 0) -> np.ndarray:
    """Seconds with a deviation of 10%."""
    return median * np.random.default_rng(seed).normal(1, 0.1, (rounds, calls))


def test_percentiles_are_in_milliseconds() -> None:
    found = latency(np.arange(1, 101).reshape(50, 2) / 1000)
    assert found["p50"] == pytest.approx(50.5)
    assert found["p95"] == pytest.approx(95.05)
    assert found["p99"] == pytest.approx(99.01)
    assert found["calls"] == 100


def test_the_interval_of_a_median_holds_it_and_shrinks_with_more_rounds() -> None:
    few, many = latency(noisy(0.01, 10)), latency(noisy(0.01, 400))
    for found in (few, many):
        assert found["p50_low"] <= found["p50"] <= found["p50_high"]
    assert many["p50_high"] - many["p50_low"] < 0.5 * (few["p50_high"] - few["p50_low"])


def test_intervals_hold_the_truth_about_95_times_of_100() -> None:
    held = 0
    for seed in range(100):
        found = latency(noisy(0.01, seed=seed))
        held += found["p50_low"] <= 10 <= found["p50_high"]
    assert 85 <= held <= 100


def test_a_model_is_once_as_fast_as_itself_for_sure() -> None:
    own = noisy(0.01)
    assert speedup(own, own) == {"speedup": 1.0, "speedup_low": 1.0, "speedup_high": 1.0}


def test_luck_that_both_share_in_a_round_leaves_their_ratio_alone() -> None:
    luck = np.random.default_rng(0).uniform(1, 5, (40, 1))
    slow, fast = 0.03 * luck * np.ones((1, 3)), 0.01 * luck * np.ones((1, 3))
    found = speedup(slow, fast)
    assert [found[key] for key in ("speedup_low", "speedup", "speedup_high")] == pytest.approx([3, 3, 3])
    assert latency(slow)["p50_high"] > 1.2 * latency(slow)["p50_low"]


def test_other_rounds_are_refused() -> None:
    with pytest.raises(ValueError, match="not timed in one run"):
        speedup(noisy(1, 5), noisy(1, 6))


def test_throughput_is_rows_by_seconds() -> None:
    found = throughput(noisy(0.5, calls=1), 32)
    assert found["rows_a_second"] == pytest.approx(64, rel=0.1)
    assert found["rows_a_second_low"] <= found["rows_a_second"] <= found["rows_a_second_high"]
