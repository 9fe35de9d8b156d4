"""All recipes by name: a plain dict, and students read as their recipe's settings."""

from pathlib import Path
from typing import Any

from distill.errors import UserError
from distill.params.base import nearest, read_yaml, require_sections, validate, with_defaults
from distill.params.students import StudentSettings
from distill.recipes.distilbert import DistilBert
from distill.recipes.fitnets import FitNets
from distill.recipes.hinton import Hinton
from distill.recipes.minilm import MiniLm
from distill.recipes.mobilebert import MobileBert
from distill.recipes.pkd import Pkd
from distill.recipes.supervised import Supervised
from distill.recipes.tinybert import TinyBert

RECIPES: dict[str, type[StudentSettings]] = {
    "supervised": Supervised,
    "hinton": Hinton,
    "distilbert": DistilBert,
    "tinybert": TinyBert,
    "mobilebert": MobileBert,
    "pkd": Pkd,
    "fitnets": FitNets,
    "minilm": MiniLm,
}


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
    if not isinstance(recipe, str) or recipe not in RECIPES:
        raise UserError(f"{where}.recipe: got {recipe!r}, no such recipe{nearest(str(recipe), RECIPES)}")
    return validate(RECIPES[recipe], entry, where)
