"""A fine-tuned teacher that names or orders labels in its own way is refused, and does right once its names are given."""

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
import torch

from distill.models.loading import set_labels
from stages import evaluate, fetch, prepare, teacher
from tests import tiny
from tests.command_line import invoke, refusal

PARAMS = """\
sources:
  rows: {{path: rows}}
datasets:
  rows: {{source: rows, tokenizer: {{path: model}}, max_length: 16{labels}}}
teachers:
  rows: {{dataset: rows, checkpoint: {{path: model}}, epochs: 0}}
"""
NLI = ["entailment", "neutral", "contradiction"]
CASES = {
    "MNLI's own": (NLI, True, NLI, NLI),
    "another order": (NLI, True, ["contradiction", "entailment", "neutral"], ["contradiction", "entailment", "neutral"]),
    "another order and case": (NLI, True, ["CONTRADICTION", "NEUTRAL", "ENTAILMENT"], ["contradiction", "neutral", "entailment"]),
    "other names": (["neg", "pos"], False, ["POSITIVE", "NEGATIVE"], ["pos", "neg"]),
}
"""The data's names in their own order, whether rows have integers under them, as the hub's do; the teacher's names in its own
order, and which of the data's names each means."""


def write_rows(names: list[str], *, carried: bool) -> None:
    """Rows whose first word tells the class: integers under the hub's names, or the names themselves."""
    Path("rows").mkdir()
    feature = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
    for split in ("train", "validation", "test"):
        numbers = [i % len(names) for i in range(12)]
        texts = [f"w{number} w20 w21" for number in numbers]
        table = pa.table({"text": texts, "label": numbers if carried else [names[number] for number in numbers]})
        if carried:
            table = table.replace_schema_metadata({"huggingface": json.dumps(feature)})
        pyarrow.parquet.write_table(table, f"rows/{split}.parquet")


def write_model(names: list[str], meant: list[str], data: list[str]) -> None:
    """A model that is right in every row, with its own names, which mean those of the data."""
    model, tokenizer = tiny.family("bert", num_labels=len(names)), tiny.tokenizer()
    set_labels(model.config, names)
    batch = tokenizer([f"w{number} w20 w21" for number in range(len(data))], return_tensors="pt")
    right = torch.tensor([meant.index(name) for name in data])
    steps = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        steps.zero_grad()
        torch.nn.functional.cross_entropy(model(**batch).logits, right).backward()
        steps.step()
    assert model(**batch).logits.argmax(dim=1).equal(right)
    tiny.save(model, Path("model"), tokenizer)


def run_stages() -> None:
    for stage, arguments in ((prepare, ["rows"]), (teacher, ["rows"]), (evaluate, ["teachers", "rows"])):
        done = invoke(stage.main, *arguments)
        assert done.returncode == 0, done.stderr
        if stage is teacher:  # nothing is trained, so nothing is validated
            assert "teacher rows: kept as it is (epochs: 0)" in done.stderr


def test_a_teacher_with_another_tokenizer_is_refused_before_it_is_fine_tuned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_rows(["neg", "pos"], carried=False)
    tiny.save(tiny.family("bert", num_labels=2), Path("model"), tiny.tokenizer())
    tiny.save(tiny.family("bert", num_labels=2), Path("other"), tiny.tokenizer(tiny.WORDS[::-1]))
    params = PARAMS.format(labels="").replace("epochs: 0", "epochs: 1")
    Path("params.yaml").write_text(params.replace("checkpoint: {path: model}", "checkpoint: {path: other}"), encoding="utf-8")
    for stage in (fetch, prepare):
        assert invoke(stage.main, "rows").returncode == 0
    monkeypatch.setattr("distill.training.fine_tuning.train", None)
    told = refusal(invoke(teacher.main, "rows"))
    assert told.startswith("other: its tokenizer is ")
    assert told.endswith("both must use the same: prepare the data set with the model's tokenizer")


@pytest.mark.parametrize(("data", "carried", "names", "meant"), CASES.values(), ids=CASES)
def test_labels_are_matched_by_name_or_refused_with_what_to_write(
    data: list[str], carried: bool, names: list[str], meant: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_rows(data, carried=carried)
    write_model(names, meant, data)
    Path("params.yaml").write_text(PARAMS.format(labels=""), encoding="utf-8")
    for stage in (fetch, prepare):
        assert invoke(stage.main, "rows").returncode == 0
    if names != data:
        told = refusal(invoke(teacher.main, "rows"))
        advised = re.search(r"write in the data set's entry: (labels: \[.*\])$", told)
        assert advised, told
        assert not Path("data/teachers/rows").exists()
        Path("params.yaml").write_text(PARAMS.format(labels=f", {advised[1]}"), encoding="utf-8")
    run_stages()
    assert json.loads(Path("data/metrics/teachers/rows.json").read_text(encoding="utf-8"))["accuracy"] == 1
    assert json.loads(Path("data/prepared/rows/dataset.json").read_text(encoding="utf-8"))["labels"] == names
