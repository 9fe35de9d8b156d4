"""The whole pipeline on queries with their passages: cross-encoders of two sorts, and a bi-encoder."""

import json
import re
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from sentence_transformers import SentenceTransformer

from distill.commands.choose import main as choose
from distill.commands.predict import main
from distill.data.dataset import Dataset
from distill.data.groups import groups_of
from tests import tiny
from tests.command_line import invoke
from tests.projects import commit, make_origin, make_project, read, run, run_pipeline

PARAMS = """\
defaults:
  datasets: {tokenizer: {path: ORIGIN/checkpoint}, task: ranking, max_length: 16}
  teachers: {epochs: 3, batch_size: 4, learning_rate: 1e-2, precision: fp32}
  students: {epochs: 2, batch_size: 4, learning_rate: 1e-2, precision: fp32}
sources:
  ranked: {path: ORIGIN/ranked}
datasets:
  tiny: {source: ranked, bad_rows: drop, labelled: 100}
teachers:
  one: {dataset: tiny, checkpoint: {path: ORIGIN/checkpoint}}
targets:
  one: {teacher: one, dataset: tiny, hidden: [-1]}
students:
  listwise: {recipe: listwise, dataset: tiny, targets: one/logits, init: {from: data/teachers/one, depth: 2}}
  apart: {recipe: margin_mse, dataset: tiny, targets: one/logits, init: {from: data/teachers/one, depth: 2, bi_encoder: true}}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All stages have run: read only."""
    base = tmp_path_factory.mktemp("ranked")
    make_origin(base)
    (base / "ranked").mkdir()
    rows = [{**row, "label": str(row["label"])} for row in tiny.raw("ranking", 240, 0).to_pylist()]
    rows += [{"query": "w1 w1", "passage": f"w{place}", "label": "0"} for place in range(3)]
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), base / "ranked/train.parquet")
    project = make_project(base / "project", base, PARAMS)
    run_pipeline(project)
    return project


def test_every_stage_runs_and_scores_queries(project: Path) -> None:
    dataset = Dataset.open(project / "data/prepared/tiny")
    gone = [json.loads(line) for line in (project / "data/prepared/tiny/dropped.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["row"] for row in gone] == [240, 241, 242]
    assert sum(len(dataset.rows(split)) for split in dataset.splits) == 240
    assert dataset.splits["train"]["transfer_rows"] > 0
    queries = len(groups_of(dataset.rows("test").groups))
    teacher = read(project / "data/metrics/teachers/one.json")
    assert (teacher["rows"], teacher["metric"]) == (queries, "ndcg_at_10")
    assert teacher["ndcg_at_10"] > 0.9
    for name in ("listwise", "apart"):
        found = read(project / f"data/metrics/students/{name}.json")
        assert {"mrr", "agreement", "kl_from_teacher", "retention_low", "calibration_error"} <= set(found)
        exported = read(project / f"data/metrics/exports/students/{name}.json")
        assert exported["fp32"]["ndcg_at_10"] == pytest.approx(found.get("shipped", found["ndcg_at_10"]), abs=1e-6)
        card = (project / f"data/exports/students/{name}/README.md").read_text(encoding="utf-8")
        assert f"{queries} queries." in card
        library = "sentence-transformers" if name == "apart" else "transformers"
        assert card.startswith(f"---\nlibrary_name: {library}\npipeline_tag: text-ranking\n")
        assert "puts passages in the order in which they answer a query" in card
    detail = read(project / "data/evaluations/students/listwise/detail.json")
    assert sum(detail["agreement"].values()) == sum(each["count"] for each in detail["calibration"]) == queries
    assert all(re.fullmatch(r"w\d+ w\d+", each["text"]) for each in detail["examples"])


def test_the_report_and_the_audit_speak_of_them(project: Path) -> None:
    page = (project / "data/report/index.html").read_text(encoding="utf-8")
    assert "nDCG@10" in page
    audit = pyarrow.parquet.read_table(project / "data/audits/one.parquet")
    assert {*audit["label"].to_pylist()} == {"relevant", "not relevant"}
    assert len(audit) == read(project / "data/audits/one.json")["rows"] <= 100


def test_choose_names_one_of_them(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    done = invoke(choose, "--prefer", "score")
    assert done.returncode == 0, done.stderr
    assert re.search(r"listwise|apart", done.stdout)


def test_predict_ranks_as_the_model_scores_and_a_bi_encoder_loads_in_sentence_transformers(project: Path, tmp_path: Path) -> None:
    query, passages = "w1 w2", ["w30 w31", "w3 w4 w5", "w35"]
    for place in ("students/listwise", "exports/students/listwise", "students/apart", "exports/students/apart"):
        lines = [{"query": query, "passages": passages}, *({"query": query, "passage": passage} for passage in passages)]
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        done = invoke(main, str(project / "data" / place), str(tmp_path / "rows.jsonl"))
        assert done.returncode == 0, done.stderr
        ranking, *single = (json.loads(line) for line in done.stdout.splitlines())
        scores = [each["score"] for each in single]
        assert [each["passage"] for each in ranking["ranking"]] == np.argsort(-np.array(scores), kind="stable").tolist()
        assert [each["score"] for each in ranking["ranking"]] == pytest.approx(sorted(scores, reverse=True), abs=1e-4)
        if place == "students/apart":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = SentenceTransformer(str(project / "data" / place), device="cpu")
                found = model.similarity(model.encode([query]), model.encode(passages))[0]
            assert found.tolist() == pytest.approx(scores, abs=1e-4)


@pytest.mark.slow
def test_dvc_repro_trains_again_what_a_setting_has_changed_and_nothing_else(project: Path) -> None:
    run(project, "dvc commit --force")
    commit(project, "the results")
    text = (project / "params.yaml").read_text(encoding="utf-8")
    text = text.replace("recipe: listwise,", "recipe: listwise, temperature: 2,")
    (project / "params.yaml").write_text(text, encoding="utf-8")
    done = run(project, "dvc repro evaluate@listwise")
    assert re.findall(r"Running stage '([^']+)'", done) == ["check", "student@listwise", "evaluate@listwise"]
    assert "queries" in done
