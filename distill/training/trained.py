"""How a training run went."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Trained:
    """Its curves, its best epoch, and what it took."""

    history: list[dict[str, Any]]
    """What was logged: `step`, `epoch`, `loss`, the terms; and a validation `score` an epoch."""
    best_epoch: float
    best_score: float | None
    """On the validation split; None where no head is trained, or nothing is."""
    seconds: float
    rows: int = 0
    """How many rows an epoch steps over: those that the loss reads anything of."""
    steps: int = 0
    """Optimizer steps."""

    @property
    def last_loss(self) -> float:
        """The training loss that was logged last; 0 if none was."""
        return next((float(entry["loss"]) for entry in reversed(self.history) if "loss" in entry), 0.0)

    @property
    def selection_score(self) -> float:
        """By this the best seed of a student is chosen: the score, or where no head is trained, the last loss negated."""
        return -self.last_loss if self.best_score is None else self.best_score

    def summary(self, metric: str) -> str:
        """The best epoch, its score, or where nothing is validated the loss, and the seconds."""
        if not self.steps:
            return "kept as it is (epochs: 0)"
        how = f"loss {self.last_loss:.4f}" if self.best_score is None else f"validation {metric} {self.best_score:.4f}"
        return f"best epoch {self.best_epoch:g}, {how}, {self.seconds:.0f} s"

    @classmethod
    def of(cls, record: dict[str, Any]) -> "Trained":
        """What a record says."""
        return cls(**{key: value for key, value in record.items() if key != "seed"})

    def record(self, seed: int) -> dict[str, Any]:
        """What data/runs/ keeps of it: JSON."""
        return {"seed": seed, **asdict(self)}
