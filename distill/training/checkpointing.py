"""Training checkpoints without a pickle: tensors in safetensors, the rest in JSON."""

import json
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, load_model, save_file, save_model
from transformers import EarlyStoppingCallback, Trainer

WEIGHTS, OPTIMIZER, REST = "model.safetensors", "optimizer.safetensors", "rest.json"


class SafeCheckpoints(Trainer):
    """A Trainer whose checkpoints hold safetensors and JSON; a run resumed from one ends as an undisturbed run does."""

    seconds_before = 0.0
    """Training time of the runs that this one resumes, in seconds."""
    started = 0.0

    @property
    def seconds(self) -> float:
        """Training time so far, that of interrupted runs included."""
        return self.seconds_before + time.perf_counter() - self.started

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        save_model(self.model, str(folder / WEIGHTS))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        load_model(self.model, Path(resume_from_checkpoint, WEIGHTS))

    def _load_best_model(self) -> None:
        self._load_from_checkpoint(str(self.state.best_model_checkpoint))

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if not self.args.should_save:
            return
        state = self.optimizer.state_dict()
        tensors = {f"{i}.{name}": value for i, entry in state["state"].items() for name, value in entry.items()}
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, Path(output_dir, OPTIMIZER))
        rest = {
            "param_groups": state["param_groups"],
            "scheduler": self.lr_scheduler.state_dict(),
            "seconds": self.seconds,
        }
        Path(output_dir, REST).write_text(json.dumps(rest), encoding="utf-8")

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        rest = json.loads(Path(checkpoint, REST).read_text(encoding="utf-8"))
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in load_file(Path(checkpoint, OPTIMIZER)).items():
            number, key = name.split(".", 1)
            state.setdefault(int(number), {})[key] = tensor
        self.optimizer.load_state_dict({"state": state, "param_groups": rest["param_groups"]})
        self.lr_scheduler.load_state_dict(rest["scheduler"])
        self.seconds_before = rest["seconds"]

    def unlogged(self) -> dict[str, Any]:
        """What this process has added up since it logged last."""
        return {"step": self._globalstep_last_logged, "loss": self._tr_loss.item()}

    def log_on(self, unlogged: dict[str, Any]) -> None:
        """Go on adding up where the resumed run was: transformers begins anew, and the next loss would be of fewer steps."""
        self._globalstep_last_logged = unlogged["step"]
        self._tr_loss = torch.tensor(unlogged["loss"], device=self.args.device)

    def _rng_files(self, folder: str) -> tuple[Path, Path]:
        stem = f"rng-{self.args.process_index}"
        return Path(folder, f"{stem}.safetensors"), Path(folder, f"{stem}.json")

    def _save_rng_state(self, output_dir: str) -> None:
        tensors, rest = self._rng_files(output_dir)
        tensors.parent.mkdir(parents=True, exist_ok=True)
        kind, keys, *position = np.random.get_state()  # noqa: NPY002
        states = {"cpu": torch.random.get_rng_state(), "numpy": torch.from_numpy(np.asarray(keys).astype(np.int64))}
        if torch.cuda.is_available():
            states |= {f"cuda{i}": state for i, state in enumerate(torch.cuda.random.get_rng_state_all())}
        save_file(states, tensors)
        other = {"python": random.getstate(), "numpy": [kind, *position], "log": self.unlogged()}
        rest.write_text(json.dumps(other), encoding="utf-8")
        self.accelerator.wait_for_everyone()  # before trainer_state.json says that all of it is there

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        tensors, rest = self._rng_files(checkpoint)
        if not tensors.exists():
            return
        states, other = load_file(tensors), json.loads(rest.read_text(encoding="utf-8"))
        self.log_on(other["log"])
        version, internal, gauss = other["python"]
        random.setstate((version, tuple(internal), gauss))
        kind, *position = other["numpy"]
        np.random.set_state((kind, states["numpy"].numpy().astype(np.uint32), *position))  # noqa: NPY002
        torch.random.set_rng_state(states["cpu"])
        if torch.cuda.is_available():
            torch.cuda.random.set_rng_state_all([states[f"cuda{i}"] for i in range(torch.cuda.device_count())])


def stopped_early(checkpoint: str, patience: int | None) -> float | None:
    """The epoch at which patience had run out when a checkpoint was written; None if it had not: transformers would train on."""
    state = json.loads(Path(checkpoint, "trainer_state.json").read_text(encoding="utf-8"))
    known = state["stateful_callbacks"].get(EarlyStoppingCallback.__name__)
    if known is None or patience is None or known["attributes"]["early_stopping_patience_counter"] < patience:
        return None
    return float(state["epoch"])


def last_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint that was written to its end: its trainer_state.json, written last, is whole."""
    for checkpoint in sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]), reverse=True):
        try:
            json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError):
            continue
        return str(checkpoint)
    return None
