"""A project without a teacher: `dvc repro` trains, scores and reports students on answers that were given."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from distill.commands import choose, plan, publish, show, verify
from distill.core.errors import UserError
from distill.core.settings import read_sections
from distill.pipeline.project import checked, load_params
from tests import tiny
from tests.command_line import invoke
from tests.projects import copy, make_origin, make_project, opening, outdated, run, run_pipeline

PARAMS = (
    opening(epochs=1, batch_size=8, tiny="rows", answers="answers.jsonl")
    + """\
datasets:
  tiny: {source: tiny, max_length: 16}
given:
  api: {table: data/raw/answers, dataset: tiny, columns: {text: text, votes: said}, missing: skip}
students:
  soft:
    recipe: hinton
    dataset: tiny
    targets: api
    init: &random
      from: data/prepared/tiny
      architecture: {hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 16}
  alone: {recipe: supervised, dataset: tiny, targets: api/logits, init: *random}
"""
)


def answer(origin: Path) -> None:
    """Five votes for most texts of each split, four of them for the right label."""
    lines = []
    for seed, count in enumerate((40, 12, 12)):
        for number, (text, label) in enumerate(zip(*tiny.rows(count, seed), strict=True)):
            if number % 5:
                votes = [label] * 4 + [tiny.LABELS[number % 3]]
                lines.append(json.dumps({"text": text, "said": votes}))
    lines.append(json.dumps({"text": "nobody's", "said": ["cat"]}))
    unique = {json.loads(line)["text"]: line for line in lines}
    (origin / "answers.jsonl").write_text("\n".join(unique.values()) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Such a project, run: read only."""
    folder = tmp_path_factory.mktemp("given")
    answer(make_origin(folder / "origin"))
    made = make_project(folder / "project", folder / "origin", PARAMS)
    run_pipeline(made)
    run(made, "dvc commit --force")
    return made


def test_a_project_needs_no_teacher_at_all_and_dvc_holds_that_all_is_done(project: Path) -> None:
    assert outdated(project) == set()
    assert not list((project / "data/teachers").iterdir())
    metrics = {name: json.loads((project / f"data/metrics/students/{name}.json").read_text()) for name in ("soft", "alone")}
    record = json.loads((project / "data/runs/given/api.json").read_text())
    for found in metrics.values():
        assert found["rows"] == 12
        assert found["retention_rows"] == record["splits"]["test"]["answered"] < 12
        assert {"retention", "retention_low", "agreement", "kl_from_teacher", "score_low", "accuracy"} <= set(found)
    assert record["strangers"] == 1
    assert record["splits"]["train"]["scores"]["accuracy"] > 0.9
    assert len(record["splits"]["train"]["missing"]) == record["splits"]["train"]["rows"] - record["splits"]["train"]["answered"]
    assert len(pq.read_table(project / "data/audits/api.parquet")) > 0


def test_the_report_and_the_benchmark_do_without_a_teacher(project: Path) -> None:
    page = (project / "data/report/index.html").read_text(encoding="utf-8")
    assert "api was given: it has answers for" in page
    assert "of its teacher api (given)" in page
    timed = json.loads((project / "data/metrics/benchmark.json").read_text())
    assert timed["teachers"] == {}
    assert "speedup" not in timed["students"]["soft"]["formats"]["torch-fp32"]["latency"]["rows"]


def test_commands_answer(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    told = invoke(plan.main)
    assert told.returncode == 0, told.stderr
    assert "given.api: table data/raw/answers, data set tiny\nanswers for " in told.stdout
    assert "soft     logits  -" in told.stdout
    assert "alone    -       -" in told.stdout
    planned = json.loads(invoke(plan.main, "--json").stdout)["targets"]["api"]
    shown = json.loads(invoke(show.main, "api", "--json").stdout)[0]
    assert planned["answered"] == {split: part["rows"] for split, part in shown["outputs"]["logits"]["splits"].items()}
    for split, part in shown["outputs"]["logits"]["splits"].items():
        assert planned["outputs"]["logits"]["bytes"][split] == part["bytes"]
    assert shown["teacher_layers"] == 0
    whole = invoke(verify.main, "--live", "5")
    assert "all as 2 manifests say" in whole.stdout
    chosen = invoke(choose.main)
    assert chosen.returncode == 0
    assert "ship " in chosen.stdout


def test_a_damaged_set_is_made_again_as_verify_says(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = copy(project, tmp_path / "project")
    monkeypatch.chdir(folder)
    (file,) = Path("data/targets/api/logits/test").iterdir()
    before = file.read_bytes()
    file.unlink()
    file.write_bytes(before[:-1])
    told = invoke(verify.main, "api").stderr
    command = "dvc repro --force --single-item given@api"
    assert f"run `{command}`" in told
    run(folder, command)
    assert file.read_bytes() == before
    assert "all as 2 manifests say" in invoke(verify.main, "api").stdout


def test_a_given_set_is_published_as_tables(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    done = invoke(publish.main, "api", str(tmp_path / "out"), "--as", "parquet")
    assert done.returncode == 0, done.stderr
    table = pq.read_table(tmp_path / "out/train.parquet").to_pydict()
    assert list(table) == ["id", "text", "label", "probabilities", "logits"]
    assert len(table["text"]) == 40
    lacking = [row is None for row in table["probabilities"]]
    assert lacking == [row is None for row in table["logits"]]
    assert 0 < sum(lacking) < 40
    np.testing.assert_allclose([sum(row) for row in table["probabilities"] if row], 1, atol=1e-6)
    assert "said" in (tmp_path / "out/README.md").read_text(encoding="utf-8")


REFUSED = {
    "a recipe of hidden states": (
        "students: {soft: {recipe: distilbert}}",
        "students.soft.targets: distilbert reads hidden states, 'api' was given, as answers alone; take a recipe of logits",
    ),
    "scores of classes": ("given: {api: {columns: {text: text, score: s}}}", "columns.score: sequence-classification takes"),
    "two forms": (
        "given: {api: {columns: {text: text, votes: v, label: l}}}",
        "expected one column of the answers: .*; got votes and label",
    ),
    "a column of two labels": (
        "given: {api: {columns: {text: text, logits: {cat: a, dog: a}}}}",
        "logits: 'a' is the column of two labels; name one for each",
    ),
    "no key": (
        "given: {api: {columns: {votes: v}}}",
        "expected one column of whose answers these are: id, text, tokens, input_ids; got none",
    ),
    "a prior of probabilities": (
        "given: {api: {columns: {text: t, probabilities: p}, votes: {prior: 1}}}",
        "votes: smooths votes and labels, the answers are probabilities; remove it",
    ),
    "words of texts": (
        "given: {api: {columns: {tokens: t, label: l}}}",
        "columns.tokens: rows of .* have text; give that, or id",
    ),
    "a pair": ("given: {api: {columns: {text: t, text_pair: u, label: l}}}", "columns.text_pair: .* single texts; remove it"),
    "no source": (
        "given: {api: {table: data/raw/anwsers}}",
        "given.api.table: no entry 'anwsers' in sources .* did you mean 'answers'",
    ),
    "a task": (
        "datasets: {tiny: {task: masked-lm}}",
        "given.api.dataset: 'tiny' is for masked-lm: its targets are over all tokens",
    ),
    "two sets of one name": ("ensembles: {api: {first: api, second: api, dataset: tiny}}", "ensembles.api: given has it too"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_given_set_cannot_be_is_one_line(case: str, in_project: Callable[[str], Path]) -> None:
    change, complaint = REFUSED[case]
    folder = in_project(PARAMS)
    sections = read_sections(folder / "params.yaml")
    for section, entries in YAML(typ="safe", pure=True).load(change).items():
        for name, settings in entries.items():
            sections[section].setdefault(name, {}).update(settings)
    with pytest.raises(UserError) as error:
        checked(sections, folder / "params.yaml")
    assert len([line for line in str(error.value).splitlines() if re.search(complaint, line)]) == 1


def test_ensembles_take_given_and_computed_sets(in_project: Callable[[str], Path]) -> None:
    more = """
teachers: {t: {dataset: tiny, checkpoint: {path: x}}}
targets: {computed: {teacher: t, dataset: tiny}}
ensembles: {both: {first: api, second: computed, dataset: tiny}}
"""
    params = load_params(in_project(PARAMS.replace("targets: api\n", "targets: both\n") + more) / "params.yaml")
    assert list(map(params.teacher, params.members("both"))) == ["api (given)", "t"]
