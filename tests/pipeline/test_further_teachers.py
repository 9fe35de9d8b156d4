"""Teachers with `folds` or `seeds`: their targets are the mean of several models, of which one alone is shipped."""

from pathlib import Path

import pytest

from distill.core.errors import UserError
from distill.pipeline.project import load_params
from distill.pipeline.resolve import resolve

PARAMS = """\
defaults:
  datasets: {{tokenizer: {{hub: bert}}}}
  teachers: {{checkpoint: {{hub: bert}}}}
sources:
  rows: {{path: rows.csv}}
datasets:
  short: {{source: rows, max_length: 16}}
  long: {{source: rows, max_length: 32}}
teachers:
  one: {{dataset: short{further}}}
targets:
  one: {{teacher: one, dataset: {dataset}}}
students:
  half: {{recipe: hinton, dataset: {dataset}, targets: one/logits, init: {{from: data/teachers/one, depth: 1}}}}
"""


def written(folder: Path, further: str = "", dataset: str = "short") -> Path:
    path = folder / "params.yaml"
    path.write_text(PARAMS.format(further=further and f", {further}", dataset=dataset), encoding="utf-8")
    return path


@pytest.mark.parametrize(("further", "several"), [("", False), ("folds: 3", True), ("seeds: [2, 3]", True)])
def test_no_cascade_is_told_where_no_one_model_is_behind_a_student(further: str, several: bool, tmp_path: Path) -> None:
    found = resolve(load_params(written(tmp_path, further)))
    assert found.ensembles_students() == (frozenset({"half"}) if several else frozenset())


def test_folds_are_of_rows_that_are_cut_at_one_length(tmp_path: Path) -> None:
    load_params(written(tmp_path, "seeds: [2]", "long"))
    with pytest.raises(
        UserError, match=r"targets\.one\.teacher: 'one' has folds of the rows of 'short', cut at 16 tokens, 'long'"
    ):
        load_params(written(tmp_path, "folds: 3", "long"))
