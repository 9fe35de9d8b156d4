"""The whole pipeline on sentences, without a label: a teacher of sentence-transformers' kind, and vectors that an API gave."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner
from sentence_transformers import SentenceTransformer
from transformers import AutoModel

from distill.commands import choose, plan, predict, publish, verify
from distill.core.errors import UserError
from distill.core.settings import read_sections
from distill.export.hub import files_for_hub
from distill.pipeline.project import load_params
from stages import given as given_stage
from tests import tiny
from tests.command_line import invoke
from tests.projects import copy, edit_params, make_project, read, run, run_pipeline, stages_run

PARAMS = """\
defaults:
  datasets: {tokenizer: {path: ORIGIN/checkpoint}, task: sentence-embedding, max_length: 16}
  students: {epochs: 2, batch_size: 8, learning_rate: 1e-2, precision: fp32}
sources:
  alone: {path: ORIGIN/alone}
  found: {path: ORIGIN/found}
  vectors: {path: ORIGIN/vectors.parquet}
datasets:
  alone: {source: alone}
  found: {source: found, columns: {text_pair: passage}, transfer: [alone]}
teachers:
  plain: {dataset: alone, checkpoint: {path: ORIGIN/checkpoint}, epochs: 0, pooling: cls}
  searcher: {dataset: found, checkpoint: {path: ORIGIN/checkpoint}, epochs: 0}
targets:
  alone: {teacher: plain, dataset: alone, hidden: [-1]}
  found: {teacher: searcher, dataset: found, codec: fp16}
given:
  api: {table: data/raw/vectors, dataset: alone, columns: {text: text, embedding: vector}, missing: skip}
students:
  half: {recipe: cosine, dataset: alone, targets: alone/logits, init: {from: data/teachers/plain, depth: 2}}
  searching:
    recipe: similarity_kl
    dataset: found
    targets: found
    init: {from: data/teachers/searcher, depth: 1, as: distilbert}
  bought:
    recipe: leaf
    dataset: alone
    targets: api
    init:
      from: data/prepared/alone
      architecture: {hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 16, vector_size: 6}
"""
SIZE = 6
"""Of the API's vectors."""


def vector(text: str) -> list[float]:
    """The share of six groups of words: what the API would give."""
    counts = np.bincount([int(word[1:]) % SIZE for word in text.split()], minlength=SIZE) + 0.1
    return [float(number) for number in counts]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All stages have run: read only."""
    base = tmp_path_factory.mktemp("sentences")
    texts = {
        split: tiny.rows(count, seed)[0]
        for seed, (split, count) in enumerate({"train": 60, "validation": 16, "test": 20}.items())
    }
    for name in ("alone", "found"):
        (base / name).mkdir()
        for split, own in texts.items():
            table = {"text": own} if name == "alone" else {"text": own, "passage": [f"w30 {text} w31" for text in own]}
            pq.write_table(pa.table(table), base / name / f"{split}.parquet")
    known = sorted({text for own in texts.values() for text in own})[5:]
    pq.write_table(pa.table({"text": known, "vector": list(map(vector, known))}), base / "vectors.parquet")
    torch.manual_seed(0)
    tiny.save(AutoModel.from_config(tiny.bert(layers=3, initializer_range=0.3).config), base / "checkpoint", tiny.tokenizer())
    project = make_project(base / "project", base, PARAMS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("distill.core.numeric.RESAMPLES", 50)
        run_pipeline(project)
    return project


def test_what_goes_to_the_hub_loads_in_sentence_transformers(project: Path, tmp_path: Path) -> None:
    for place, content in files_for_hub(project / "data/exports/students/bought", project / "data/students/bought").items():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    both = (SentenceTransformer(str(place), device="cpu") for place in (tmp_path, project / "data/students/bought"))
    first, second = (model.encode(["w1 w2"]) for model in both)
    np.testing.assert_array_equal(first, second)
    assert "library_name: sentence-transformers" in (tmp_path / "README.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def there(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)


def test_students_are_scored_by_how_well_they_follow_the_teachers_similarities(project: Path) -> None:
    teacher, half = read(project / "data/metrics/teachers/plain.json"), read(project / "data/metrics/students/half.json")
    assert (teacher["metric"], teacher["spearman"], teacher["rows"]) == ("spearman", 1, 20)
    assert -1 <= half["spearman"] == half["retention"] == half["agreement"] < 1
    for kind, name in (("teachers", "plain"), ("students", "half"), ("students", "bought")):
        scores, exported = (
            read(project / f"data/metrics/{kind}/{name}.json"),
            read(project / f"data/metrics/exports/{kind}/{name}.json"),
        )
        expected = scores.get("shipped", scores["spearman"])
        assert exported["fp32"]["spearman"] == pytest.approx(expected, abs=1e-3)
        assert exported["int8"]["spearman"] <= 1
        assert "makes vectors of texts like those of `alone`" in (project / f"data/exports/{kind}/{name}/README.md").read_text()


@pytest.mark.slow
def test_dvc_repro_trains_a_further_student_from_the_store_alone(project: Path, tmp_path: Path) -> None:
    own = copy(project, tmp_path / "own")
    run(own, "dvc commit --force")
    edit_params(own, students={"more": {**read_sections(own / "params.yaml")["students"]["half"], "recipe": "leaf"}})
    assert stages_run(run(own, "dvc repro evaluate@more")) == {"init@more", "student@more", "evaluate@more"}
    assert stages_run(run(own, "dvc repro evaluate@more")) == set()


def test_pairs_without_scores_are_searched(project: Path) -> None:
    teacher, student = (read(project / f"data/metrics/{place}.json") for place in ("teachers/searcher", "students/searching"))
    for scores in (teacher, student):
        assert scores["metric"] == "ndcg_at_10"
        assert 0 < scores["recall_at_1"] <= scores["ndcg_at_10"] <= scores["recall_at_10"] <= 1
    assert student["retention"] == pytest.approx(student["ndcg_at_10"] / teacher["ndcg_at_10"], abs=1e-6)
    train = read(project / "data/prepared/found/dataset.json")["splits"]["train"]
    assert train["rows"] == 2 * 60 + 60


def test_what_is_written_loads_in_sentence_transformers_and_predict_gives_its_vectors(project: Path) -> None:
    for name in ("half", "searching", "bought"):
        folder = project / "data/students" / name
        expected = SentenceTransformer(str(folder), device="cpu").encode(["w1 w2", "w3"])
        for place in (folder, project / "data/exports/students" / name / "model.onnx"):
            done = CliRunner().invoke(predict.main, [str(place)], input="w1 w2\nw3\n")
            assert done.exit_code == 0, done.output
            found = [json.loads(line)["embedding"] for line in done.stdout.splitlines()]
            np.testing.assert_allclose(found, expected, atol=1e-5)
    assert expected.shape == (2, SIZE)


def test_a_set_is_planned_verified_chosen_from_and_published(project: Path, tmp_path: Path) -> None:
    assert "int8" in (planned := invoke(plan.main, "alone").stdout), planned
    for name in ("alone", "found", "api"):
        assert invoke(verify.main, name).returncode == 0
    assert invoke(verify.main, "alone", "--live", "10").returncode == 0
    assert "alone: ship " in invoke(choose.main).stdout
    assert invoke(publish.main, "alone", str(tmp_path / "tables"), "--as", "parquet").returncode == 0
    table = pq.read_table(tmp_path / "tables" / "test.parquet")
    assert len(table["embedding"][0].as_py()) == 16
    page = (project / "data/report/index.html").read_text(encoding="utf-8")
    assert "half" in page


def test_vectors_that_were_given_are_kept_as_they_came(project: Path) -> None:
    from distill.data.dataset import Dataset
    from distill.store.target_set import TargetStore

    dataset, store = Dataset.open(project / "data/prepared/alone"), TargetStore.open(project / "data/targets/api")
    kept, texts = store.output("logits", "train").spread(dataset.rows("train").ids).numpy(), dataset.texts("train")["text"]
    known = np.isfinite(kept).all(axis=1)
    assert 0 < (~known).sum() <= 5
    np.testing.assert_allclose(kept[known], [vector(text) for text, there in zip(texts, known, strict=True) if there], rtol=1e-6)
    assert read(project / "data/metrics/students/bought.json").keys() >= {"spearman", "retention"}


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ([1.0, None, 2.0, 1.0, 1.0, 1.0], "row 3: column 'vector' holds None, expected a number"),
        ([1.0, 2.0], "row 3: column 'vector' holds 2 numbers, the rows before it 6; expected vectors of one model"),
        ([0.0] * SIZE, "row 3: column 'vector' holds zeros alone, which point nowhere; mend or drop the row"),
        ([1.0, float("nan")] * 3, "row 3: column 'vector' holds nan, expected a finite number"),
    ],
)
def test_a_vector_that_is_none_is_refused_with_its_row(project: Path, tmp_path: Path, monkeypatch, row, complaint) -> None:
    folder = tmp_path
    (folder / "data/raw/vectors").mkdir(parents=True)
    (folder / "data/prepared").symlink_to(project / "data/prepared")
    (folder / "params.yaml").write_bytes((project / "params.yaml").read_bytes())
    table = pq.read_table(project / "data/raw/vectors/train.parquet").to_pylist()
    table[3]["vector"] = row
    pq.write_table(pa.Table.from_pylist(table), folder / "data/raw/vectors/train.parquet")
    monkeypatch.chdir(folder)
    done = invoke(given_stage.main, "api")
    assert done.returncode != 0
    assert complaint in done.stderr


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (
            "epochs: 0, pooling: cls",
            "epochs: 1",
            "teachers.plain.epochs: 'alone' is for sentence-embedding, which has no labels; set epochs: 0",
        ),
        (
            "recipe: cosine",
            "recipe: supervised",
            "students.half.recipe: supervised learns labels or logits, 'alone' is for sentence-embedding",
        ),
        ("task: sentence-embedding, ", "", "students.half.recipe: cosine learns vectors, 'alone' is for sequence-classification"),
        (
            "embedding: vector",
            "score: vector",
            "given.api.columns.score: sentence-embedding takes embedding, a list of numbers a text",
        ),
        (
            "given:",
            "ensembles: {mean: {first: alone, second: api, dataset: alone}}\ngiven:",
            "vectors of two teachers have no mean",
        ),
    ],
)
def test_what_the_task_has_not_is_refused_in_a_line(project: Path, tmp_path: Path, old: str, new: str, complaint: str) -> None:
    content = (project / "params.yaml").read_text(encoding="utf-8")
    assert old in content
    (tmp_path / "params.yaml").write_text(content.replace(old, new), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_params(tmp_path / "params.yaml")
    assert complaint in str(caught.value)
