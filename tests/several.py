"""Students trained by one process or by several, each started as `-m tests.several FOLDER SCRATCH BATCH_SIZE`."""

import os
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import TrainerCallback

from distill.core.processes import is_main_process
from distill.data.dataset import Dataset
from distill.params.students import SampleWeight
from distill.store.target_set import TargetStore
from distill.students.objective import objective_and_rows
from distill.tasks.base import EvaluationSplit
from distill.training import trainer as training
from distill.training.trainer import train
from tests.formulas import random_model, settings

EPOCHS = 2
VARIANTS = ("hinton", "tinybert-intermediate", "minilm", "mobilebert-transfer")
DROPOUT = {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
NO_DROPOUT = dict.fromkeys(DROPOUT, 0.0)


class Interrupt(TrainerCallback):
    """Stops a run in its second epoch."""

    def on_step_begin(self, args, state, control, **_):
        if state.epoch and state.epoch > 1.5:
            raise KeyboardInterrupt


def trained(folder: Path, variant: str, scratch: Path, batch_size: int, **more: object) -> dict[str, torch.Tensor]:
    """The weights of a narrow student, and of its projection, after two epochs; and its losses and scores."""
    dataset, store = Dataset.open(folder / "tiny"), TargetStore.open(folder / "targets")
    student = random_model(dataset, layers=2, width=8, seed=5, **(more or NO_DROPOUT))
    own = settings(variant, batch_size=batch_size, epochs=EPOCHS, learning_rate=3e-3, precision="fp32")
    if variant == "hinton":
        own = own.model_copy(update={"sample_weight": SampleWeight(suspect=1.0)})
    torch.manual_seed(3)
    objective, rows = objective_and_rows(own, student, dataset, store)
    run = train(
        student,
        rows,
        EvaluationSplit.from_dataset(dataset, "validation"),
        own,
        objective,
        seed=1,
        metric=dataset.metric,
        scratch=scratch,
        title=variant,
        keep="best" if own.trains_head else "last",
    )
    found = {name: parameter.detach() for name, parameter in student.named_parameters()}
    if objective.extra_modules is not None:
        found |= {f"extra_modules.{name}": parameter.detach() for name, parameter in objective.extra_modules.named_parameters()}
    curve = [value for entry in run.history for name, value in sorted(entry.items()) if name not in ("learning_rate", "epoch")]
    return {**found, "curve": torch.tensor(curve)}


def main(folder: Path, scratch: Path, batch_size: int) -> None:
    """Train all variants; several processes also one with dropout, undisturbed, and once more interrupted and resumed."""
    torch.use_deterministic_algorithms(True)
    found = {variant: trained(folder, variant, scratch / variant, batch_size) for variant in VARIANTS}
    if "RANK" in os.environ:
        found["undisturbed"] = trained(folder, "hinton", scratch / "undisturbed", batch_size, **DROPOUT)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(training, "EpochProgress", type("Stopping", (training.EpochProgress, Interrupt), {}))
            with pytest.raises(KeyboardInterrupt):
                trained(folder, "hinton", scratch / "resumed", batch_size, **DROPOUT)
        found["resumed"] = trained(folder, "hinton", scratch / "resumed", batch_size, **DROPOUT)
    if is_main_process():
        flat = {f"{variant}/{name}": value.contiguous() for variant, part in found.items() for name, value in part.items()}
        save_file(flat, folder / f"{batch_size}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
