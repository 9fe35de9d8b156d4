"""`python -m distill plan`, and what `check` refuses with it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from ruamel.yaml import YAML

from distill.__main__ import main
from tests import decoders, tiny

STUDENT = {"dataset": "tiny", "targets": "tiny"}
HALF = {"from": "data/teachers/big", "depth": 2}
TINYBERT = {**STUDENT, "recipe": "tinybert", "stage": "intermediate", "init": HALF}
DISTILBERT = {**STUDENT, "recipe": "distilbert", "init": HALF}
ONE_LAYER = {"num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2}
TWO_LAYERS = {"model_type": "distilbert", "n_layers": 2}
NO_LAYER = "the teacher has no layer 5; expected 0 (embeddings) to 4, or -1 for the last"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, teacher: Path, prepared: Path) -> dict[str, Any]:
    """A file of a 4-layer teacher's set and no student; its data is prepared."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(prepared, "data/prepared/tiny")
    return {
        "sources": {"tiny": {"path": "rows.csv"}},
        "datasets": {"tiny": {"source": "tiny", "tokenizer": {"path": str(teacher)}}},
        "teachers": {"big": {"dataset": "tiny", "checkpoint": {"path": str(teacher)}}},
        "targets": {"tiny": {"teacher": "big", "dataset": "tiny"}},
        "students": {},
    }


def run(content: dict[str, Any], *arguments: str) -> Result:
    with Path("params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(content, file)
    return CliRunner().invoke(main, arguments)


def planned(content: dict[str, Any]) -> dict[str, Any]:
    done = run(content, "plan", "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)["targets"]["tiny"]


def refused(content: dict[str, Any]) -> list[str]:
    """The problems, which `plan` and `check` agree on."""
    checked, done = run(content, "check"), run(content, "plan", "--json")
    assert (checked.exit_code, done.exit_code, checked.stderr) == (1, 1, done.stderr)
    found = json.loads(done.stdout)["problems"]
    assert [f"error: {line}" for line in found] == done.stderr.splitlines()
    return found


@pytest.mark.parametrize(
    ("targets", "student", "complaint"),
    [
        (
            {"hidden": [-1], "attention": [1]},
            TINYBERT,
            "students.small.targets: tinybert reads hidden-02, attention-02, attention-04, which targets.tiny does not keep; "
            "add to targets.tiny: hidden: [2, 4], attention: [1, 2, 4]",
        ),
        (
            {"hidden": [0]},
            {**TINYBERT, "init": {"from": "data/teachers/big", "depth": 3}},
            "students.small: tinybert: 3 layers of a student do not spread evenly over the teacher's 4; give layer_map: 3 of the "
            "teacher's layers, counted from 1",
        ),
        (
            {"hidden": [4]},
            {**DISTILBERT, "init": {"from": "data/teachers/big", "depth": 5}},
            "students.small.init.depth: got 5, data/teachers/big has 4 layers; expected at most 4",
        ),
        ({"hidden": [5]}, None, f"targets.tiny.hidden: {NO_LAYER}"),
        (
            {"hidden": [4], "hidden_splits": ["test"]},
            DISTILBERT,
            "students.small.targets: distilbert reads hidden states of train; add train to hidden_splits of targets.tiny",
        ),
    ],
)
def test_a_set_that_does_not_feed_its_student_is_refused_with_what_to_change(
    project: dict[str, Any], targets: dict[str, Any], student: dict[str, Any] | None, complaint: str
):
    project["targets"]["tiny"] |= targets
    project["students"] = {"small": student} if student else {}
    assert refused(project) == [f"params.yaml: {complaint}"]


def test_what_is_to_be_added_feeds_all_students_of_the_set(project: dict[str, Any]):
    project["students"] = {"small": TINYBERT, "last": DISTILBERT, "soft": {**STUDENT, "recipe": "hinton", "init": HALF}}
    lines = refused(project)
    assert [line.split(".")[2] for line in lines] == ["last", "small"]
    assert {line.partition("add to targets.tiny: ")[2] for line in lines} == {"hidden: [0, 2, 4], attention: [2, 4]"}
    project["targets"]["tiny"] |= {"hidden": [0, 2, 4], "attention": [2, 4]}
    assert planned(project)["students"]["small"]["lacks"] == []
    assert run(project, "check").exit_code == 0


def test_the_states_that_attention_is_replayed_from_count_as_kept(project: dict[str, Any]):
    project["targets"]["tiny"] |= {"hidden": [0, 2, 4], "attention": [3]}
    project["students"]["second"] = {**TINYBERT, "layer_map": [2, 3], "attention_weight": 0.0}
    assert len(refused(project)) == 1
    project["students"]["second"]["layer_map"] = [2, 4]
    content = planned(project)
    assert content["outputs"]["attention-03"]["source"] == "hidden-02"
    assert content["unread"] == ["attention-03"]
    project["targets"]["tiny"]["attention_as"] = "scores-u8"
    assert planned(project)["outputs"]["attention-03"]["source"] is None


@pytest.mark.parametrize(
    ("init", "attention"),
    [
        ({"from": "data/teachers/big", "layers": [0]}, ["attention-04"]),
        ({"from": "data/teachers/big"}, ["attention-01", "attention-02", "attention-03", "attention-04"]),
        ({"from": "data/students/first"}, ["attention-02", "attention-04"]),
        ({"from": "data/inits/first"}, ["attention-02", "attention-04"]),
        ({"from": "data/prepared/tiny", "architecture": ONE_LAYER}, ["attention-04"]),
        ({"from": "data/prepared/tiny", "architecture": TWO_LAYERS}, ["attention-02", "attention-04"]),
    ],
)
def test_a_students_depth_is_followed_to_its_first_ancestor(project: dict[str, Any], init: dict[str, Any], attention: list[str]):
    project["targets"]["tiny"] |= {"hidden": [0, 1, 2, 3, 4], "attention": [1, 2, 3, 4]}
    project["students"] = {"first": {**DISTILBERT, "init": HALF}, "second": {**TINYBERT, "init": init}}
    reads = planned(project)["students"]["second"]["reads"]
    assert [name for name in reads if name.startswith("attention")] == attention


def test_an_architecture_that_does_not_say_its_depth_is_let_pass(project: dict[str, Any]):
    project["targets"]["tiny"]["hidden"] = [0]
    project["students"]["odd"] = {**TINYBERT, "init": {"from": "data/prepared/tiny", "architecture": {"model_type": "roberta"}}}
    assert planned(project)["students"]["odd"] is None
    assert "not known" in run(project, "plan").stdout


@pytest.mark.parametrize(
    ("student", "shape", "complaint"),
    [
        (TINYBERT, {"num_attention_heads": 4}, "tinybert: the attention term compares scores head by head, the student has 4"),
        (DISTILBERT, {"hidden_size": 8}, "distilbert: the cosine term compares hidden states, the student's are 8 wide"),
        ({**STUDENT, "recipe": "mobilebert", "stage": "transfer"}, {"num_attention_heads": 4}, "mobilebert: the attention term"),
        ({**STUDENT, "recipe": "minilm", "relation_heads": 3}, {}, "minilm: relation_heads: 3 do not divide the student's width"),
        ({**STUDENT, "recipe": "minilm", "version": 1}, {"num_attention_heads": 4}, "minilm: version 1 compares attention"),
    ],
)
def test_heads_and_widths_that_cannot_be_compared_are_refused_before_anything_is_computed(
    project: dict[str, Any], student: dict[str, Any], shape: dict[str, int], complaint: str
):
    own = {"num_hidden_layers": 2, "hidden_size": 16, "num_attention_heads": 2, **shape}
    project["students"]["odd"] = {**student, "init": {"from": "data/prepared/tiny", "architecture": own}}
    project["students"]["child"] = {**student, "init": {"from": "data/students/odd"}}
    child, odd = refused(project)
    assert odd.startswith(f"params.yaml: students.odd: {complaint}")
    assert child == odd.replace("students.odd", "students.child")


def test_probabilities_do_not_feed_a_student_that_compares_scores(project: dict[str, Any]):
    project["targets"]["tiny"] |= {"hidden": [0, 2, 4], "attention": [2, 4], "attention_as": "probabilities-u8"}
    project["students"]["small"] = TINYBERT
    (line,) = refused(project)
    assert "which do not tell them; set attention_as: replay" in line


def test_check_lets_pass_what_it_cannot_know_and_refuses_what_no_depth_would_mend(project: dict[str, Any]):
    project["teachers"]["big"]["checkpoint"] = {"hub": "nobody/nothing"}
    project["students"]["small"] = TINYBERT
    done = run(project, "check")
    reads = "tinybert reads hidden states, which targets.tiny does not keep"
    assert f"{reads}; `python -m distill plan tiny` says which" in done.stderr
    project["targets"]["tiny"]["hidden"] = [1]
    assert run(project, "check").exit_code == 0


def test_a_hub_that_does_not_answer_is_replaced_by_the_trained_teacher(project: dict[str, Any], teacher: Path):
    project["teachers"]["big"]["checkpoint"] = {"hub": "nobody/nothing"}
    done = run(project, "plan")
    assert done.exit_code == 1
    assert "hub: config of 'nobody/nothing' is not cached here" in done.stderr
    shutil.copytree(teacher, "data/teachers/big")
    assert planned(project)["teacher"]["layers"] == 4


def test_a_checkpoint_that_is_no_encoder_is_refused(project: dict[str, Any]):
    Path("other").mkdir()
    project["teachers"]["big"]["checkpoint"] = {"path": "other"}
    assert "other: has no config.json" in run(project, "plan").stderr
    Path("other/config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    assert "other/config.json: expected the number of layers and heads" in run(project, "plan").stderr


def test_data_that_is_not_prepared_leaves_out_bytes_alone(project: dict[str, Any]):
    project["students"]["soft"] = {**STUDENT, "recipe": "hinton", "init": HALF}
    project["targets"]["tiny"] |= {"hidden": [-1], "attention": [2]}
    shutil.rmtree("data")
    done = run(project, "plan")
    assert done.exit_code == 0, done.stderr
    assert "data/prepared/tiny is not there: run `dvc repro prepare@tiny` for bytes" in done.stdout
    assert "no student reads hidden-04, attention-02" in done.stdout
    assert planned(project)["outputs"]["attention-02"] == {"codec": "replay", "source": "hidden-01", "bytes": None}
    project["augmentations"] = {"more": {"of": "tiny", "teacher": "big"}}
    project["targets"]["tiny"]["dataset"] = project["students"]["soft"]["dataset"] = "more"
    assert "data/prepared/more is not there: run `dvc repro augment@more` for bytes" in run(project, "plan").stdout


def test_the_table_has_every_output_and_marks_the_smallest_attention(project: dict[str, Any]):
    project["targets"]["tiny"] |= {"hidden": [0, 2, 4], "attention": [2, 4]}
    project["students"]["small"] = TINYBERT
    lines = run(project, "plan").stdout.splitlines()
    assert lines[0].startswith("targets.tiny: teacher big (4 layers, 16 wide, 2 heads), data set tiny (")
    table = {line.split()[0]: line.split() for line in lines if line}
    outputs = {"attention-02", "attention-04", "tokens", *(f"hidden-{layer:02d}" for layer in range(5))}
    assert outputs < set(table)
    assert table["attention-02"][1:3] == ["replay", "hidden-01"]
    content = planned(project)
    smallest = min(content["attention"]["bytes"], key=content["attention"]["bytes"].get)
    assert [name for name, cells in table.items() if cells[-1] == "smallest"] == [smallest]
    assert content["codec"] == {"name": "int8", "variance_lost": 6e-5, "bytes_a_value": 1.125}


def test_only_the_named_sets_are_planned(project: dict[str, Any]):
    project["targets"]["other"] = {"teacher": "big", "dataset": "tiny"}
    assert set(json.loads(run(project, "plan", "other", "--json").stdout)["targets"]) == {"other"}
    assert run(project, "plan", "othr").stderr == "error: params.yaml: targets.othr: no such entry; did you mean 'other'?\n"
    both = {**project, "ensembles": {"both": {"dataset": "tiny", "first": "tiny", "second": "other"}}}
    told = "error: params.yaml: ensembles.both: is the mean of stored logits; plan tiny and other\n"
    assert run(both, "plan", "both").stderr == told


def test_a_masked_lm_and_its_relations_are_planned(project: dict[str, Any]):
    shutil.rmtree("data/prepared/tiny")
    tiny.prepare_task(Path("data/prepared/tiny"), "masked-lm", sizes=(30, 8, 8))
    project["datasets"]["tiny"]["task"] = "masked-lm"
    project["targets"]["tiny"]["relations"] = [-1]
    outputs = planned(project)["outputs"]
    assert outputs["logits"]["source"] == "transform"
    assert list(outputs["logits"]["bytes"]) == ["heads.safetensors"]
    assert set(outputs["transform"]["bytes"]) == {"train", "validation", "test"}
    sources = {name: output["source"] for name, output in outputs.items() if name.endswith("-04")}
    assert sources == dict.fromkeys(("queries-04", "keys-04", "values-04"), "hidden-03")


def test_logits_of_a_masked_lm_alone_are_refused(project: dict[str, Any]):
    project["datasets"]["tiny"]["task"] = "masked-lm"
    project["students"]["soft"] = {**STUDENT, "targets": "tiny/logits", "recipe": "hinton", "init": HALF}
    done = run(project, "check")
    assert done.exit_code == 1
    assert "students.soft.targets: logits of masked-lm are replayed, 'tiny/logits' lacks" in done.stderr


def test_the_ways_to_keep_a_decoder_s_distributions_are_priced_in_bytes_a_token(project: dict[str, Any]):
    shutil.rmtree("data/prepared/tiny")
    tiny.prepare_task(Path("data/prepared/tiny"), "causal-lm", decoders.tokenizer(), sizes=(30, 8, 8))
    path = str(decoders.checkpoint(Path("decoder").absolute()))
    project["datasets"]["tiny"] |= {"task": "causal-lm", "tokenizer": {"path": path}}
    project["teachers"]["big"] |= {"checkpoint": {"path": path}}
    project["targets"]["tiny"] |= {"logits_as": "top-k", "top_k": 5}
    project["students"]["small"] = {**STUDENT, "recipe": "divergence", "init": HALF}
    found = planned(project)
    assert found["distributions"] == {
        "kept": "top-k",
        "bytes_a_token": {
            "logits_as: replay, codec: int8": 16 + 2,
            "logits_as: replay, codec: int4": 8 + 2,
            "logits_as: top-k, top_k: 5": 4 * 5 + 2,
            "logits_as: draws, draws: 12": 2 * 12,
        },
        "kinds": {
            "logits_as: replay, codec: int8": "replay",
            "logits_as: replay, codec: int4": "replay",
            "logits_as: top-k, top_k: 5": "top-k",
            "logits_as: draws, draws: 12": "draws",
        },
    }
    assert set(found["outputs"]["likeliest"]["bytes"]) == {"train"}
    assert set(found["outputs"]["transform"]["bytes"]) == {"validation", "test"}
    text = run(project, "plan").stdout
    assert "logits_as: draws, draws: 12" in text
    assert "here logits_as is top-k" in text
    project["targets"]["tiny"]["top_k"] = 47
    assert "top_k: got 47, expected 1 to 46" in run(project, "plan").stderr
