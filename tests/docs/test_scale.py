"""The numbers of docs/scale.md, computed from its formulas."""

from pathlib import Path

import numpy as np
import pytest

from distill.store.codecs.vectors import bytes_a_vector
from distill.targets.materialization.units import TeacherShape, row_bytes
from tests.benchmarks.scale import HIDDEN, LAYERS, SETS, SMALL, TOKENS_A_SECOND, WIDTH, run

DOC = (Path(__file__).parent.parent.parent / "docs" / "scale.md").read_text(encoding="utf-8")
WEIGHTS, CORES = 85e6, 2
GPU_FLOPS = 0.4 * 312e12


def flops(length: int) -> float:
    """Of the teacher, a token."""
    return 2 * WEIGHTS + 4 * LAYERS * WIDTH * length


def size(count: float) -> str:
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if count >= unit:
            return f"{count / unit:,.1f} {name}"
    raise ValueError(count)


def hours(seconds: float) -> str:
    return f"{seconds / 60:.1f} minutes" if seconds < 3600 else f"{seconds / 3600:,.1f} hours"


def table() -> str:
    lines = [
        "| data set | tokens | logits | 5 hidden states | teacher, 2 CPU cores | teacher, A100 |",
        "|---|---|---|---|---|---|",
    ]
    for name, scale in SETS.items():
        tokens = scale.rows * scale.length
        cells = (
            f"{tokens / 1e6:,.1f} million",
            *map(size, scale.bytes().values()),
            hours(tokens / (CORES * TOKENS_A_SECOND)),
            hours(tokens * flops(scale.length) / GPU_FLOPS),
        )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def test_the_table_is_what_the_formulas_give():
    assert table() in DOC


def test_what_a_student_reads():
    tokens_a_second = GPU_FLOPS / (3 * WEIGHTS)
    assert f"reads {size(tokens_a_second * (len(HIDDEN) * bytes_a_vector('int8', WIDTH) + 4))}/s" in DOC.replace("\n", " ")
    assert size(30_522 * 2 * 3e9) == "183.1 TB"


def test_the_formulas_of_bytes_are_those_of_the_store():
    shape = TeacherShape(LAYERS, WIDTH, 12, 3)
    assert row_bytes("hidden-03", "int8", np.array([40]), False, shape).tolist() == [40 * (WIDTH + 2)]
    assert row_bytes("logits", "fp32", np.array([1]), False, shape).tolist() == [4 * 3]


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_a_run_over_a_part_takes_the_bytes_that_are_promised(tmp_path, name):
    """Of a teacher with less between its hidden states, which changes no byte."""
    scale, fraction = SETS[name], 1536 / (SETS[name].rows * SETS[name].length)
    promised, measured = scale.bytes(fraction), run(scale, tmp_path, fraction, intermediate_size=8)
    assert 0.95 < measured["hidden"] / promised["hidden"] < 1.05
    assert 0.9 * promised["logits"] < measured["logits"] < 1.1 * promised["logits"] + 4096
