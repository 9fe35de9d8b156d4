"""Students trained by one process or by several, each started as `-m tests.several FOLDER SCRATCH BATCH_SIZE`."""

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import TrainerCallback

from distill import training
from distill.distillation import objective_of, recipe_terms, target_collator, task_for
from distill.params.students import SampleWeight
from distill.prepared import Dataset
from distill.processes import leads
from distill.targets.reader import TargetStore
from distill.tasks.base import Gold
from distill.training import train
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
    terms = recipe_terms(own, student, store)
    objective = objective_of(terms, task_for(dataset, store), own.earlier_share)
    run = train(
        student,
        target_collator(dataset, store, terms, own.sample_weight),
        Gold.of(dataset, "validation"),
        own,
        objective,
        seed=1,
        metric=dataset.metric,
        scratch=scratch,
        title=variant,
        keep="best" if own.trains_head else "last",
    )
    found = {name: parameter.detach() for name, parameter in student.named_parameters()}
    if objective.trained is not None:
        found |= {f"along.{name}": parameter.detach() for name, parameter in objective.trained.named_parameters()}
    curve = [value for entry in run.history for name, value in sorted(entry.items()) if name not in ("learning_rate", "epoch")]
    return {**found, "curve": torch.tensor(curve)}


def main(folder: Path, scratch: Path, batch_size: int) -> None:
    """Train all variants; and one with dropout, undisturbed, and once more interrupted and resumed. Weights go to `folder`."""
    torch.use_deterministic_algorithms(True)
    found = {variant: trained(folder, variant, scratch / variant, batch_size) for variant in VARIANTS}
    found["undisturbed"] = trained(folder, "hinton", scratch / "undisturbed", batch_size, **DROPOUT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "EpochLines", type("Stopping", (training.EpochLines, Interrupt), {}))
        with pytest.raises(KeyboardInterrupt):
            trained(folder, "hinton", scratch / "resumed", batch_size, **DROPOUT)
    found["resumed"] = trained(folder, "hinton", scratch / "resumed", batch_size, **DROPOUT)
    if leads():
        flat = {f"{variant}/{name}": value.contiguous() for variant, part in found.items() for name, value in part.items()}
        save_file(flat, folder / f"{batch_size}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
