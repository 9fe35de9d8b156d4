"""What a process that helps to materialize a target set is told."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from distill.prepared import Dataset
from distill.targets.layout import Unit
from distill.targets.outputs import Job
from distill.targets.pool import open_pool
from distill.targets.teacher import open_teacher
from distill.targets.writer import Materializer, Statistics


@dataclass(frozen=True)
class Order:
    """What another process has to know to do its share. Paths have to lead to the same files wherever it runs."""

    teacher: Path
    dataset: Path
    job: Job
    scratch: Path
    pool: str | None
    statistics: Statistics = field(default_factory=dict)
    units: tuple[Unit, ...] = ()

    @classmethod
    def of(cls, made: Materializer, teacher: Path, dataset: Path, pool: str | None) -> "Order":
        """What is missing of a set that the teacher has to be asked for."""
        units = tuple(dataclasses.replace(unit, copy=()) for unit in made.missing() if made.read(unit))
        pool = pool if pool is None or "://" in pool else str(Path(pool).absolute())
        scratch = made.pool.folder.absolute()
        return cls(teacher.absolute(), dataset.absolute(), made.job, scratch, pool, made.statistics, units)

    def open(self) -> Materializer:
        """Load the teacher and the rows.

        Raises:
            UserError: they are missing, or do not fit each other.
        """
        dataset = Dataset.open(self.dataset)
        pool = open_pool(self.scratch, self.pool)
        return Materializer(open_teacher(self.teacher, dataset), dataset, self.job, pool, statistics=self.statistics)
