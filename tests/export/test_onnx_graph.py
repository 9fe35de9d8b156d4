"""An ONNX file says what its model says: every family, every task, whatever the batch."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from transformers import PreTrainedModel

from distill.core.arrays import Array
from distill.export.onnx_graph import export_model
from distill.export.session import FP32, Session, open_session
from distill.tasks.registry import TASKS
from tests import tiny

FAMILIES = (*tiny.FAMILIES, "modernbert")
SHAPES = ([1], [3], [9, 5], [12, 7, 30], [20] * 5)
"""Lengths of the rows of a batch; 2 rows of 9 tokens are what was traced."""


def model_of(family: str, task: str, **config: object) -> PreTrainedModel:
    more = {"num_labels": 1} if task == "regression" else {}
    return tiny.family(family, TASKS[task].spec.head, **more, **config)


def exported(model: PreTrainedModel, folder: Path) -> Session:
    export_model(model, folder / FP32)
    return open_session(folder / FP32, threads=1)


def both(model: PreTrainedModel, session: Session, task: str, lengths: list[int]) -> tuple[Array, Array]:
    """Raw logits at real tokens, from torch and from ONNX Runtime."""
    batch = tiny.padded(lengths, types="token_type_ids" in session.inputs, seed=len(lengths))
    with torch.inference_mode():
        expected = TASKS[task].raw(model(**batch)).numpy()
    found = session({name: part.numpy() for name, part in batch.items()})
    real = batch["attention_mask"].numpy().astype(bool) if expected.ndim == 3 else np.full(len(expected), True)
    assert found.shape == expected.shape
    return expected[real], found[real]


@pytest.mark.parametrize("task", tiny.TASKS)
@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_those_of_torch_at_any_batch_and_length(family: str, task: str, tmp_path: Path) -> None:
    model = model_of(family, task)
    session = exported(model, tmp_path)
    for lengths in SHAPES:
        expected, found = both(model, session, task, lengths)
        assert found.dtype == np.float32
        assert np.abs(expected).max() > 0.1
        np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)


def test_rows_longer_than_a_local_window_are_as_in_torch(tmp_path: Path) -> None:
    model = model_of("modernbert", "token-classification", local_attention=4)
    session = exported(model, tmp_path)
    expected, found = both(model, session, "token-classification", [30, 11])
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)
    other, _ = both(model_of("modernbert", "token-classification"), session, "token-classification", [30, 11])
    assert np.abs(other - expected).max() > 1e-2, "the window changes nothing: the test shows nothing"


def test_a_mask_that_is_not_given_is_of_ones_and_token_types_are_zeros(tmp_path: Path) -> None:
    session = exported(model_of("bert", "sequence-classification"), tmp_path)
    ids = tiny.padded([7, 7])["input_ids"].numpy()
    assert session.inputs == ("input_ids", "attention_mask", "token_type_ids")
    np.testing.assert_array_equal(
        session({"input_ids": ids}),
        session({"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}),
    )


def test_the_same_model_gives_the_same_bytes_without_paths_and_is_left_as_it_was(tmp_path: Path) -> None:
    model = model_of("bert", "sequence-classification").train()
    export_model(model, tmp_path / "a.onnx")
    assert model.training
    export_model(model.eval(), tmp_path / "b.onnx")
    content = (tmp_path / "a.onnx").read_bytes()
    assert content == (tmp_path / "b.onnx").read_bytes()
    assert b"site-packages" not in content
    assert str(tmp_path).encode() not in content


def test_onnx_itself_finds_the_graph_sound_and_open_in_batch_and_length(tmp_path: Path) -> None:
    export_model(model_of("distilbert", "question-answering"), tmp_path / FP32)
    graph = onnx.load(tmp_path / FP32)
    onnx.checker.check_model(graph, full_check=True)
    for part in graph.graph.input:
        assert [dim.dim_param for dim in part.type.tensor_type.shape.dim] == ["batch", "length"]
    assert [part.name for part in graph.graph.output] == ["start_logits", "end_logits"]
