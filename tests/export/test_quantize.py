"""INT8 files: small, near their models, and exact where they are told to be."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import transformers
from transformers import AutoConfig

from distill.core.errors import UserError
from distill.export.onnx_graph import export_model
from distill.export.quantize import excluded, quantize
from distill.export.session import FP32, INT8, open_session
from distill.params.inits import PRESETS
from tests import tiny

VOCABULARY = 30522
LIMITS = {"bert-base": 120, "distilbert": 70, "tinybert-4": 16, "mobilebert": 30}
"""MB, of presets with BERT's vocabulary."""


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT in fp32: read only."""
    folder = tmp_path_factory.mktemp("exact")
    export_model(tiny.family("bert"), folder / FP32)
    return folder / FP32


def batch(lengths: list[int], seed: int = 0) -> dict[str, np.ndarray]:
    return {name: part.numpy() for name, part in tiny.padded(lengths, types=True, seed=seed).items()}


def distance(one: Path, other: Path) -> float:
    """Of the logits of some rows, as a share of the largest."""
    rows = batch([9, 5, 12], seed=1)
    expected, found = open_session(one)(rows), open_session(other)(rows)
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("reduce_range", [False, True])
def test_logits_stay_near_and_are_not_the_same(exact: Path, static: bool, reduce_range: bool, tmp_path: Path) -> None:
    calibration = [batch([length], length) for length in range(3, 20)] if static else None
    quantize(exact, tmp_path / INT8, calibration=calibration, reduce_range=reduce_range)
    assert 0 < distance(exact, tmp_path / INT8) < 0.25


def floats(path: Path) -> list[tuple[int, ...]]:
    """The shapes of the tables and matrices that a file has in fp32."""
    parts = onnx.load(path).graph.initializer
    return [tuple(part.dims) for part in parts if part.data_type == onnx.TensorProto.FLOAT and len(part.dims) > 1]


@pytest.mark.parametrize("static", [False, True])
def test_all_is_int8_but_parts_that_are_kept_which_bring_the_logits_back(exact: Path, static: bool, tmp_path: Path) -> None:
    first, second, kept, head = (tmp_path / f"{name}.onnx" for name in "abcd")
    for path, parts in {first: [], second: [], kept: ["bert"], head: ["classifier", "pooler"]}.items():
        quantize(exact, path, calibration=[batch([7])] if static else None, exact=excluded(exact, parts))
    assert first.read_bytes() == second.read_bytes()
    assert len(floats(exact)) > 20, "the test shows nothing"
    assert floats(first) == []
    assert sorted(sorted(shape) for shape in floats(head)) == [[3, 24], [24, 24]]
    assert static or distance(exact, kept) < distance(exact, first) / 2


def test_a_part_is_named_as_in_torch_whole(exact: Path) -> None:
    assert {name.split("/")[2] for name in excluded(exact, ["classifier"])} == {"classifier"}
    layers = excluded(exact, ["encoder.layer.1"])
    assert len(layers) == len(excluded(exact, ["layer.2"])) > 6
    assert excluded(exact, ["layer.1", "layer.2"]) == sorted([*layers, *excluded(exact, ["layer.2"])])
    with pytest.raises(UserError, match=r"keep_fp32: the model has no part 'encoder\.layer\.9'; expected names such as bert"):
        excluded(exact, ["encoder.layer.9"])


def test_a_missing_and_a_damaged_file_are_named(exact: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.onnx: no such file; run `dvc repro export@"):
        open_session(tmp_path / "none.onnx")
    (tmp_path / "half.onnx").write_bytes(exact.read_bytes()[:999])
    with pytest.raises(UserError, match=r"half\.onnx: ONNX Runtime cannot load it"):
        open_session(tmp_path / "half.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("preset", LIMITS)
def test_presets_are_as_small_as_their_papers_promise(preset: str, tmp_path: Path) -> None:
    sizes = {}
    for layers in (1, 2):
        config = AutoConfig.for_model(**PRESETS[preset] | {"num_hidden_layers": layers}, vocab_size=VOCABULARY)
        export_model(transformers.AutoModelForSequenceClassification.from_config(config), tmp_path / FP32)
        quantize(tmp_path / FP32, tmp_path / INT8)
        sizes[layers] = np.array([(tmp_path / name).stat().st_size / 1e6 for name in (INT8, FP32)])
    int8, fp32 = sizes[1] + (AutoConfig.for_model(**PRESETS[preset]).num_hidden_layers - 1) * (sizes[2] - sizes[1])
    assert int8 < LIMITS[preset]
    assert int8 < fp32 / 3.6
    rows = {"input_ids": np.arange(1000, 1128)[None]}
    assert open_session(tmp_path / INT8)(rows).shape == (1, 2)
