"""The numbers of docs/scale.md, computed from its formulas."""

from pathlib import Path

import numpy as np

from distill.store.codecs.vectors import bytes_a_vector
from distill.targets.materialization.units import TeacherShape, row_bytes

DOC = (Path(__file__).parent.parent.parent / "docs" / "scale.md").read_text(encoding="utf-8")
WIDTH, LAYERS, WEIGHTS, HIDDEN = 768, 12, 85e6, 5
CPU_TOKENS_A_SECOND = 2000
"""Measured: some 1,000 on each core of an AMD EPYC with AVX-512."""
GPU_FLOPS = 0.4 * 312e12
SETS = {
    # rows, tokens a row, bytes of logits a row
    "MNLI: 393k pairs of 40 tokens": (393_000, 40, 4 * 3 + 16),
    "SQuAD 1.1: 88k windows of 384": (88_000, 384, 4 * 2 * 384 + 16),
    "a corpus of 3 billion tokens": (3_000_000_000 // 128, 128, 4 * 3 + 16),
}


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
    for name, (rows, length, logits) in SETS.items():
        tokens = rows * length
        cells = (
            f"{tokens / 1e6:,.1f} million",
            size(rows * logits),
            size(HIDDEN * tokens * bytes_a_vector("int8", WIDTH)),
            hours(tokens / CPU_TOKENS_A_SECOND),
            hours(tokens * flops(length) / GPU_FLOPS),
        )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def test_the_table_is_what_the_formulas_give():
    assert table() in DOC


def test_what_a_student_reads():
    tokens_a_second = GPU_FLOPS / (3 * WEIGHTS)
    assert f"reads {size(tokens_a_second * (HIDDEN * bytes_a_vector('int8', WIDTH) + 4))}/s" in DOC.replace("\n", " ")
    assert size(30_522 * 2 * 3e9) == "183.1 TB"


def test_the_formulas_of_bytes_are_those_of_the_store():
    shape = TeacherShape(LAYERS, WIDTH, 12, 3)
    assert row_bytes("hidden-03", "int8", np.array([40]), False, shape).tolist() == [40 * (WIDTH + 2)]
    assert row_bytes("logits", "fp32", np.array([1]), False, shape).tolist() == [4 * 3]
