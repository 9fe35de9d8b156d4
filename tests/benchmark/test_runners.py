import os
import resource
import signal
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
import torch

from distill.benchmark.benchmark import Settings, benchmark
from distill.benchmark.memory import peak_memories, resident
from distill.benchmark.runners import Subject, fits, flops, random_rows, shuffled_rows, torch_runner
from distill.core.errors import UserError
from distill.core.files import to_json
from distill.data.batching import pad_batch
from distill.data.dataset import Dataset
from distill.export.onnx_graph import export_model
from distill.export.quantize import quantize
from distill.export.session import FP32, INT8
from tests import tiny
from tests.stores import FORKS

FORMATS = {"torch-fp32", "onnx-fp32", "onnx-int8"}


def linear_flops(layers: int, width: int, inner: int, length: int, classes: int) -> int:
    """Of a BERT classifier, written out: Q, K, V, O, the feed-forward network, scores, values by them; the pooler, the head."""
    layer = 2 * length * (4 * width**2 + 2 * width * inner) + 2 * 2 * length**2 * width
    return layers * layer + 2 * width**2 + 2 * width * classes


def test_flops_are_those_of_the_formula_and_a_model_fits_rows_that_it_has_positions_for() -> None:
    for length in (4, 16):
        assert flops(tiny.bert(layers=3, width=16), length) == linear_flops(3, 16, 32, length, 3)
    assert [fits(tiny.bert(), length) for length in (32, 33)] == [True, False]


def test_batches_of_own_rows_are_the_same_whenever_they_are_made_and_use_all_rows(dataset) -> None:
    rows = dataset.rows("test")
    batch = shuffled_rows(rows, 3)
    twice = [shuffled_rows(rows, 3)(2), batch(2)]
    assert all((twice[0][name] == twice[1][name]).all() for name in twice[0])
    lengths = [batch(number)["attention_mask"].sum(axis=1) for number in range(len(rows))]
    assert sorted(np.concatenate(lengths)) == sorted(np.repeat(rows.lengths, 3))
    assert set(batch(0)) == {"input_ids", "attention_mask"}
    drawn, other = (random_rows(44, 7, 2)(number) for number in (5, 6))
    assert {part.shape for part in drawn.values()} == {(2, 7)}
    assert (drawn["input_ids"].max() < 44, (drawn["input_ids"] != other["input_ids"]).any()) == (True, True)


@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_a_runner_computes_what_the_model_does_and_ignores_what_it_does_not_take(dataset, family: str) -> None:
    model, rows = tiny.family(family).train(), dataset.rows("test")
    batch = {**shuffled_rows(rows, 4)(0)}
    batch["token_type_ids"] = np.zeros_like(batch["input_ids"])
    found = torch_runner(model)(batch).logits
    order = np.random.default_rng(0).permutation(len(rows))[:4]
    with torch.no_grad():
        expected = model.eval()(**pad_batch(rows, order)).logits
    torch.testing.assert_close(found, expected)
    assert found.is_inference()


@pytest.fixture(scope="module")
def subjects(tmp_path_factory, prepared, tokenizer) -> list[Subject]:
    """A teacher and two students on disk, one of them on other data; the first two exported."""
    data, dataset = tmp_path_factory.mktemp("benchmark"), Dataset.open(prepared)
    names = (("teachers", "big", "tiny"), ("students", "half", "tiny"), ("students", "stranger", "other"))
    own = [Subject(kind, name, dataset, origin, "big", data) for kind, name, origin in names]
    for subject, layers in zip(own, (4, 1, 1), strict=True):
        model = tiny.bert(layers=layers)
        tiny.save(model, subject.folder, tokenizer)
        export = data / "exports" / subject.kind / subject.name
        if subject.name != "stranger":
            export.mkdir(parents=True)
            export_model(model, export / FP32)
            quantize(export / FP32, export / INT8)
    return own


def test_a_subject_has_the_formats_that_are_there(subjects, monkeypatch) -> None:
    monkeypatch.setattr("distill.benchmark.runners.has_fast_bf16", lambda: True)
    assert set(subjects[0].files()) == FORMATS | {"torch-bf16"}
    monkeypatch.setattr("distill.benchmark.runners.has_fast_bf16", lambda: False)
    assert set(subjects[0].files()) == FORMATS
    assert set(subjects[2].files()) == {"torch-fp32"}
    assert subjects[0].bytes("torch-fp32") == (subjects[0].folder / "model.safetensors").stat().st_size
    assert subjects[0].bytes("onnx-int8") == subjects[0].files()["onnx-int8"].stat().st_size


def test_all_formats_of_a_model_say_the_same(subjects, dataset) -> None:
    batch = shuffled_rows(dataset.rows("test"), 4)(0)
    exact, fp32, int8 = (subjects[0].runner(form, 1)(batch) for form in ("torch-fp32", "onnx-fp32", "onnx-int8"))
    np.testing.assert_allclose(fp32, exact.logits, atol=1e-5)
    np.testing.assert_allclose(int8, exact.logits, atol=0.1)
    bf16 = subjects[0].runner("torch-bf16", 1)(batch).logits
    assert bf16.dtype == torch.bfloat16
    np.testing.assert_allclose(bf16.float(), exact.logits, atol=0.05)


def test_everything_is_measured_and_compared_in_one_run(subjects, monkeypatch) -> None:
    monkeypatch.setattr("distill.benchmark.runners.has_fast_bf16", lambda: False)
    monkeypatch.setattr(
        "distill.benchmark.benchmark.peak_memories", lambda jobs: [{"process_bytes": 2, "model_bytes": 1}] * len(jobs)
    )
    threads = torch.get_num_threads()
    try:
        found = benchmark(subjects, Settings(0.0, (8, 64), (4,), 1))
    finally:
        torch.set_num_threads(threads)
    assert to_json(found)
    teacher, half, stranger = found["teachers"]["big"], found["students"]["half"], found["students"]["stranger"]
    assert (half["teacher"], half["dataset"]) == ("big", "tiny")
    assert half["parameters"] < teacher["parameters"]
    assert set(half["flops"]) == {"8"}
    assert half["flops"]["8"] < teacher["flops"]["8"]
    assert set(half["formats"]) == FORMATS
    for form, entry in half["formats"].items():
        assert set(entry["latency"]) == {"rows", "8"}
        assert entry["latency"]["rows"]["calls"] == 15
        assert {"p50", "p95", "p99", "speedup", "speedup_low", "speedup_high"} <= set(entry["latency"]["8"]), form
        assert entry["throughput"]["4"]["rows_a_second"] > 0
        assert (entry["memory"]["model_bytes"], entry["joules"]) == (1, None)
    assert teacher["formats"]["torch-fp32"]["latency"]["rows"]["speedup"] == 1.0
    own = stranger["formats"]["torch-fp32"]
    assert "speedup" not in own["latency"]["rows"]
    assert "speedup" not in own["throughput"]["4"]
    assert "speedup" in own["latency"]["8"]
    assert (found["machine"]["threads"], found["settings"]["lengths"]) == (1, [8, 64])


def taken_and_given_back(size: int) -> dict[str, int]:
    """What is found of more memory, by so much, than the process has ever had."""
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return resident(lambda: np.ones(largest + size, np.uint8).sum())


def test_memory_that_is_taken_and_given_back_counts() -> None:
    size = 64 * 2**20
    with ProcessPoolExecutor(1, FORKS) as pool:  # what this process has had may be too much to take again
        found = pool.submit(taken_and_given_back, size).result()
    assert size <= found["model_bytes"] < found["process_bytes"]


@pytest.mark.slow
def test_memory_is_that_of_a_fresh_process(subjects, dataset) -> None:
    start, hoard = time.monotonic(), np.ones(2**29, np.uint8)
    found = peak_memories([(subjects[0], "onnx-int8", 1, random_rows(dataset.vocabulary, 8)(0))])[0]
    assert hoard.all()
    assert 0 < found["model_bytes"] < found["process_bytes"] < 2**30
    assert time.monotonic() - start < 600


class TooLarge(Subject):
    """A model for which there is too little memory."""

    def runner(self, form: str, threads: int):
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_a_process_that_the_system_ends_is_an_error_and_no_endless_wait(subjects, dataset) -> None:
    large = TooLarge(subjects[0].kind, "big", dataset, "tiny", "big")
    with pytest.raises(UserError, match=r"^data/teachers/big: the process that measured the memory of its onnx-int8 was ended"):
        peak_memories([(large, "onnx-int8", 1, {})] * 3)
