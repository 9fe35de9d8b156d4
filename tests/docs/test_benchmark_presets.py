import json

import torch

from distill.core.files import to_json
from tests.benchmarks import presets

SHAPE = {"model_type": "bert", "num_attention_heads": 2, "vocab_size": 30_522, "max_position_embeddings": 128}
SHAPES = {
    "bert-base": {**SHAPE, "num_hidden_layers": 4, "hidden_size": 16, "intermediate_size": 32},
    "tinybert-4": {**SHAPE, "num_hidden_layers": 1, "hidden_size": 8, "intermediate_size": 8},
}


def test_the_presets_are_measured_against_the_first_and_a_second_run_exports_nothing(tmp_path, monkeypatch) -> None:
    threads = torch.get_num_threads()
    try:
        content = presets.measure(SHAPES, tmp_path, 0.0, 1)
        monkeypatch.setattr("distill.export.onnx_graph.export_model", None)
        again = presets.measure(SHAPES, tmp_path, 0.0, 1)
    finally:
        torch.set_num_threads(threads)
    assert json.loads(to_json(content)) == content
    assert content["models"]["tinybert-4"]["flops"] == again["models"]["tinybert-4"]["flops"]
    own = content["models"]
    assert own["bert-base"]["formats"]["torch-fp32"]["over_reference"]["speedup"] == 1.0
    assert own["tinybert-4"]["formats"]["torch-fp32"]["over_reference"]["speedup"] > 1.0
    assert own["tinybert-4"]["bytes"]["onnx-int8"] < own["tinybert-4"]["bytes"]["onnx-fp32"]
    assert {"tinybert-4: times bert-base, torch fp32", "tinybert-4: MB of the INT8 file"} < set(content["goals"])
    text = presets.table(content)
    assert "| tinybert-4 | 0.2M |" in text
    assert "9.4× (one K80 GPU)" in text
    assert presets.WHY in text


def test_goals_are_met_from_their_bound_on() -> None:
    def model(speed: float, gain: float, size: int) -> dict[str, object]:
        formats = {"torch-fp32": {"over_reference": {"speedup": speed}}, "onnx-int8": {"over_torch": {"speedup": gain}}}
        return {"formats": formats, "bytes": {"onnx-int8": size}}

    assert all(goal.met for goal in presets.goals({"tinybert-4": model(9.4, 2.0, 16_000_000)}).values())
    assert not any(goal.met for goal in presets.goals({"tinybert-4": model(9.39, 1.99, 16_000_001)}).values())
