"""`augmentations`: training rows written anew with other words."""

from typing import Annotated, ClassVar

from pydantic import Field

from distill.core.settings import Positive, Seed
from distill.core.validation import Strict


class AugmentationSettings(Strict):
    """A data set with reworded copies of its training rows (Jiao 2020, algorithm 1). Whatever takes a `dataset` takes its name.

    The copies have no label: a student learns from what its teacher says of them. Of token-classification they have the tags of
    their rows: a word of an entity gives way to one of the same tag in other rows. Of question-answering a copy asks another
    question of the same context: one with other words, one of another context, or a sentence of this one with a blank.
    """

    REPLACED: ClassVar = {"masked_lm": "is called `teacher` now, and may name any teacher"}

    of: str
    """The data set: an entry of `datasets`, or of `augmentations`."""
    teacher: str
    """Whose model says what can stand in the place of a word. A teacher of masked-lm refills words, masked one by one
    (`epochs: 0` keeps a checkpoint as it is); of any other, all words find their neighbours, which takes seconds."""
    vectors: str | None = None
    """A text file of word vectors (GloVe's or word2vec's format), where words find their neighbours: of a teacher of masked-lm
    those of several pieces. Not given: the teacher's input embeddings."""
    copies: Positive = 20
    """Of each row (N). Those that equal another row are dropped."""
    candidates: Positive = 15
    """How many words each word can be replaced by (M)."""
    probability: Annotated[float, Field(ge=0, le=1)] = 0.4
    """That a word is replaced (p)."""
    limit: Positive | None = None
    """The most training rows, or questions, that are reworded, a seeded sample. The others stay in the data set as they are."""
    seed: Seed = 1
