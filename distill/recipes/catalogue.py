"""All recipes by name: a plain dict."""

from collections.abc import Callable
from typing import Any

from distill.params.students import StudentSettings
from distill.recipes import distilbert, hinton, supervised, tinybert
from distill.recipes.base import Shapes, Term

TERMS: dict[str, Callable[[Any, Shapes], tuple[Term, ...]]] = {
    "supervised": supervised.terms,
    "hinton": hinton.terms,
    "distilbert": distilbert.terms,
    "tinybert": tinybert.terms,
}


def terms_of(settings: StudentSettings, shapes: Shapes) -> tuple[Term, ...]:
    """The terms of a student's recipe, those of weight 0 left out.

    Raises:
        UserError: a term cannot compare this student with this teacher.
    """
    return tuple(term for term in TERMS[settings.recipe](settings, shapes) if term.weight > 0)
