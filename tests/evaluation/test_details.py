from dataclasses import replace

import pytest

from distill.core.errors import UserError
from distill.evaluation.details import Agreement, Bin, ClassScore, Confusion, Detail, Example, read_detail

WHOLE = Detail(
    "sequence-classification",
    (ClassScore("cat", 3, 0.5, 1.0, 2 / 3),),
    Confusion(("cat", "dog"), ((3, 0), (1, 2))),
    (Bin(0.0, 0.5, 4, 0.4, 0.25),),
    Agreement(1, 2, 3, 4, 5),
    (Example("a\nb", "cat", "dog", "cat", 0.9, None, "student"),),
)


@pytest.mark.parametrize("detail", [WHOLE, Detail("regression")])
def test_what_is_written_is_read_again(tmp_path, detail):
    (tmp_path / "detail.json").write_text(detail.to_json(), encoding="utf-8")
    assert read_detail(tmp_path / "detail.json", "evaluate@x") == detail


def test_a_missing_and_a_damaged_file_name_the_stage(tmp_path):
    path = tmp_path / "detail.json"
    with pytest.raises(UserError, match=r"is missing; expected what `dvc repro evaluate@x` writes"):
        read_detail(path, "evaluate@x")
    path.write_text(replace(WHOLE, task="x").to_json().replace('"support": 3', '"support": "many"'), encoding="utf-8")
    with pytest.raises(UserError, match=r"is damaged or of an older version; run `dvc repro --force --single-item evaluate@x`"):
        read_detail(path, "evaluate@x")
