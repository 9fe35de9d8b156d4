"""The report's content, gathered from what the stages wrote."""

import json
from pathlib import Path

import pytest

from distill.core.errors import UserError
from distill.report.gather import gather
from distill.report.records import DataSet
from distill.report.sections.costs import cost_comparison
from tests.reports import MILLISECONDS, PARAMETERS, PARAMS, SCORES, read_params, write_data


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with every file: what a test damages, it mends."""
    folder = tmp_path_factory.mktemp("whole")
    write_data(folder / "data")
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Its folder `data`, to be changed."""
    write_data(tmp_path / "data")
    return tmp_path / "data"


def test_gathers_every_entry(news: DataSet) -> None:
    assert [model.name for model in news.models] == ["big", "plain", "soft", "half", "tiny"]
    assert [model.shape for model in news.students] == ["3 × 384", "2 × 384", "3 × 384", "2 × 128"]
    assert {model.teacher for model in news.students} == {"big"}
    soft = news.students[1]
    assert (soft.metrics["accuracy"], soft.metrics["accuracy_sd"], soft.seconds) == (SCORES["soft"], 0.0031, 83)
    assert [run.epochs for run in soft.runs] == [3, 3]
    assert (soft.runs[0].losses[0][0], soft.runs[0].scores[0]) == (2, (1.0, SCORES["soft"] - 0.06))
    assert [(split.name, split.transfer_rows) for split in news.splits] == [("train", 120), ("validation", 0), ("test", 0)]
    assert [found.pair for found in news.duplicates] == ["train-validation", "train-test"]


def test_formats_have_the_scores_of_their_own_files(news: DataSet) -> None:
    formats = {form.name: form for form in news.students[0].formats}
    assert list(formats) == ["torch-fp32", "torch-bf16", "onnx-fp32", "onnx-int8"]
    assert [formats[name].score for name in formats] == [SCORES["plain"], None, SCORES["plain"], SCORES["plain"] - 0.0023]
    assert formats["torch-fp32"].p50 == MILLISECONDS["plain"]
    assert formats["onnx-int8"].bytes == int(4 * PARAMETERS["plain"] * 0.26)
    assert "AMD EPYC, 2 of 2 cores, torch 2.13.0" in news.machine


def test_of_an_audit_the_worst_of_each_kind(news: DataSet) -> None:
    found = news.targets[0].audit
    assert (found.rows, found.suspect, found.hard) == (62, 12, 20)
    assert [own.kind for own in found.worst] == ["suspect"] * 12 + ["hard"] * 20
    assert found.worst[0].confidence == 0.99


def test_every_student_that_reads_targets_is_counted(news: DataSet) -> None:
    expected = [("soft", ("news",), 2, 6), ("half", ("news",), 1, 3), ("tiny", ("news",), 1, 3)]
    assert [(own.name, own.sets, own.seeds, own.epochs) for own in news.taught] == expected
    assert news.taught[0].live_seconds == pytest.approx(6 * 81_000 * 10.0 / 58_000)


def test_a_teacher_of_another_data_set_has_no_scores_here(data: Path, tmp_path: Path) -> None:
    text = PARAMS.replace("datasets: {news: {", "datasets: {wire: {source: news, tokenizer: {path: tokenizer}}, news: {")
    params = read_params(tmp_path, text.replace("big: {dataset: news", "big: {dataset: wire"))
    (data / "runs/datasets/wire.json").write_bytes((data / "runs/datasets/news.json").read_bytes())
    wire, news = gather(params, data)
    assert (wire.teachers[0].metrics["accuracy"], wire.students) == (SCORES["big"], ())
    teacher = news.teachers[0]
    assert (teacher.recipe, teacher.metrics, teacher.detail, teacher.formats) == ("teacher of wire", {}, None, ())


def test_a_student_whose_head_is_not_trained_is_counted_in_the_costs_alone(data: Path, tmp_path: Path) -> None:
    text = PARAMS.replace("soft: {recipe: hinton,", "soft: {recipe: tinybert, stage: intermediate,")
    text = text.replace("init: {from: data/teachers/big, layers: [0, 5]}", "init: {from: data/teachers/big, depth: 3}")
    (found,) = gather(read_params(tmp_path, text), data)
    assert "soft" not in [student.name for student in found.students]
    assert "soft" in [own.name for own in found.taught]


def test_where_the_teacher_has_answered_some_test_rows_alone_a_student_says_how_many(data: Path, tmp_path: Path) -> None:
    path = data / "metrics/students/soft.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "retention_rows": 300}))
    (found,) = gather(read_params(tmp_path), data)
    path.write_text(json.dumps(content))
    assert {own.name: own.retention_rows for own in found.students}["soft"] == 300
    assert {own.retention_rows for own in found.students if own.name != "soft"} == {None}
    assert "retention_rows" not in found.students[1].metrics


def test_a_set_that_came_from_the_cache_has_no_time(data: Path, tmp_path: Path) -> None:
    path = data / "runs/targets/news.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "tokens_computed": 0}))
    (found,) = gather(read_params(tmp_path), data)
    assert found.targets[0].full_seconds is None
    assert {own.live_seconds for own in found.taught} == {None}


@pytest.mark.parametrize(
    ("file", "stage"),
    [
        ("metrics/students/soft.json", "evaluate@soft"),
        ("metrics/teachers/big.json", "evaluate-teacher@big"),
        ("metrics/exports/students/soft.json", "export@soft"),
        ("metrics/targets/news.json", "targets@news"),
        ("metrics/benchmark.json", "benchmark"),
        ("evaluations/students/soft/detail.json", "evaluate@soft"),
        ("evaluations/teachers/big/detail.json", "evaluate-teacher@big"),
        ("audits/news.json", "audit@news"),
        ("audits/news.parquet", "audit@news"),
        ("runs/students/soft.json", "student@soft"),
        ("runs/teachers/big.json", "teacher@big"),
        ("runs/targets/news.json", "targets@news"),
        ("runs/datasets/news.json", "prepare@news"),
    ],
)
@pytest.mark.parametrize("damage", [None, "{", "[1]", "3"])
def test_missing_or_damaged_file(whole: Path, file: str, stage: str, damage: str | None) -> None:
    path = whole / "data" / file
    content = path.read_bytes()
    path.unlink()
    if damage is not None:
        path.write_text(damage)
    try:
        with pytest.raises(UserError) as caught:
            gather(read_params(whole), whole / "data")
    finally:
        path.write_bytes(content)
    assert str(path) in str(caught.value)
    assert stage in str(caught.value)
    assert ("--force" in str(caught.value)) == ("--force --single-item" in str(caught.value))


def test_a_student_of_other_tokens_reads_the_set_of_its_teachers_data(data: Path, tmp_path: Path) -> None:
    wire = "wire: {source: news, tokenizer: {path: own}, teacher_tokenizer: {path: tokenizer}}"
    text = PARAMS.replace("datasets: {news: {", f"datasets: {{{wire}, news: {{")
    text = text.replace("dataset: news\n    targets: news\n", "dataset: wire\n    targets: news/logits\n")
    params = read_params(tmp_path, text.replace("prepared/news", "prepared/wire"))
    (data / "runs/datasets/wire.json").write_bytes((data / "runs/datasets/news.json").read_bytes())
    found, _ = gather(params, data)
    assert [own.name for own in found.students] == ["tiny"]
    assert ([own.name for own in found.targets], [own.name for own in found.teachers]) == (["news"], ["big"])
    assert cost_comparison(found).title == "Cost comparison"
