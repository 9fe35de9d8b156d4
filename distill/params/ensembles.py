"""`ensembles`: several teachers as one."""

from typing import Annotated

from pydantic import Field

from distill.core.validation import Strict


class EnsembleSettings(Strict):
    """A target set of logits: the weighted mean of two others. Of an ensemble and a set, it is the mean of three, and so on."""

    dataset: str
    """The data set of both sets."""
    first: str
    """An entry of `targets`, `given` or `ensembles`."""
    second: str
    """Another."""
    weight: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Of the first; the second has the rest."""
