import math

import pytest

from distill.report.pareto import BOTTOM, LEFT, RIGHT, TOP, Scale, Teacher, chart, front, linear_ticks, log_ticks
from tests.report.test_choose import candidate

FOUND = [candidate("best", 0.95, 8, 60), candidate("beaten", 0.90, 9, 50), candidate("small", 0.91, 2, 10)]


def test_the_front_has_those_that_no_other_beats_in_both() -> None:
    assert [own.name for own in front(FOUND, "latency_ms")] == ["small", "best"]
    equal = [candidate("a", 0.9, 5), candidate("b", 0.95, 5)]
    assert [own.name for own in front(equal, "latency_ms")] == ["b"]


@pytest.mark.parametrize(
    ("make", "low", "high", "ticks"),
    [
        (log_ticks, 0.8, 12000.0, [1, 10, 100, 1000, 10000]),
        (log_ticks, 0.25, 14.0, [0.3, 1, 3, 10]),
        (log_ticks, 4.0, 110.0, [5, 10, 20, 50, 100]),
        (log_ticks, 1.05, 1.4, []),
        (linear_ticks, 0.918, 0.981, [0.92, 0.94, 0.96, 0.98]),
        (linear_ticks, -0.2, 1.0, [-0.2, 0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (linear_ticks, 0.9, 0.91, [0.9, 0.902, 0.904, 0.906, 0.908, 0.91]),
    ],
)
def test_ticks_are_round_and_a_scale_is_linear_between_its_ends(make, low: float, high: float, ticks: list[float]) -> None:
    assert make(low, high) == ticks
    assert [Scale(1.0, 3.0, 0, 100).place(value) for value in (1.0, 2.0, 3.0)] == [0, 50, 100]


@pytest.mark.parametrize("axis", ["latency_ms", "megabytes"])
def test_everything_lies_in_the_plot_better_is_higher_and_more_is_further_right(axis) -> None:
    drawn = chart(FOUND, [Teacher("big", 0.96, 20.0, 160.0)], axis)
    points = [*drawn["points"], *drawn["teachers"]]
    assert all(LEFT < point["x"] < RIGHT and TOP < point["y"] < BOTTOM for point in points)
    best, beaten, small, teacher = points
    assert teacher["y"] < best["y"] < small["y"] < beaten["y"]
    assert small["x"] < best["x"] < teacher["x"]
    assert drawn["front"] == f"M{small['x']} {small['y']}H{best['x']}V{best['y']}H{RIGHT}"
    assert all(LEFT <= tick["place"] <= RIGHT for tick in drawn["x_ticks"])
    assert drawn["x"]["low"] == pytest.approx(math.log(0.8 * (2 if axis == "latency_ms" else 10)))
    alone = chart(FOUND[:1], [], axis)
    assert len({tick["text"] for tick in alone["y_ticks"]}) == len(alone["y_ticks"]) >= 2
