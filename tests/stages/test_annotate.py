"""`python -m stages.annotate` and `select`: rows labelled in rounds, answers kept, or one line."""

import json
import math
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import torch

from distill.annotation.responses import Responses
from distill.annotation.select import choose, uncertainty, write_selection
from distill.commands.plan import main as plan
from distill.core.console import PARAMS as PARAMS_FILE
from distill.core.files import read_json
from distill.core.settings import load_entry
from distill.data.dataset import Dataset
from distill.params.annotators import SelectionSettings
from distill.store.target_set import TargetStore
from stages.annotate import main as annotate
from stages.given import main as give
from stages.selection import main as select
from tests import tiny
from tests.annotation.server import Server, error, labelled, said, serving, token
from tests.command_line import contents, invoke, refusal

KEY = "sk-very-secret"
PARAMS = """
defaults: {annotators: {model: llm, key: TEST_KEY, endpoint: ADDRESS, timeout: 600}}
datasets: {rows: {source: rows, tokenizer: {path: x}}}
annotators:
  first: {rows: data/prepared/rows, limit: 6, examples: 2, splits: [train, test], prices: {prompt: 1.0, answer: 1.0}}
  second: {rows: data/selections/hard, examples: 2}
  tags: {rows: data/prepared/tags}
  topics: {rows: data/prepared/topics, limit: 5, examples: 4, votes: 2}
  typo: {rows: data/prepared/rows, descriptions: {sprot: all that is played}}
  greedy: {rows: data/prepared/rows, examples: 1000}
given:
  topics: {table: data/annotations/topics/rows, dataset: topics, columns: {text: text, votes: votes}, missing: skip}
  votes: {table: data/annotations/first/rows, dataset: rows, columns: {text: text, votes: votes}, missing: skip}
  soft:
    columns: {text: text, log_probabilities: log_probabilities}
    table: data/annotations/first/rows
    dataset: rows
    missing: skip
selections:
  hard: {rows: data/annotations/first, student: small, count: 4}
  unsure: {rows: data/annotations/topics, student: small, count: 3, by: margin}
"""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """It takes every row for the class of its first example."""
    monkeypatch.setenv("TEST_KEY", KEY)
    with serving(lambda body, _: labelled(body["messages"][0]["content"].split("Labels:\n- ")[1].split("\n")[0])) as server:
        yield server


@pytest.fixture
def project(in_project: Callable[[str], Path], server: Server) -> Path:
    """A project with data sets and a student, some of whose training rows have no label."""
    folder = in_project(PARAMS.replace("ADDRESS", server.address))
    texts, labels = tiny.rows(30, 0)
    tiny.prepare_rows(folder / "data/prepared/rows", tiny.tokenizer(), texts, [*labels[:12], *[""] * 18], (5, 5))
    tiny.prepare_task(folder / "data/prepared/tags", "token-classification", sizes=(20, 6, 6))
    tiny.prepare_task(folder / "data/prepared/topics", "multi-label", tiny.tokenizer(), (20, 6, 6), labelled=8)
    tiny.save(tiny.bert(), folder / "data/students/small", tiny.tokenizer())
    return folder


def test_rows_are_labelled_once(project: Path, server: Server) -> None:
    found = []
    for sent in (11, 0):
        done = invoke(annotate, "first")
        assert done.returncode == 0, done.stderr
        assert f"{sent} requests sent, 11 answers in all" in done.stderr
        found.append(contents(project / "data/annotations/first"))
    assert found[0] == found[1]
    made = read_json(project / "data/annotations/first/annotations.json", "")
    assert made["splits"]["train"] == {"rows": 6, "answered": 6, "unanswered": {}}
    table = pyarrow.parquet.read_table(project / "data/annotations/first/rows/train.parquet")
    assert table["votes"].to_pylist() == [[made["labels"][0]]] * 6
    asked = {body["messages"][-1]["content"] for body in server.bodies}
    assert {*table["text"].to_pylist()} <= asked
    shown = {message["content"] for message in server.bodies[0]["messages"][1:-1:2]}
    assert len(shown) == 2
    assert not shown & asked, "examples are labelled already"
    assert not [file for file in project.rglob("*") if file.is_file() and KEY.encode() in file.read_bytes()]


def test_who_has_the_annotations_has_the_answers(project: Path, server: Server) -> None:
    assert invoke(annotate, "first").returncode == 0
    (project / "data/responses.sqlite").unlink()
    assert Responses().read(project / "data/annotations/first/responses.parquet") == 11
    before = len(server.bodies)
    assert invoke(annotate, "first").returncode == 0
    assert len(server.bodies) == before


def test_answers_that_dvc_cannot_fetch_are_said_and_asked_for(project: Path, server: Server) -> None:
    assert invoke(annotate, "first").returncode == 0
    (project / "dvc.yaml").write_text("stages: {one: {cmd: 'true', outs: [data/annotations/first]}}\n", encoding="utf-8")
    for command in (("git", "init", "--quiet"), ("dvc", "init", "--quiet"), ("dvc", "commit", "--force", "--quiet")):
        subprocess.run(command, check=True, capture_output=True)
    for folder in (".dvc/cache", "data/annotations"):
        shutil.rmtree(folder)
    Path("data/responses.sqlite").unlink()
    before = len(server.bodies)
    done = invoke(annotate, "first")
    assert done.returncode == 0, done.stderr
    assert re.search(r"data/annotations/first: the answers that dvc\.lock names are not at hand \(.+\); those on", done.stderr)
    assert len(server.bodies) == before + 11


def test_a_second_round_asks_what_the_student_is_least_sure_of(project: Path, server: Server) -> None:
    assert invoke(annotate, "first").returncode == 0
    done = invoke(select, "hard")
    assert done.returncode == 0, done.stderr
    assert "4 of 18 rows without a label, and 6 that are annotated already" in done.stderr
    before = len(server.bodies)
    done = invoke(annotate, "second")
    assert done.returncode == 0, done.stderr
    assert len(server.bodies) - before == 4, "the first round's answers are there"
    first, second = (
        pyarrow.parquet.read_table(project / "data/annotations" / name / "rows/train.parquet")["text"].to_pylist()
        for name in ("first", "second")
    )
    assert {*first} < {*second}
    assert len(second) == 10
    dataset = Dataset.open(project / "data/prepared/rows")
    texts = dataset.texts("train")["text"]
    assert all(texts.index(text) >= 12 for text in {*second} - {*first}), "rows with a label need none"


@pytest.mark.parametrize("soft", [False, True])
def test_a_given_set_reads_what_was_answered(project: Path, server: Server, soft: bool) -> None:
    labels = Dataset.open(project / "data/prepared/rows").labels
    others = {label: math.log(0.2) for label in labels[1:2]}
    tokens = [token('{"label": "', 0.0), token(labels[0], math.log(0.5), **others), token('"}', 0.0)]
    server.answer = lambda *_: said(json.dumps({"label": labels[0]}), tokens if soft else None)
    for stage, name in ((annotate, "first"), (give, "soft" if soft else "votes")):
        done = invoke(stage, name)
        assert done.returncode == 0, done.stderr
    store = TargetStore.open(project / "data/targets" / ("soft" if soft else "votes"))
    found = torch.softmax(store.output("logits", "train").gather(np.zeros(1, np.int64)), dim=1)[0].tolist()
    rest = len(labels) - 2
    assert found == pytest.approx(
        [0.5, 0.2, *[0.3 / rest] * rest] if soft else [2 / (1 + len(labels)), *[1 / (1 + len(labels))] * (1 + rest)]
    )


def test_rows_of_several_labels_are_asked_for_all_that_apply_and_given_reads_their_votes(project: Path, server: Server) -> None:
    dataset = Dataset.open(project / "data/prepared/topics")
    first, second, third = dataset.labels
    server.answer = lambda body, _: said(json.dumps({"labels": [first, third] if body["seed"] else [third]}))
    for stage in (annotate, give):
        done = invoke(stage, "topics")
        assert done.returncode == 0, done.stderr
    body = server.bodies[0]
    assert body["messages"][0]["content"].startswith("Choose all labels that apply to the text.\n\nLabels:\n")
    assert body["response_format"]["json_schema"]["schema"]["properties"]["labels"]["items"]["enum"] == [first, second, third]
    assert "logprobs" not in body
    rows, texts = dataset.rows("train"), dataset.texts("train")["text"]
    shown = {
        message["content"]: json.loads(after["content"])["labels"]
        for message, after in zip(body["messages"][1:9:2], body["messages"][2:9:2], strict=True)
    }
    expected = {text: [dataset.labels[i] for i in np.flatnonzero(rows.labels[texts.index(text)] == 1)] for text in shown}
    assert shown == expected
    assert {label for labels in shown.values() for label in labels} == {first, second, third}
    table = pyarrow.parquet.read_table(project / "data/annotations/topics/rows/train.parquet")
    assert table["votes"].to_pylist() == [[[third], [first, third]]] * 5
    store = TargetStore.open(project / "data/targets/topics")
    found = torch.sigmoid(store.output("logits", "train").gather(np.zeros(1, np.int64)))[0].tolist()
    assert found == pytest.approx([2 / 4, 1 / 4, 3 / 4])  # one more yes and one more no for each label
    done = invoke(select, "unsure")
    assert done.returncode == 0, done.stderr
    assert "3 of 12 rows without a label, and 5 that are annotated already" in done.stderr


def test_a_row_to_which_no_label_applies_has_an_answer(project: Path, server: Server) -> None:
    server.answer = lambda *_: said('{"labels": []}')
    assert invoke(annotate, "topics").returncode == 0
    table = pyarrow.parquet.read_table(project / "data/annotations/topics/rows/train.parquet")
    assert table["votes"].to_pylist() == [[[], []]] * 5
    assert invoke(give, "topics").returncode == 0


def test_labels_that_do_not_exclude_each_other_are_unsure_one_by_one() -> None:
    logits = np.array([[0.0, 0.0], [0.0, 9.0], [9.0, -9.0]], np.float32)
    entropy, margin = (uncertainty(logits, by, exclusive=False) for by in ("entropy", "margin"))
    assert entropy == pytest.approx([2 * math.log(2), math.log(2), 0.0], abs=3e-3)
    assert margin == pytest.approx([1.0, 1.0, 0.0], abs=3e-3)


def test_a_multi_label_students_thresholds_have_no_say_in_how_unsure_it_is(project: Path, server: Server) -> None:
    assert invoke(annotate, "topics").returncode == 0
    dataset, settings = (
        Dataset.open(project / "data/prepared/topics"),
        load_entry(PARAMS_FILE, "selections", "unsure", SelectionSettings),
    )
    logits = np.random.default_rng(0).normal(size=(len(dataset.rows("train")), len(dataset.labels))).astype(np.float32)
    found = []
    for name, predicted in (("one", logits), ("two", np.hstack([logits, logits[::-1] * 5]))):
        (project / name).mkdir()
        write_selection(project / name, dataset, predicted, settings)
        found.append((project / name / "rows/train.parquet").read_bytes())
    assert found[0] == found[1]


def test_uncertainty_of_known_probabilities() -> None:
    logits = np.log([[0.5, 0.4, 0.1], [0.5, 0.25, 0.25], [1.0, 1e-9, 1e-9]]).astype(np.float32)
    entropy, margin = (uncertainty(logits, by) for by in ("entropy", "margin"))
    assert entropy == pytest.approx([0.9433, 1.0397, 0.0], abs=1e-3)
    assert margin == pytest.approx([0.9, 0.75, 0.0], abs=1e-3)
    texts = [("a",), ("b",), ("c",), ("b",)]
    chosen = choose(np.array([1.0, 3.0, 2.0, 4.0]), texts, np.array([True, True, False, True]), [("z",)], 5)
    assert chosen == [("z",), ("b",), ("a",)], "open rows, each text once, after those that are annotated"


def test_plan_says_what_is_left_and_what_it_costs(project: Path) -> None:
    (project / "data/raw/rows").mkdir(parents=True)
    params = project / "params.yaml"
    text = params.read_text(encoding="utf-8")
    params.write_text(
        text[: text.index("  tags:")].replace("  second: {rows: data/selections/hard, examples: 2}\n", ""), encoding="utf-8"
    )
    before = invoke(plan).stdout
    assert "a guess" in before
    assert " left 11 " in " ".join(before.split())
    assert invoke(annotate, "first").returncode == 0
    after = invoke(plan).stdout
    assert "as in the answers so far" in after
    assert " ".join(after.split()).count("left 0 0 0 0.00") == 1


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "tags",
            "annotators.tags.rows: 'tags' is for token-classification; a language model labels rows of "
            "sequence-classification or multi-label",
        ),
        ("typo", "annotators.typo.descriptions: 'rows' has no label 'sprot'"),
        ("greedy", "annotators.greedy.examples: 'rows' has 12 labelled training rows, expected 1000"),
    ],
)
def test_what_cannot_be_asked_is_one_line(project: Path, server: Server, name: str, words: str) -> None:
    assert words in refusal(invoke(annotate, name))
    assert not server.bodies


def test_a_refused_key_leaves_no_output(project: Path, server: Server) -> None:
    server.answer = lambda *_: error(401, f"no such key: {KEY}")
    line = refusal(invoke(annotate, "first"))
    assert "$TEST_KEY is refused" in line
    assert KEY not in line
    assert not (project / "data/annotations/first").exists()
