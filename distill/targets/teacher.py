"""Opening the teacher whose targets are to be kept. Only the `targets` stage does."""

from pathlib import Path

from transformers import PreTrainedModel

from distill.encoders import config_fingerprint, weights_fingerprint
from distill.models import load_for
from distill.prepared import Dataset
from distill.targets.schema import Fingerprints


def open_teacher(folder: Path, dataset: Dataset) -> tuple[PreTrainedModel, Fingerprints]:
    """The fine-tuned teacher, in eval mode, and what its targets will depend on.

    Raises:
        UserError: tokenizer, labels, vocabulary or length do not fit the data set, or the folder holds no model.
    """
    model, _ = load_for(folder, dataset)
    fingerprints = Fingerprints(
        weights_fingerprint(folder), config_fingerprint(folder), dataset.tokenizer, dataset.labels, dataset.max_length
    )
    return model.eval(), fingerprints
