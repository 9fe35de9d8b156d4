"""`new` looks at rows and writes a params.yaml that is right as it stands, short, and never over another."""

from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from distill.commands import new
from distill.commands.new import main
from distill.params.task_specs import TASK_SPECS
from distill.pipeline.needs import missing_needs
from distill.pipeline.project import load_params
from distill.pipeline.shapes import Shape
from distill.pipeline.suggestion import COPIES, SEEDS, gains_by_copies, gains_by_teachers, half_of_layers, weight_of_labels
from distill.sources.files import read_local
from stages import fetch, prepare
from tests import tiny
from tests.benchmarks.quality.entries import METHODS
from tests.command_line import invoke, refusal
from tests.projects import make_origin

TASKS = {
    "sequence-classification": ["text is column 'text', label is column 'label'", "labels: "],
    "regression": ["text is column 'text'"],
    "token-classification": ["tokens is column 'tokens', tags is column 'tags'"],
    "question-answering": ["question is column 'question', context is column 'context'"],
    "ranking": ["query is column 'query', passage is column 'passage', label is column 'label'"],
}


@pytest.fixture(autouse=True)
def origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return make_origin(tmp_path / "origin")


def write_splits(*splits: str, **unlabelled: int) -> None:
    """Files of 40 rows in the folder `rows`; of the named splits so many of the first rows have no label."""
    Path("rows").mkdir()
    for split, missing in {**dict.fromkeys(splits, 0), **unlabelled}.items():
        lines = "".join(f"w1 w2 {split} {i},{'ab'[i % 2] if i >= missing else ''}\n" for i in range(40))
        Path("rows", f"{split}.csv").write_text(f"text,label\n{lines}", encoding="utf-8")


@pytest.mark.parametrize("task", TASKS)
def test_it_is_short_explained_and_leads_to_prepared_data(task: str, tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    for seed, split in enumerate(("train", "validation", "test")):
        pyarrow.parquet.write_table(tiny.raw(task, 40, seed), tmp_path / f"rows/{split}.parquet")
    done = invoke(main, "rows", "--teacher", "origin/checkpoint")
    assert done.returncode == 0, done.stderr
    for words in (f"task: {task}; ", "train: 40 rows", *TASKS[task], "dvc repro"):
        assert words in done.stdout
    lines = Path("params.yaml").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 15
    assert max(map(len, lines)) <= 170
    assert all("  # " in line for line in lines if line[0] != " ")
    params = load_params(Path("params.yaml"))
    assert (params.datasets["rows"].task, *params.students) == (task, "baseline", "half")
    assert params.students["half"].init.layers == (0,)  # of the tiny teacher's layers
    assert params.teachers["rows"].seeds == (tuple(SEEDS) if gains_by_teachers(task) else ())
    for student, method in {"half": "default", "baseline": "default-labels"}.items():  # what docs/quality.md measures
        (stage,) = METHODS[method].stages
        stage = {**stage, **({"alpha": weight_of_labels(task)} if stage.get("alpha") == "as_new" else {})}
        assert params.students[student].dataset == ("rows-copies" if gains_by_copies(task) else "rows")
        apart = {"epochs_factor", "learning_rate", *(["temperature"] if TASK_SPECS[task].numbers else [])}
        shared = {key: value for key, value in stage.items() if key not in apart}
        assert shared.items() <= params.students[student].model_dump().items()
    for stage in (fetch, prepare):
        done = invoke(stage.main, "rows")
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("rows", "arguments", "told"),
    [
        (
            {"text": ["a b", "A  b!", "c"] * 4, "label": ["x", "y", None] * 4},
            (),
            "12 rows, 4 without a label, 10 repeat an earlier text",
        ),
        ({"text": [f"{i} w1" for i in range(12)], "label": ["1", "5"] * 6}, (), "2 labels: 1 6, 5 6"),
        ({"text": ["w1 w2"] * 12, "label": ["x", "y"] * 6}, (), "validation and test: 17% of the training rows each"),
        ({"text": ["w1 w2"] * 12, "label": list(range(12))}, ("--task", "regression"), "task: regression"),
        ({"text": [" ".join(["w1"] * 99)] * 12, "label": ["x", "y"] * 6}, (), "max_length 32: 100.0% of the rows are longer"),
        ({"text": ["w1 w2"] * 12, "p": [0, 1, None] * 4, "q": [1, 0, None] * 4}, (), "2 labels: q 4, p 4"),
        ({"text": ["w1 w2"] * 12, "p": [0, 1, None] * 4, "q": [1, 0, None] * 4}, (), "12 rows, 4 without a label"),
        ({"text": ["w1 w2"] * 12, "note": ["a b c"] * 12, "label": ["x", "y"] * 6}, (), "not read: note"),
    ],
)
def test_what_it_assumes_is_said(rows: dict[str, Any], arguments: tuple[str, ...], told: str) -> None:
    pyarrow.parquet.write_table(pyarrow.table(rows), "rows.parquet")
    done = invoke(main, "rows.parquet", "--teacher", "origin/checkpoint", *arguments)
    assert told in done.stdout, done.stderr


def test_numbers_that_are_none_are_no_labels() -> None:
    rows = {"text": [f"{i} w1" for i in range(12)], "label": [0.0, 1.0, float("nan")] * 4}
    pyarrow.parquet.write_table(pyarrow.table(rows), "rows.parquet")
    done = invoke(main, "rows.parquet", "--teacher", "origin/checkpoint")
    assert "12 rows, 4 without a label" in done.stdout
    assert "2 labels: 0.0 4, 1.0 4" in done.stdout


def test_rows_that_an_annotator_has_not_accepted_are_refused_wherever_they_stand() -> None:
    """A sample of the rows would miss them: every second of 6,000."""
    Path("rows").mkdir()
    rows = {"text": [f"{i} w1 w2" for i in range(6000)], "label": ["x", "y"] * 3000, "answer": ["accept", "reject"] * 3000}
    pyarrow.parquet.write_table(pyarrow.table(rows), "rows/train.parquet")
    asked = "rows", "--teacher", "origin/checkpoint"
    message = (
        "train: column 'answer' says reject of 3000 of 6000 rows, whose labels the annotator did not accept; keep the rows with"
    )
    assert message in refusal(invoke(main, *asked))
    done = invoke(main, *asked, "--label", "answer")
    assert "label is column 'answer'" in done.stdout, done.stderr
    Path("params.yaml").unlink()
    pyarrow.parquet.write_table(pyarrow.table({name: values[::2] for name, values in rows.items()}), "rows/train.parquet")
    assert "one class alone (x)" in refusal(invoke(main, *asked))


@pytest.mark.parametrize("task", ["masked-lm", "sentence-embedding"])
def test_texts_alone_have_tasks_too(task: str) -> None:
    Path("texts.csv").write_text("text,label\n" + "".join(f"w1 w2 {i},x\n" for i in range(40)), encoding="utf-8")
    done = invoke(main, "texts.csv", "--teacher", "origin/checkpoint", "--task", task)
    assert done.returncode == 0, done.stderr
    params = load_params(Path("params.yaml"))
    assert (params.task("texts"), set(params.students) - {"baseline"}) == (task, {"half"})
    assert missing_needs(params, "texts", Path("params.yaml"), {"texts": Shape(4, 16, 2)}) == []
    assert params.teachers["texts"].epochs == (0 if task == "sentence-embedding" else 20)


CASES = {
    "no such file": (("nothing.csv",), "nothing.csv: no such file or folder"),
    "unknown task": (("rows.csv", "--task", "regresion"), "--task: no task 'regresion'; did you mean 'regression'?"),
    "no name": (("rows.csv", "--name", "../x"), "--name: got '../x', expected letters, digits, '-' and '_'"),
    "one column, two parts": (("rows.csv", "--text", "label", "--label", "label"), "--text: 'label' is named for another part"),
    "unknown column": (("rows.csv", "--label", "lable"), "--label: no column 'lable'; did you mean 'label'?"),
    "unknown key": (("rows.csv", "--source", "colour=red"), "--source.colour: unknown key"),
    "one class": (("rows.csv", "--label", "one"), "column 'one' has one class alone (1), expected two or more; see --label"),
    "no labels": (("texts.csv",), "no column has labels; name it with --label, or say --task sentence-embedding"),
    "a decoder": (
        ("texts.csv", "--task", "causal-lm"),
        "no params.yaml is made up for decoders; begin with docs/params/distilgpt2.yaml",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), CASES.values(), ids=CASES)
def test_what_cannot_be_told_is_refused_in_a_line(arguments: tuple[str, ...], message: str) -> None:
    Path("rows.csv").write_text("text,label,one\nw1 w2,a,1\nw2 w3,b,1\nw3 w4,a,1\n", encoding="utf-8")
    Path("texts.csv").write_text("text\n" + "".join(f"w1 w2 {i}\n" for i in range(9)), encoding="utf-8")
    assert message in refusal(invoke(main, *arguments, "--teacher", "origin/checkpoint"))
    assert not Path("params.yaml").exists()


def test_few_rows_are_read_often_and_rows_without_labels_by_the_student_that_can_learn_from_them() -> None:
    rows = {"text": [f"w1 w2 {i}" for i in range(9000)], "label": ["x", "y", *[None] * 16] * 500}
    pyarrow.parquet.write_table(pyarrow.table(rows), "rows.parquet")
    done = invoke(main, "rows.parquet", "--teacher", "origin/checkpoint")
    assert done.returncode == 0, done.stderr
    params = load_params(Path("params.yaml"))
    assert params.teachers["rows"].epochs == 20
    assert params.students["half"].epochs == 5  # of rows so many that there is no time for copies
    assert params.students["baseline"].epochs == 5 * 9  # of every ninth row: as many steps
    assert not params.augmentations


@pytest.mark.parametrize(("rows", "epochs"), [(8000, 1), (3000, 3), (600, 14), (8001, None)])
def test_where_rows_are_few_the_default_learns_from_copies(rows: int, epochs: int | None) -> None:
    texts = {"text": [f"w1 w2 {i}" for i in range(rows)], "label": ["x", "y"] * (rows // 2) + ["x"] * (rows % 2)}
    pyarrow.parquet.write_table(pyarrow.table(texts), "rows.parquet")
    done = invoke(main, "rows.parquet", "--teacher", "origin/checkpoint")
    assert done.returncode == 0, done.stderr
    params = load_params(Path("params.yaml"))
    baseline, half = params.students.values()
    if epochs is None:
        assert (half.dataset, half.epochs, params.augmentations) == ("rows", baseline.epochs, {})
        return
    (copied,) = params.augmentations.values()
    assert (copied.of, copied.teacher, copied.copies) == ("rows", "rows", COPIES)
    assert [*params.targets] == ["rows-copies"]
    for student in (baseline, half):  # one teacher's pass for both, and as many steps
        assert (student.dataset, student.target_set) == ("rows-copies", "rows-copies")
    assert (half.epochs, baseline.epochs) == (epochs, (1 + COPIES) * epochs)


def test_of_words_that_the_teacher_does_not_know_no_copies_are_made() -> None:
    rows = {"text": [f"поезд опаздывает {i}" for i in range(40)], "label": ["x", "y"] * 20}
    pyarrow.parquet.write_table(pyarrow.table(rows), "rows.parquet")
    assert invoke(main, "rows.parquet", "--teacher", "origin/checkpoint").returncode == 0
    params = load_params(Path("params.yaml"))
    assert (params.augmentations, params.students["half"].dataset) == ({}, "rows")


def test_the_layers_that_half_a_teacher_copies() -> None:
    assert half_of_layers("sequence-classification", 6) == half_of_layers("sentence-embedding", 6) == [0, 1, 5]
    assert half_of_layers("token-classification", 12) == half_of_layers("question-answering", 12) == [0, 1, 2, 3, 4, 5]
    assert [half_of_layers("regression", layers) for layers in (1, 2, 3, 4, 12)] == [[0], [0], [0], [0, 3], [0, 1, 2, 3, 4, 11]]


def test_a_split_without_labels_is_cut_as_large_as_holds_each_class() -> None:
    Path("rows").mkdir()
    for split, label in (("train", "class {}"), ("test", "")):
        lines = "".join(f"w1 w2 {i},{label.format(i % 6)}\n" for i in range(36))
        Path("rows", f"{split}.csv").write_text(f"text,label\n{lines}", encoding="utf-8")
    assert invoke(main, "rows", "--teacher", "origin/checkpoint").returncode == 0
    assert load_params(Path("params.yaml")).datasets["rows"].splits.test == 0.167
    assert invoke(fetch.main, "rows").returncode == 0
    assert "prepare rows: test: 6 rows" in invoke(prepare.main, "rows").stderr


def test_it_never_overwrites_and_its_advice_leads_out() -> None:
    Path("rows.csv").write_text("text,label\nw1 w2,a\nw2 w3,b\n", encoding="utf-8")
    Path("params.yaml").write_text("mine", encoding="utf-8")
    assert "never overwritten" in refusal(invoke(main, "rows.csv", "--teacher", "origin/checkpoint"))
    assert Path("params.yaml").read_text(encoding="utf-8") == "mine"
    done = invoke(main, "rows.csv", "--teacher", "origin/checkpoint", "--params", "new.yaml")
    assert done.returncode == 0, done.stderr
    assert load_params(Path("new.yaml")).students


def test_a_file_without_column_names_is_refused_and_read_as_the_advice_says() -> None:
    Path("rows.csv").write_text("".join(f"{'ab'[i % 2]},w1 w2 {i}\n" for i in range(40)), encoding="utf-8")
    message = refusal(invoke(main, "rows.csv", "--teacher", "origin/checkpoint"))
    assert "'a' is the name of a column, and a value of it: the first line looks like a row" in message
    assert "--source names=name1,name2 (such as text and label)" in message
    done = invoke(main, "rows.csv", "--teacher", "origin/checkpoint", "--source", "names=label,text")
    assert "train: 40 rows" in done.stdout, done.stderr
    for stage in (fetch, prepare):
        done = invoke(stage.main, "rows")
        assert done.returncode == 0, done.stderr


def test_a_line_of_names_is_not_taken_for_a_row_nor_a_row_for_it() -> None:
    Path("rows.csv").write_text("text,label\n" + "".join(f"text,{'ab'[i % 2]}\n" for i in range(40)), encoding="utf-8")
    teacher = ("--teacher", "origin/checkpoint")
    message = refusal(invoke(main, "rows.csv", *teacher, "--source", "names=Text,Label"))
    assert "rows.csv: its first line names the columns already, text, label; remove `names`" in message
    message = refusal(invoke(main, "rows.csv", *teacher, "--source", "names=name1,name2"))
    assert "the first row, text, label, looks like the names of columns: remove `names`, or that row" in message
    done = invoke(main, "rows.csv", *teacher)
    assert "train: 40 rows" in done.stdout, done.stderr


@pytest.mark.parametrize(("unlabelled", "splits"), [(1, {}), (30, {"test": 0.1})])
def test_a_split_is_cut_in_place_of_one_most_of_whose_rows_lack_labels(unlabelled: int, splits: dict[str, float]) -> None:
    write_splits("train", test=unlabelled)
    done = invoke(main, "rows", "--teacher", "origin/checkpoint")
    assert f"test: 40 rows, {unlabelled} without a label" in done.stdout
    named = load_params(Path("params.yaml")).datasets["rows"].splits.model_dump(exclude_none=True)
    assert named == {"train": "train"} | splits


def test_columns_are_told_from_rows_of_the_whole_file() -> None:
    rows = {
        "text": [f"w1 w2 {i}" for i in range(9000)],
        "is_toxic": [int(i > 6000) for i in range(9000)],
        "platform": ["web", "app", "mail"] * 3000,
    }
    pyarrow.parquet.write_table(pyarrow.table(rows), "rows.parquet", row_group_size=700)
    assert invoke(main, "rows.parquet", "--teacher", "origin/checkpoint").returncode == 0
    assert load_params(Path("params.yaml")).datasets["rows"].columns.label == "is_toxic"


def test_a_sample_is_even_and_begins_with_the_first_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new, "SAMPLE", 50)
    pyarrow.parquet.write_table(pyarrow.table({"text": [str(i) for i in range(1000)]}), "rows.parquet", row_group_size=33)
    found = [int(text) for text in new.sample_of(read_local(Path("rows.parquet"))["train"])["text"].to_pylist()]
    assert found == list(range(0, 1000, found[1]))
    assert 25 <= len(found) <= 50


def test_splits_in_another_case_are_named() -> None:
    write_splits("train", "Validation", "Testing")
    done = invoke(main, "rows", "--teacher", "origin/checkpoint")
    assert "validation: the rows of Validation\ntest: the rows of Testing\n" in done.stdout
    assert invoke(fetch.main, "rows").returncode == 0
    done = invoke(prepare.main, "rows")
    assert "prepare rows: test: 40 rows" in done.stderr, done.stderr


def test_a_split_dev_is_for_validation_and_what_no_split_has_is_said_when_it_is_prepared() -> None:
    write_splits("train", "dev", "train (1)")
    done = invoke(main, "rows", "--teacher", "origin/checkpoint")
    assert "validation: the rows of dev\ntest: 10% of the training rows each" in done.stdout, done.stderr
    assert load_params(Path("params.yaml")).datasets["rows"].splits.validation == "dev"
    assert invoke(fetch.main, "rows").returncode == 0
    done = invoke(prepare.main, "rows")
    assert "validation: 40 rows" in done.stderr
    assert "data/raw/rows: no split has the rows of train (1)\n" in done.stderr
    content = Path("params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(content.replace("splits: {validation: dev}", "splits: {test: 0.2}"), encoding="utf-8")
    told = "no split has the rows of dev, train (1); `splits: {validation: dev}` makes those of dev validation rows"
    assert told in " ".join(invoke(prepare.main, "rows").stderr.split())


def test_columns_of_0_and_1_lead_to_prepared_data() -> None:
    lines = "".join(f"w1 w2 {i},{i % 2},{i % 3 // 2}\n" for i in range(40))
    Path("rows.csv").write_text(f"text,odd,third\n{lines}", encoding="utf-8")
    done = invoke(main, "rows.csv", "--teacher", "origin/checkpoint")
    assert "labels are the columns odd, third of 0 and 1" in done.stdout, done.stderr
    assert load_params(Path("params.yaml")).datasets["rows"].task == "multi-label"
    for stage in (fetch, prepare):
        done = invoke(stage.main, "rows")
        assert done.returncode == 0, done.stderr


def test_a_column_of_splits_is_not_read_which_is_said_and_the_advice_works() -> None:
    lines = [f"w1 w2 {i},{'ab'[i % 2]},{'train' if i < 30 else 'test'}\n" for i in range(40)]
    Path("rows.csv").write_text("text,label,split\n" + "".join(lines), encoding="utf-8")
    done = invoke(main, "rows.csv", "--teacher", "origin/checkpoint", "--params", "one.yaml")
    assert "not read: split, which says what split a row is of" in done.stdout, done.stderr
    assert "give each its own, such as train.csv, validation.csv and test.csv in one folder" in done.stdout
    Path("rows").mkdir()
    for split in ("train", "test"):
        own = "".join(line for line in lines if split in line)
        Path(f"rows/{split}.csv").write_text(f"text,label,split\n{own}", encoding="utf-8")
    done = invoke(main, "rows", "--teacher", "origin/checkpoint")
    assert "train: 30 rows\ntest: 10 rows" in done.stdout, done.stderr


def test_what_looks_like_several_labels_is_classes_where_it_is_said() -> None:
    Path("rows.csv").write_text(
        "text,label\n" + "".join(f'w{i} w2,"{"ab"[i % 2]},x"\nw{i},x\n' for i in range(20)) + "w,a\nw,b\n"
    )
    assert "which looks like several labels" in refusal(invoke(main, "rows.csv", "--teacher", "origin/checkpoint"))
    done = invoke(main, "rows.csv", "--teacher", "origin/checkpoint", "--task", "sequence-classification")
    assert done.returncode == 0, done.stderr
    assert invoke(fetch.main, "rows").returncode == 0
    done = invoke(prepare.main, "rows")
    assert "classes that look like several labels: a,x, b,x" in done.stderr
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("kind", "line"), [("text", "w1 w2 {i}"), ("fasttext", "__label__{i} w1 w2")])
def test_a_text_file_is_read_as_the_advice_says(kind: str, line: str) -> None:
    Path("rows.txt").write_text("".join(f"{line.format(i=i % 2)}\n" for i in range(40)), encoding="utf-8")
    message = refusal(invoke(main, "rows.txt", "--teacher", "origin/checkpoint"))
    assert "text, fasttext; `text` is a row a line; of `new`: --source format=text" in message
    more = ("--task", "masked-lm") if kind == "text" else ()
    done = invoke(main, "rows.txt", "--teacher", "origin/checkpoint", "--source", f"format={kind}", *more)
    assert "train: 40 rows" in done.stdout, done.stderr
