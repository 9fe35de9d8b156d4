"""What `dvc metrics`, `dvc plots` and `dvc exp` make of a pipeline that has run."""

import json
from pathlib import Path

import pytest

from distill.evaluation.plots import PLOTS
from tests.projects import STUDENTS, commit, copy, run, tried

pytestmark = pytest.mark.slow
NAMED = [f"students/{name}" for name in STUDENTS] + ["teachers/tiny"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline that has run, committed; then run again with another student."""
    return copy(tried(tmp_path_factory.getbasetemp()), tmp_path_factory.mktemp("plots") / "project")


def test_metrics_are_the_scores_of_every_model_and_nothing_else(project: Path) -> None:
    found = json.loads(run(project, "dvc metrics show --json"))[""]["data"]
    assert set(found) == {f"data/metrics/{name}.json" for name in NAMED}
    assert all({"accuracy", "log_loss", "parameters", "bytes"} <= set(scores["data"]) for scores in found.values())
    assert all("retention" in scores["data"] for name, scores in found.items() if "/students/" in name)


def test_metrics_diff_names_the_student_that_has_changed_alone(project: Path) -> None:
    found = json.loads(run(project, "dvc metrics diff --json"))
    assert set(found) == {"data/metrics/students/hinton.json"}
    assert "log_loss" in found["data/metrics/students/hinton.json"]


def test_experiments_are_a_table_of_scores(project: Path) -> None:
    header = run(project, "dvc exp show --csv").splitlines()[0].split(",")
    assert all(f"data/metrics/{name}.json:accuracy" in header for name in NAMED)


def test_every_model_is_plotted_and_revisions_are_compared(project: Path) -> None:
    found = json.loads(run(project, "dvc plots diff HEAD workspace --json"))["data"]
    assert set(found) == {f"data/plots/{plot}/{name}/tiny.csv" for plot in PLOTS for name in NAMED}
    for plot, columns in PLOTS.items():
        (shown,) = found[f"data/plots/{plot}/students/hinton/tiny.csv"]
        assert set(shown["revisions"]) == {"HEAD", "workspace"}
        text = json.dumps(shown)
        assert "<DVC_METRIC" not in text
        assert all(f'"{column}"' in text for column in columns)


def test_the_page_of_plots_needs_no_network_and_leaves_git_clean(project: Path) -> None:
    commit(project, "another student")
    for command, revision in (("python -m distill plots", "workspace"), ("python -m distill plots HEAD~1 HEAD", "HEAD~1")):
        run(project, command)
        page = (project / "dvc_plots" / "index.html").read_text(encoding="utf-8")
        assert "<script src" not in page
        assert f'"rev": "{revision}"' in page
        assert page.count("vegaEmbed('#") == len(PLOTS) * len(NAMED)
        assert all(f"data/plots/{plot}/{name}/tiny.csv" in page for plot in PLOTS for name in NAMED)
    assert run(project, "git status --short") == ""
