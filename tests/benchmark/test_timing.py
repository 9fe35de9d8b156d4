import time

import numpy as np
import pytest

from distill.benchmark.machine import Meter, describe, processor
from distill.benchmark.timing import Arm, Duration, interleave

NO_METER = Meter(())


def recorded(log: list[tuple[str, int]], name: str) -> Arm:
    return Arm(
        lambda number: {"input_ids": np.full((1, 1), number)}, lambda batch: log.append((name, int(batch["input_ids"][0, 0])))
    )


def test_every_round_visits_all_models_and_they_read_the_same_numbers() -> None:
    log: list[tuple[str, int]] = []
    arms = {name: recorded(log, name) for name in "abc"}
    found = interleave(arms, Duration(seconds=0.0, calls=2, least=3, most=9), "test", NO_METER)
    assert {name: times.seconds.shape for name, times in found.items()} == dict.fromkeys("abc", (3, 2))
    visits = [log[i : i + 3] for i in range(0, len(log), 3)]  # a call that is not counted, and two that are
    assert len(visits) == 4 * 3  # a round that is not counted, and three that are
    for number in range(4):
        own = visits[3 * number : 3 * number + 3]
        assert {visit[0][0] for visit in own} == set("abc")
        for visit in own:
            assert [read for _, read in visit] == [2 * number, 2 * number, 2 * number + 1]
    orders = {tuple(visit[0][0] for visit in visits[3 * number : 3 * number + 3]) for number in range(4)}
    assert len(orders) > 1


def ticking(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still unless a test moves it: the number in it."""
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    return clock


def passing(clock: list[float], seconds: float) -> None:
    clock[0] += seconds


def test_it_ends_with_the_budget_but_not_before_the_least_nor_after_the_most(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ticking(monkeypatch)
    arms = {"a": Arm(lambda _: {}, lambda _: passing(clock, 0.001))}
    counts = [len(interleave(arms, Duration(seconds, 1, 3, 8), "test", NO_METER)["a"].seconds) for seconds in (0.0, 60.0)]
    assert counts == [3, 8]


@pytest.mark.parametrize(("noise", "rounds"), [(0.0, 10), (0.5, 30)])
def test_it_ends_sooner_once_the_ratios_are_known(monkeypatch: pytest.MonkeyPatch, noise: float, rounds: int) -> None:
    clock, rng = ticking(monkeypatch), np.random.default_rng(0)

    def lasting(seconds: float) -> Arm:
        return Arm(lambda _: {}, lambda _: passing(clock, seconds * (1 + noise * rng.random())))

    arms = {"slow": lasting(0.5), "quick": lasting(0.1)}
    assert len(interleave(arms, Duration(1e6, 3, 5, 30), "test", NO_METER)["quick"].seconds) == rounds


def test_seconds_are_those_of_the_calls_and_not_of_making_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ticking(monkeypatch)

    def slow_batch(_: int) -> dict[str, np.ndarray]:
        passing(clock, 0.05)
        return {}

    found = interleave({"a": Arm(slow_batch, lambda _: passing(clock, 0.002))}, Duration(0.0, 1, 3), "test", NO_METER)
    np.testing.assert_allclose(found["a"].seconds, np.full((3, 1), 0.002))
    assert found["a"].joules is None


def counters(folder, microjoules: int) -> None:
    for name in ("intel-rapl:0", "intel-rapl:0:0"):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "energy_uj").write_text(str(microjoules))
        (folder / name / "max_energy_range_uj").write_text("1000000")


def test_energy_is_read_of_packages_alone_and_across_the_end_of_their_range(tmp_path) -> None:
    assert not Meter.find(tmp_path / "none").counters
    counters(tmp_path, 900_000)
    meter = Meter.find(tmp_path)
    assert [zone.name for zone in meter.counters] == ["intel-rapl:0"]
    before = meter.read()
    counters(tmp_path, 950_000)
    assert meter.joules(before, meter.read()) == pytest.approx(0.05)
    counters(tmp_path, 100_000)
    assert meter.joules(before, meter.read()) == pytest.approx(0.2)
    counters(tmp_path, 0)
    arm = Arm(lambda _: {}, lambda _: counters(tmp_path, meter.read()[0] + 2000))
    assert interleave({"a": arm}, Duration(0.0, 4, 3), "test", meter)["a"].joules == pytest.approx(0.002)


def test_the_machine_is_described(tmp_path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Fast 9000\n")
    assert processor(tmp_path / "cpuinfo") == "Fast 9000"
    assert processor(tmp_path / "none")
    assert {"processor", "threads", "torch", "onnxruntime"} <= set(describe(3))
