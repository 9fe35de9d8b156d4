"""Exports are written whole and scored as their models are."""

from pathlib import Path
from typing import Any

import pytest

from distill.core.errors import UserError
from distill.data.dataset import Dataset
from distill.evaluation.evaluate import measure_teacher
from distill.export.export import calibration_of, write_export
from distill.export.scores import measure_exports
from distill.export.session import FP32, INT8
from distill.models.loading import load_for, set_labels
from distill.params.exports import ExportSettings
from distill.tasks.registry import TASKS
from tests import tiny


def model_of(task: str, dataset: Dataset, folder: Path) -> Path:
    """A random BERT for the data, on disk."""
    config: dict[str, Any] = {"num_labels": max(1, len(dataset.labels)), "vocab_size": dataset.vocabulary}
    model = tiny.family("bert", TASKS[task].spec.head, **config)
    if dataset.labels:
        set_labels(model.config, dataset.labels)
    model.config.word_splitter = dataset.splitter
    return tiny.save(model, folder, tiny.masking_tokenizer())


@pytest.mark.parametrize("task", tiny.TASKS)
def test_every_task_is_scored_as_in_torch_and_int8_follows(task: str, tmp_path: Path) -> None:
    dataset = Dataset.open(tiny.prepare_task(tmp_path / "prepared" / task, task))
    folder = model_of(task, dataset, tmp_path / "model")
    (tmp_path / "export").mkdir()
    write_export(tmp_path / "export", *load_for(folder, dataset), dataset, ExportSettings(quantization="static"))
    expected, found = measure_teacher(folder, dataset)[0], measure_exports(tmp_path / "export", dataset)
    assert (found["metric"], found["rows"]) == (expected["metric"], expected["rows"])
    for name in set(found["fp32"]) - {"bytes", "sha256"}:
        assert found["fp32"][name] == pytest.approx(expected[name], abs=1e-4), name
    assert 0.4 < found["int8"]["agreement_with_fp32"] <= 1


def test_an_export_holds_what_transformers_reads_and_no_more_and_is_scored_with_its_tokenizer_alone(
    dataset: Dataset, teacher: Path, tmp_path: Path
) -> None:
    write_export(tmp_path, *load_for(teacher, dataset), dataset, ExportSettings())
    files = ["config.json", INT8, FP32, "tokenizer.json", "tokenizer_config.json"]
    assert sorted(file.name for file in tmp_path.iterdir()) == files
    tiny.masking_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"its tokenizer is \w+, the rows of .* were made with"):
        measure_exports(tmp_path, dataset)


def test_calibration_takes_rows_from_all_over_the_validation_split(dataset: Dataset) -> None:
    inputs = ("input_ids", "attention_mask")
    rows = dataset.rows("validation")
    found = list(calibration_of(dataset, 3, inputs))
    assert [set(batch) for batch in found] == [set(inputs)] * 3
    assert [batch["input_ids"][0].tolist() for batch in found] == [
        rows.tokens[rows.offsets[i] : rows.offsets[i + 1]].tolist() for i in (0, 9, 19)
    ]
    assert len(list(calibration_of(dataset, 1000, inputs))) == len(rows)
