"""A student as its recipe's settings, without the other recipes: an edit of one reruns no student of another."""

import importlib.util
from pathlib import Path
from typing import Any

from distill.errors import UserError
from distill.params.base import nearest, read_yaml, require_sections, validate, with_defaults
from distill.params.students import StudentSettings

SHARED = ("__init__", "base", "catalogue", "loading", "soft")
"""The files beside the recipes that define none."""


def recipe_class(name: str) -> type[StudentSettings] | None:
    """The settings that distill/recipes/NAME.py defines; None if there is no such file, or it defines none."""
    module = f"{__package__}.{name}"
    if importlib.util.find_spec(module) is None:
        return None
    found = vars(importlib.import_module(module)).values()
    own = (each for each in found if isinstance(each, type) and issubclass(each, StudentSettings))
    return next((each for each in own if each.__module__ == module), None)


def load_student(path: Path, name: str) -> StudentSettings:
    """Read one student, as its recipe's settings.

    Raises:
        UserError: the file, the entry or a setting is not usable.
    """
    content = read_yaml(path)
    require_sections(content, str(path))
    return read_student(content, path, name)


def read_student(content: dict[str, Any], path: Path, name: str) -> StudentSettings:
    """One student of a file that has been read, as its recipe's settings.

    Raises:
        UserError: there is no such entry or recipe, or a setting is not usable.
    """
    where = f"{path}: students.{name}"
    if name not in content["students"]:
        raise UserError(f"{where}: no such entry{nearest(name, content['students'])}")
    entry = with_defaults(content, "students", name)
    recipe = entry.get("recipe")
    settings = recipe_class(recipe) if isinstance(recipe, str) and recipe.isidentifier() else None
    if settings is None:
        known = sorted({file.stem for file in Path(__file__).parent.glob("*.py")} - {*SHARED})
        raise UserError(f"{where}.recipe: got {recipe!r}, no such recipe{nearest(str(recipe), known)}")
    return validate(settings, entry, where)
