"""`teachers`: checkpoints fine-tuned on a prepared data set."""

from typing import Annotated

from pydantic import Field

from distill.params.checkpoints import Checkpoint
from distill.params.training import TrainingSettings


class TeacherSettings(TrainingSettings):
    """One teacher. `epochs: 0` keeps a checkpoint that has been fine-tuned already as it is."""

    dataset: str
    """What it is trained on: an entry of `datasets`, or of `augmentations`."""
    checkpoint: Checkpoint
    """What it starts from."""
    seed: Annotated[int, Field(ge=0)] = 1
    """Of a new head, the order of rows, and dropout."""
