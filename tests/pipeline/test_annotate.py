"""Labels by a language model behind a server: `dvc repro` asks, trains and scores; again it asks nothing but new rows."""

from pathlib import Path

import pytest

from tests.annotation.server import labelled, serving
from tests.projects import edit_params, make_origin, make_project, opening, read, run, stages_run

PARAMS = (
    opening(epochs=1, batch_size=8)
    + """\
datasets:
  tiny: {source: tiny, max_length: 16, labelled: 10}
annotators:
  llm: {rows: data/prepared/tiny, endpoint: ADDRESS, model: small, votes: 2, log_probabilities: false, limit: 12}
given:
  llm: {table: data/annotations/llm/rows, dataset: tiny, columns: {text: text, votes: votes}, missing: skip}
students:
  soft:
    recipe: hinton
    dataset: tiny
    targets: llm/logits
    alpha: 0
    init:
      from: data/prepared/tiny
      architecture: {hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 16}
"""
)


@pytest.mark.slow
def test_a_model_is_asked_once_for_each_row(tmp_path: Path) -> None:
    with serving(lambda _, number: labelled(("cat", "dog")[number % 2])) as server:
        origin = make_origin(tmp_path / "origin")
        project = make_project(tmp_path / "project", origin, PARAMS.replace("ADDRESS", server.address))
        asked = {"annotate@llm", "given@llm", "student@soft", "evaluate@soft"}
        assert asked | {"fetch@tiny", "prepare@tiny"} <= stages_run(run(project, "dvc repro evaluate@soft"))
        assert len(server.bodies) == 2 * 12
        assert "accuracy" in read(project / "data/metrics/students/soft.json")
        assert stages_run(run(project, "dvc repro evaluate@soft")) == set()
        assert len(server.bodies) == 2 * 12
        edit_params(project, annotators={"llm": {"limit": 16}})
        assert stages_run(run(project, "dvc repro evaluate@soft")) == asked
        assert len(server.bodies) == 2 * 16
        assert read(project / "data/runs/given/llm.json")["splits"]["train"]["answered"] == 16
