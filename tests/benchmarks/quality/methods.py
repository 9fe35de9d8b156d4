"""The students of the quality table: each a chain of stages, every stage an entry of params.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Method:
    """How a student is born and by which stages it is trained; the last stage is the student that is measured."""

    stages: tuple[Settings, ...]
    """Settings of each stage, born from the one before; `epochs_factor` multiplies the task's epochs."""
    init: Settings
    """How the first stage is born; TEACHER stands for the teacher's name."""
    tasks: tuple[str, ...] | None = None
    """The tasks that have it; None for all."""
    dataset: str = "TASK"
    """The data set that it learns on, where a stage does not name its own; TASK stands for the task's name."""
    half_depth: bool = False
    """3 layers of the teacher's 6, at its width."""

    @property
    def datasets(self) -> set[str]:
        """The data sets of all its stages."""
        return {stage.get("dataset", self.dataset) for stage in self.stages}

    @property
    def recipe(self) -> str:
        """What the table calls it: the recipes of its stages."""
        return " → ".join(dict.fromkeys(stage["recipe"] for stage in self.stages))


def half(*stages: Settings, **more: Any) -> Method:
    """A student of half the teacher's depth, born from its first layers: the same newborn for all methods."""
    return Method(stages, {"from": "data/teachers/TEACHER", "layers": [0, 1, 2]}, half_depth=True, **more)


NARROW = {"from": "data/teachers/TEACHER", "architecture": "tinybert-4", "copy_embeddings": True}
"""4 layers × 312, random but for the teacher's embeddings in 312 dimensions; 12 heads as the teacher's, so that scores are
compared head by head."""
HINTON = {"recipe": "hinton", "alpha": 0.5, "temperature": 4}
FAR = 5e-4
"""The learning rate of stages that move copied layers to where deeper ones were: a fine-tuning rate leaves them half-way."""
INTERMEDIATE = {"recipe": "tinybert", "stage": "intermediate"}
STATES = {**INTERMEDIATE, "attention_weight": 0, "learning_rate": FAR}
"""Without attention: its scores before the softmax are so much larger than states that copied layers learn little else."""
PREDICTION = {"recipe": "tinybert", "stage": "prediction"}
RELATIONS = {"recipe": "minilm", "learning_rate": FAR}
AUGMENTED = {"dataset": "TASK-augmented", "epochs_factor": 1}
"""A first stage on six times the rows, in half the epochs."""
METHODS: dict[str, Method] = {
    "supervised": half({"recipe": "supervised"}),
    "hinton": half(HINTON),
    "distilbert": half({"recipe": "distilbert"}),
    "pkd": half({"recipe": "pkd"}),
    "fitnets": half({"recipe": "fitnets"}, HINTON),
    "minilm": half(RELATIONS, HINTON),
    "tinybert": half(STATES, PREDICTION),
    "mobilebert": half({"recipe": "mobilebert", "stage": "transfer"}, {"recipe": "mobilebert", "stage": "distill"}),
    "minilm-augmented": half({**RELATIONS, **AUGMENTED}, HINTON, tasks=("mrpc",)),
    "tinybert-augmented": half({**STATES, **AUGMENTED}, PREDICTION, tasks=("mrpc",)),
    "four-hinton": Method((HINTON,), {"from": "data/teachers/TEACHER", "layers": [0, 1, 2, 3]}, tasks=("xquad",)),
    "narrow-supervised": Method(({"recipe": "supervised", "epochs_factor": 5, "learning_rate": 5e-4},), NARROW, tasks=("sst2",)),
    "narrow-tinybert": Method(
        (
            {**INTERMEDIATE, "layer_map": [1, 3, 4, 6], "learning_rate": 1e-3, "epochs_factor": 2},
            {**PREDICTION, "learning_rate": 3e-4},
        ),
        NARROW,
        tasks=("sst2",),
        dataset="TASK-augmented",
    ),
}


def methods_of(task: str, names: tuple[str, ...] = ()) -> dict[str, Method]:
    """The methods that a task has, those named alone if any are."""
    return {
        name: method
        for name, method in METHODS.items()
        if (method.tasks is None or task in method.tasks) and (not names or name in names)
    }
