"""Exports are written whole and scored as their models are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distill.benchmark.runners import ONNX, ONNX_INT8, Subject
from distill.core.errors import UserError
from distill.core.files import sha256
from distill.data.dataset import Dataset
from distill.evaluation.evaluate import measure_teacher
from distill.export.export import calibration_of, write_export
from distill.export.scores import measure_exports, predicted
from distill.export.session import FP32, INT8
from distill.models.loading import load_for, set_labels
from distill.params.exports import ExportSettings
from distill.prediction.answers import answers
from distill.prediction.model import open_model
from distill.tasks.base import EvaluationSplit
from distill.tasks.registry import TASKS
from tests import tiny


def model_of(task: str, dataset: Dataset, folder: Path) -> Path:
    """A random BERT for the data, on disk."""
    config: dict[str, Any] = {"num_labels": max(1, len(dataset.labels)), "vocab_size": dataset.vocabulary}
    model = tiny.family("bert", TASKS[task].spec.head, **config)
    if dataset.labels:
        set_labels(model.config, dataset.labels)
    model.config.word_splitter = dataset.splitter
    model.config.problem_type = dataset.spec.problem_type
    if task == "multi-label":
        model.config.thresholds = [0.3, 0.5, 0.6]
    return tiny.save(model, folder, tiny.masking_tokenizer())


@pytest.mark.parametrize("task", [*tiny.TASKS, tiny.EMBEDDING])
def test_every_task_is_scored_as_in_torch_and_int8_follows(task: str, tmp_path: Path) -> None:
    dataset = Dataset.open(tiny.prepare_task(tmp_path / "prepared" / task, task))
    folder = model_of(task, dataset, tmp_path / "model")
    (tmp_path / "export").mkdir()
    how = ExportSettings(quantization="static")
    guarded = write_export(tmp_path / "export", *load_for(folder, dataset), dataset, how)
    expected, found = measure_teacher(folder, dataset)[0], measure_exports(tmp_path / "export", dataset, guarded.validation)
    again = EvaluationSplit.from_dataset(dataset, "validation")
    for name, kept in guarded.validation.items():
        np.testing.assert_array_equal(kept, predicted(tmp_path / "export" / name, dataset, again))
    assert (found["metric"], found["rows"]) == (expected["metric"], expected["rows"])
    for name in set(found["fp32"]) - {"bytes", "files"}:
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
        measure_exports(tmp_path, dataset, {})


@pytest.mark.parametrize("quantization", ["dynamic", "static"])
def test_a_model_too_large_for_one_file_has_its_weights_beside_it_and_all_of_them_are_counted(
    quantization: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = Dataset.open(tiny.prepare_task(tmp_path / "prepared", "sequence-classification"))
    folder = model_of("sequence-classification", dataset, tmp_path / "data/students/tiny")
    settings, export = ExportSettings(quantization=quantization), tmp_path / "data/exports/students/tiny"
    (tmp_path / "inline").mkdir()
    write_export(tmp_path / "inline", *load_for(folder, dataset), dataset, settings)
    monkeypatch.setattr("distill.export.onnx_graph.INLINE", 0)
    export.mkdir(parents=True)
    write_export(export, *load_for(folder, dataset), dataset, settings)
    inline, found = (measure_exports(place, dataset, {}) for place in (tmp_path / "inline", export))
    for form, name in {"fp32": FP32, "int8": INT8}.items():
        files = found[form].pop("files")
        assert files == {
            file: {"bytes": (export / file).stat().st_size, "sha256": sha256(export / file)} for file in (name, f"{name}.data")
        }
        size = found[form].pop("bytes")
        assert size == sum(file["bytes"] for file in files.values()) == pytest.approx(inline[form].pop("bytes"), rel=0.2)
        subject = Subject("students", "tiny", dataset, "tiny", "tiny", tmp_path / "data")
        assert subject.bytes({FP32: ONNX, INT8: ONNX_INT8}[name]) == size
        assert {name: value for name, value in inline[form].items() if name != "files"} == found[form]
        (answer,) = answers(open_model(export / name), [{"text": "w1 w2", "text_pair": None}])
        assert answer["label"] in dataset.labels
    assert len(list(export.iterdir())) == len(list((tmp_path / "inline").iterdir())) + 2


def test_calibration_takes_rows_from_all_over_the_validation_split(dataset: Dataset) -> None:
    inputs = ("input_ids", "attention_mask")
    rows = dataset.rows("validation")
    found = list(calibration_of(dataset, 3, inputs))
    assert [set(batch) for batch in found] == [set(inputs)] * 3
    assert [batch["input_ids"][0].tolist() for batch in found] == [
        rows.tokens[rows.offsets[i] : rows.offsets[i + 1]].tolist() for i in (0, 9, 19)
    ]
    assert len(list(calibration_of(dataset, 1000, inputs))) == len(rows)
