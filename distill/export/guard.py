"""INT8 files that follow their fp32 ones: measured on validation rows, and mended where they do not. Test rows decide nothing."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from distill.core import progress
from distill.core.arrays import Array
from distill.data.dataset import Dataset
from distill.export.quantize import excluded, quantize, weighted
from distill.export.scores import predicted
from distill.export.session import FP32, INT8, files_of, open_session
from distill.params.exports import ExportSettings
from distill.params.task_specs import TASK_SPECS
from distill.tasks.base import EvaluationSplit
from distill.tasks.registry import task_of

MAX_LOST, MAX_CHANGED = 0.003, 0.01
"""What INT8 may lose of the metric, and the share of answers that it may change."""
FEW = 3
"""So many answers that change, or fewer, prove nothing: rows at the border of two classes go either way."""
OF_PROBABILITIES = ("likelihood", "map")
"""Metrics of which answers tell nothing."""
GROUPS = 16
"""Layers are measured in groups of neighbours, so many at most."""
GROUPS_IN_FP32 = (1, 2, 4, 8)
"""So many groups, the most sensitive for their size, are left in fp32, one attempt after the other; half of all at most."""
PROBES = 32
"""Rows on which groups are measured."""
Calibration = Callable[[], Iterator[dict[str, Array]]]


@dataclass(frozen=True)
class Attempt:
    """A way to make the INT8 file, and how far what it made follows fp32 on validation rows."""

    how: str
    """`dynamic` or `static`."""
    fp32: tuple[str, ...]
    """The layers that stay in fp32, as torch names them, beside those of `keep_fp32`."""
    lost: float
    """Of the metric; of a likelihood, which may be small, the share of it."""
    changed: float
    """The share of answers; of numbers, 1 − the correlation."""
    others: int | None
    """How many rows, questions, tags or tokens have another answer; None of numbers, of which all change a little."""
    counted: bool = True
    """Whether the metric is told by these answers alone, so that a few others prove nothing of what is lost."""

    @property
    def fits(self) -> bool:
        """Whether it loses and changes little, or too few answers change to tell."""
        few = self.others is not None and self.others <= FEW
        keeps = (few and self.counted) or self.lost <= MAX_LOST + 1e-9
        return keeps and (few or self.changed <= MAX_CHANGED + 1e-9)


@dataclass(frozen=True)
class GuardedExport:
    """How an INT8 file was made."""

    attempts: list[Attempt]
    validation: Mapping[str, Array]
    """Of both files, by name, what `predicted` gives for the validation rows."""


def record(attempts: Sequence[Attempt], task: str, metric: str) -> dict[str, Any]:
    """What was tried, in its order, what was kept, and `told`, that in a line, if more was tried than what was asked for."""
    best = best_attempt(attempts)
    about = {"how": best.how, "fp32": list(best.fp32), "lost": best.lost, "changed": best.changed, "fits": best.fits}
    return {**about, "attempts": [asdict(each) for each in attempts], "told": _told(attempts, task, metric)}


def best_attempt(attempts: Sequence[Attempt]) -> Attempt:
    """The first that fits, or the one that loses least."""
    return min(attempts, key=lambda each: (not each.fits, each.lost, each.changed))


def _told(attempts: Sequence[Attempt], task: str, metric: str) -> str:
    """What became of a file that lost or changed too much, in a line; nothing of one that did not."""
    first, best = attempts[0], best_attempt(attempts)
    if first.fits:
        return ""
    layers = ", ".join(f"`{name}`" for name in best.fp32)
    how = best.how + (f", with {layers} in fp32," if layers else "")
    share, numbers = metric == "likelihood", TASK_SPECS[task].correlated
    points, changes = (
        "% of the likelihood" if share else " points",
        "correlates {:.4f} with fp32" if numbers else "changes {:.2%}",
    )

    def did(one: Attempt) -> str:
        verb, part = "loses" if one.lost >= 0 else "gains", 1 - one.changed if numbers else one.changed
        return f"{verb} {100 * abs(one.lost):.2f}{points} and {changes.format(part)}"

    end = f"{how} {did(best)}"
    if not best.fits:
        limit = f"{1 - MAX_CHANGED:g}" if numbers else f"{MAX_CHANGED:.0%}"
        end = f"nothing brought that to {100 * MAX_LOST:g}{points} and {limit}, and the nearest is kept: {end}"
    return f"on validation rows the first INT8 file, {first.how}, {did(first)}{'' if numbers else ' of the answers'}; {end}"


def quantize_guarded(
    folder: Path, dataset: Dataset, settings: ExportSettings, calibration: Callable[[str], Calibration]
) -> GuardedExport:
    """Write the INT8 file as `settings` ask; if that loses or changes too much, the other way, then dynamic with layers in fp32.

    `folder` has the fp32 file, config and tokenizer; `calibration` gives a split's rows in batches of one. What a layer does to
    the logits is measured by quantizing its group alone. The first file that fits is kept, else the one that loses least.
    """
    guard = _Guard(folder, dataset, settings, calibration)
    guard.attempt(settings.quantization)
    if not guard.attempts[0].fits:
        guard.mend()
    return GuardedExport(guard.attempts, {FP32: guard.exact, INT8: guard.rounded})


class _Guard:
    """The attempts so far; the best one's files are in the folder."""

    def __init__(
        self, folder: Path, dataset: Dataset, settings: ExportSettings, calibration: Callable[[str], Calibration]
    ) -> None:
        """Run the fp32 file on the validation rows."""
        self.folder, self.dataset, self.settings, self.calibration = folder, dataset, settings, calibration
        self.task, self.split = task_of(dataset.task), EvaluationSplit.from_dataset(dataset, "validation")
        self.exact = predicted(folder / FP32, dataset, self.split)
        self.split = self.task.expecting(self.split, self.task.judge(self.exact, self.split))
        self.score = self._score(self.exact)
        self.asked = excluded(folder / FP32, settings.keep_fp32)
        self.attempts: list[Attempt] = []

    def attempt(self, how: str, nodes: Sequence[str] = (), split: str = "validation") -> Attempt:
        """Make a file with these nodes in fp32, measure it, and keep it if it is the best so far."""
        with TemporaryDirectory(dir=self.folder) as place:
            path = Path(place, INT8)
            self._quantize(path, how, [*self.asked, *nodes], split)
            found = predicted(path, self.dataset, self.split, settings=self.folder)
            changed = 1 - self.task.relation(found, self.exact, self.split)["agreement"]
            names = tuple(sorted({node.rpartition("/")[0].replace("/", ".").removeprefix(".model.") for node in nodes}))
            lost = self.score - self._score(found)
            lost /= self.score if self.dataset.metric == "likelihood" and self.score else 1
            this = Attempt(how, names, lost, changed, self._others(found), self.dataset.metric not in OF_PROBABILITIES)
            self.attempts.append(this)
            if best_attempt(self.attempts) is this:
                self.rounded = found
                for file in files_of(self.folder / INT8):
                    file.unlink(missing_ok=True)
                for file in files_of(path):
                    shutil.move(file, self.folder / file.name)
        return this

    def _others(self, found: Array) -> int | None:
        """How many answers are not those of fp32."""
        if self.task.spec.correlated:
            return None
        answers = (self.task.lines(kept, self.split).predicted for kept in (found, self.exact))
        return int(sum(own != other for own, other in zip(*answers, strict=True)))

    def mend(self) -> None:
        """Attempt the other way of scaling activations, then layers in fp32, until one fits.

        Layers are left out of dynamic files: there the harm that a layer does is its own, and no calibration is needed to see it.
        Those that do the most a weight are left out first: a table of words is most of a small model's bytes.
        """
        weights = weighted(self.folder / FP32)
        nodes = [node for node in weights if node not in self.asked]
        groups = [part.tolist() for part in np.array_split(np.array(nodes, object), min(GROUPS, len(nodes)))] if nodes else []
        left = [count for count in GROUPS_IN_FP32 if count <= len(groups) // 2]
        title = f"mend {self.folder.name.strip('.').removesuffix('.unfinished')}"
        with progress.bar(total=1 + len(groups) + len(left), title=title, unit="attempt") as bar:
            other = {"dynamic": "static", "static": "dynamic"}[self.settings.quantization]
            if self.attempt(other, split="train").fits:
                return
            bar.update()
            harms = [self._harm([node for node in nodes if node not in group], bar) for group in groups]
            sizes = [sum(weights[node] for node in group) for group in groups]
            order = np.argsort(-np.array(harms) / np.array(sizes), kind="stable")
            for count in left:
                if self.attempt("dynamic", [node for place in order[:count] for node in groups[place]]).fits:
                    return
                bar.update()

    def _harm(self, exact: Sequence[str], bar: Any) -> float:
        """The mean squared change of logits where all but these nodes are quantized."""
        with TemporaryDirectory(dir=self.folder) as place:
            path = Path(place, INT8)
            self._quantize(path, "dynamic", [*self.asked, *exact], "train")
            sessions = open_session(self.folder / FP32), open_session(path)
            rows = [batch for batch, _ in zip(self.calibration("train")(), range(PROBES), strict=False)]
            bar.update()
            return float(np.mean([np.square(np.subtract(*(session(batch) for session in sessions))).mean() for batch in rows]))

    def _quantize(self, path: Path, how: str, exact: Sequence[str], split: str) -> None:
        rows = self.calibration(split)() if how == "static" else None
        quantize(self.folder / FP32, path, calibration=rows, exact=exact, reduce_range=self.settings.reduce_range)

    def _score(self, kept: Array) -> float:
        return self.task.score(self.dataset.metric, self.task.judge(kept, self.split))
