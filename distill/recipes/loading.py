"""A student as its recipe's settings, without the other recipes: an edit of one reruns no student of another."""

import importlib.util
from pathlib import Path
from typing import Any

from distill.core.errors import UserError
from distill.core.settings import read_sections, with_defaults
from distill.core.validation import nearest, validate
from distill.params.students import StudentSettings

SHARED = ("__init__", "loading", "registry")
"""The files beside the recipes that define none."""


def recipe_class(name: str) -> type[StudentSettings] | None:
    """The settings that distill/recipes/NAME.py defines; None if there is no such file, or it defines none."""
    module = f"{__package__}.{name}"
    if importlib.util.find_spec(module) is None:
        return None
    classes = (each for each in vars(importlib.import_module(module)).values() if isinstance(each, type))
    return next((each for each in classes if issubclass(each, StudentSettings) and each.__module__ == module), None)


def load_student(path: Path, name: str) -> StudentSettings:
    """Read one student, as its recipe's settings."""
    return read_student(read_sections(path), path, name)


def read_student(sections: dict[str, Any], path: Path, name: str) -> StudentSettings:
    """One student of a file that has been read, as its recipe's settings."""
    where = f"{path}: students.{name}"
    if name not in sections["students"]:
        raise UserError(f"{where}: no such entry{nearest(name, sections['students'])}")
    entry = with_defaults(sections, "students", name)
    recipe = entry.get("recipe")
    settings = recipe_class(recipe) if isinstance(recipe, str) and recipe.isidentifier() else None
    if settings is None:
        known = sorted({file.stem for file in Path(__file__).parent.glob("*.py")} - {*SHARED})
        raise UserError(
            f"{where}.recipe: got {recipe!r}, no such recipe{nearest(recipe if isinstance(recipe, str) else '', known)}"
        )
    return validate(settings, entry, where)
