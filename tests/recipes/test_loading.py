"""A recipe is found by its file's name."""

import pytest

from distill.recipes.loading import SHARED, recipe_class
from distill.recipes.registry import RECIPES
from tests.closures import ROOT


def test_the_registry_names_every_file_that_defines_a_recipe_and_no_other():
    files = {file.stem for file in (ROOT / "distill/recipes").glob("*.py")}
    assert {name: recipe_class(name) for name in files - {*SHARED}} == RECIPES


@pytest.mark.parametrize("name", ["hintn", *SHARED])
def test_what_is_no_recipe_is_none(name: str):
    assert recipe_class(name) is None
