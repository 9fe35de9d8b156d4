"""Published figures beside measured ones."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from distill.errors import UserError
from distill.recipes.catalogue import RECIPES
from distill.report.content import DataSet
from distill.report.published import PUBLISHED, presets, published
from distill.report.tables import to_markdown
from tests import reports
from tests.reports import news
from tests.test_report_tables import cells

__all__ = ["news"]


def test_published_figures_are_of_recipes_that_there_are_and_have_sources() -> None:
    for known in PUBLISHED:
        assert known.recipe in RECIPES
        assert "arXiv" in known.source
        assert 0.9 < known.kept < 1.01
        assert known.smaller > 1
        assert known.faster > 1


def test_the_best_student_of_a_recipe_stands_beside_its_paper(news: DataSet) -> None:
    worse = replace(news.students[2], name="worse", metrics={**news.students[2].metrics, "retention": 0.5})
    rows = cells(to_markdown(published(replace(news, students=(worse, *news.students))).parts[0]))
    assert rows["DistilBERT"][:7] == ["97.0%", "1.7 ×", "1.6 ×", "half", "99.5%", "1.3 ×", "1.9 ×"]
    assert rows["TinyBERT, 4 layers"][:7] == ["96.8%", "7.5 ×", "9.4 ×", "–", "–", "–", "–"]


def test_other_recipes_have_no_paper(news: DataSet) -> None:
    assert published(replace(news, students=news.students[:2])) is None


def test_what_shapes_reach_as_int8(tmp_path: Path) -> None:
    assert presets(tmp_path) is None
    reports.write_json(tmp_path / "metrics/presets.json", reports.presets())
    block = presets(tmp_path)
    rows = cells(to_markdown(block.parts[0]))
    assert rows["bert-base"] == ["109.5", "437.9", "109.5", "4.0 ×", "1.0 ×", "3.1 ×"]
    assert "128 tokens" in block.parts[1].text


@pytest.mark.parametrize("damage", ["{", "{}", "[]", json.dumps({"machine": {}, "models": {"a": {}}, "length": 1})])
def test_damaged_presets(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "metrics/presets.json"
    path.parent.mkdir()
    path.write_text(damage)
    with pytest.raises(UserError, match=r"presets\.json: is damaged"):
        presets(tmp_path)
