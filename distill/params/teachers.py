"""`teachers`: checkpoints fine-tuned on a prepared data set."""

from typing import Annotated

from pydantic import Field

from distill.params.checkpoints import Checkpoint
from distill.params.training import TrainingSettings


class TeacherSettings(TrainingSettings):
    """One teacher. `epochs: 0` keeps a checkpoint that has been fine-tuned already as it is."""

    dataset: str
    checkpoint: Checkpoint
    seed: Annotated[int, Field(ge=0)] = 1
