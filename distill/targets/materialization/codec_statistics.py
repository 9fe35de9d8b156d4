"""What codecs have to know of an output before the first row is encoded: statistics of each channel, over some rows."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from distill.data.dataset import PreparedRows
from distill.store.codecs.vectors import calibrate, needs_statistics
from distill.targets.materialization.forward import Reading, sample
from distill.targets.materialization.outputs import MaterializeSpec, kept_in
from distill.targets.materialization.previous import PreviousSet

Statistics = Mapping[str, Mapping[str, Tensor]]
"""By output, then by the statistic's name."""

CALIBRATION_ROWS = 512
"""Rows, those of the lowest example ids, whose vectors give a codec its channel statistics."""


def statistics_of(
    rows: Mapping[str, PreparedRows], job: MaterializeSpec, stored: Mapping[str, str], base: PreviousSet, reading: Reading
) -> Statistics:
    """Those of the base, else of the first rows; `rows` are by split, `stored` has the codec of each output."""
    known = {output: base.statistics(output, codec) for output, codec in stored.items()}
    unknown = [output for output, codec in stored.items() if known[output] is None and needs_statistics(codec)]
    vectors: dict[str, Tensor] = {}
    for split in rows if unknown else ():
        if here := [output for output in unknown if output not in vectors and kept_in(output, split, job)]:
            vectors |= _first_vectors(rows[split], split, here, base, reading)
    measured = {output: calibrate(job.codec, vectors[output]).statistics for output in unknown}
    return {output: statistics for output, statistics in known.items() if statistics is not None} | measured


def _first_vectors(
    rows: PreparedRows, split: str, outputs: Sequence[str], base: PreviousSet, reading: Reading
) -> dict[str, Tensor]:
    """Vectors of a split's first rows: the base's, where it has them exactly, else the teacher's."""
    first = rows.firsts()[:CALIBRATION_ROWS]
    there = ((output, base.vectors(split, output, rows.ids[first])) for output in outputs)
    known = {output: vectors for output, vectors in there if vectors is not None}
    asked = [output for output in outputs if output not in known]
    return known | (sample(reading, rows, first, asked) if asked else {})
