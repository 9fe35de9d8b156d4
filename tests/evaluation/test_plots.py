import json

import pytest
from ruamel.yaml import YAML

from distill.evaluation.details import Bin, Confusion, Detail
from distill.evaluation.plots import PLOTS, tables
from tests.projects import ROOT

RUNS = [{"seed": 7, "history": [{"step": 1, "epoch": 0.5, "loss": 2.5}, {"step": 2, "epoch": 1.0, "score": 0.75}]}]


def test_tables_have_a_line_a_point():
    detail = Detail("x", confusion=Confusion(("a", "b, c"), ((3, 0), (1, 2))), calibration=(Bin(0.0, 0.5, 4, 0.4, 0.25),))
    assert tables(detail, RUNS) == {
        "training": "curve,epoch,value,seed\ntraining loss,0.5,2.5,7\nvalidation score,1.0,0.75,7\n",
        "confusion": 'actual,predicted,count\na,a,3\na,"b, c",0\n"b, c",a,1\n"b, c","b, c",2\n',
        "calibration": "confidence,accuracy,count\n0.4,0.25,4\n",
    }


def test_what_a_task_lacks_is_no_table():
    assert set(tables(Detail("regression"), []).values()) == {""}


@pytest.mark.parametrize("plot", PLOTS)
def test_every_plot_has_a_template_that_draws_all_its_columns(plot):
    template = (ROOT / ".dvc" / "plots" / f"{plot}.json").read_text(encoding="utf-8")
    json.loads(template)
    pipeline = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    (axes,) = (each[f"data/plots/{plot}"] for each in pipeline["plots"] if f"data/plots/{plot}" in each)
    assert axes["template"] == plot
    assert {"<DVC_METRIC_X>", "<DVC_METRIC_Y>"} <= set(template.split('"'))
    assert [column for column in PLOTS[plot] if f'"{column}"' not in template and column not in (axes["x"], axes["y"])] == []
