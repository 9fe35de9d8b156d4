"""The teacher whose targets are to be kept. Only the `targets` stage, `verify --live` and the workers of a cluster open it."""

from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedModel

from distill.devices import best_device
from distill.encoders import config_fingerprint, weights_fingerprint
from distill.models import load_for
from distill.prepared import Dataset
from distill.targets.layout import TeacherShape
from distill.targets.schema import Fingerprints


@dataclass(frozen=True)
class Teacher:
    """A teacher in eval mode, and what its targets depend on."""

    model: PreTrainedModel
    fingerprints: Fingerprints

    @property
    def shape(self) -> TeacherShape:
        """Depth, width, heads, classes."""
        return TeacherShape.of(self.model)


def open_teacher(folder: Path, dataset: Dataset) -> Teacher:
    """The fine-tuned teacher, on the best device.

    Raises:
        UserError: tokenizer, labels, vocabulary or length do not fit the data set, or the folder holds no model.
    """
    model, _ = load_for(folder, dataset)
    fingerprints = Fingerprints(
        teacher=weights_fingerprint(folder),
        config=config_fingerprint(folder),
        tokenizer=dataset.tokenizer,
        labels=dataset.labels,
        max_length=dataset.max_length,
    )
    return Teacher(model.eval().to(best_device()), fingerprints)
