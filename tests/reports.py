"""A made-up project: every file that the report reads, with figures such as a real one has."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distill.auditing import COLUMNS
from distill.detail.form import Agreement, Bin, ClassScore, Confusion, Detail, Example
from distill.params.whole import Params, load_params
from distill.report.content import DataSet
from distill.report.gathering import gather
from tests.commands import whole_params

PARAMS = whole_params("""
sources: {news: {path: news.csv}}
datasets: {news: {source: news, tokenizer: {path: tokenizer}}}
teachers: {big: {dataset: news, checkpoint: {path: checkpoint}}}
targets: {news: {teacher: big, dataset: news, hidden: [-1]}}
students:
  plain: {recipe: supervised, dataset: news, targets: news/logits, init: {from: data/teachers/big, depth: 3}}
  soft: {recipe: hinton, dataset: news, targets: news, init: {from: data/teachers/big, layers: [0, 5]}, seeds: [1, 2]}
  half: {recipe: distilbert, dataset: news, targets: news, init: {from: data/teachers/big, depth: 3}, temperature: 2}
  tiny:
    recipe: hinton
    dataset: news
    targets: news
    init: {from: data/prepared/news, architecture: {num_hidden_layers: 2, hidden_size: 128}}
""")
LABELS = ("business", "entertainment", "politics", "sport", "tech")
PARAMETERS = {"big": 22_715_141, "plain": 17_391_749, "soft": 15_617_285, "half": 17_391_749, "tiny": 4_369_413}
SHAPES = {"big": (6, 384), "plain": (3, 384), "soft": (2, 384), "half": (3, 384), "tiny": (2, 128)}
SCORES = {"big": 0.9708, "plain": 0.9573, "soft": 0.9753, "half": 0.9663, "tiny": 0.9281}
MILLISECONDS = {"big": 11.2, "plain": 5.9, "soft": 4.1, "half": 5.8, "tiny": 0.84}
FORMATS = {"torch-fp32": (1.0, 1.0), "torch-bf16": (0.8, 1.0), "onnx-fp32": (0.52, 1.01), "onnx-int8": (0.24, 0.26)}
"""Of each format the time and the bytes, as shares of torch's in fp32."""
TEXTS = (
    "Shares in the software group fell sharply after the regulator said that it would look into the terms of last year’s merger",
    "The film festival opens tonight with a documentary about the minister who resigned over the broadcasting bill",
    "Phone makers agreed on a common charger, two months before the directive of the commission would have come into force",
    "The former champion, who now sits on the board of the club, called the takeover a good day for the city",
    "Ministers will meet the heads of three record labels to talk about file sharing and the price of downloads",
    "A games console sold out within hours, and analysts raised what they expect of the year by a tenth",
    "The singer said that she would stand for parliament if the concert hall were closed",
    "Broadband prices have fallen by half since the market was opened, says the watchdog’s yearly report",
)


def write_json(path: Path, content: object) -> None:
    """A file, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, sort_keys=True))


def run(seed: int, score: float, name: str = "") -> dict[str, object]:
    """A training run of three epochs of 49 steps."""
    height = 1.6 + len(name) / 2
    noise = np.random.default_rng([seed, *map(ord, name)])
    steps = [
        {"step": step, "epoch": step / 49, "loss": float(height / (1 + step / 12) + 0.1 * noise.random())}
        for step in range(2, 148, 2)
    ]
    epochs = [{"step": 49 * epoch, "epoch": float(epoch), "score": score - 0.06 / epoch**2} for epoch in (1, 2, 3)]
    return {"seed": seed, "history": steps + epochs, "best_epoch": 3.0, "best_score": score, "seconds": 40.0 + seed}


def metrics(name: str, seeds: int, score: float) -> dict[str, object]:
    """A metrics file."""
    found = {"accuracy": score, "macro_f1": score - 0.002, "mcc": score - 0.01, "log_loss": 0.1357, "calibration_error": 0.0421}
    if name != "big":
        kept = score / SCORES["big"]
        found |= {"agreement": 0.9866, "kl_from_teacher": 0.0194}
        found |= {f"{key}_sd": 0.0031 for key in found} if seeds > 1 else {}
        found |= {"retention": kept, "retention_low": kept - 0.012, "retention_high": kept + 0.009}
    layers, width = SHAPES[name]
    found |= {"layers": layers, "hidden_size": width}
    return {"metric": "accuracy", "rows": 445, "parameters": PARAMETERS[name], "bytes": 4 * PARAMETERS[name], **found}


def detail(name: str, labels: tuple[str, ...], score: float) -> Detail:
    """What `evaluate` finds of a model of this score."""
    noise = np.random.default_rng(sum(map(ord, name)))
    counts = noise.binomial(30, (1 - score) / 8, (len(labels), len(labels)))
    counts += np.diag(445 // len(labels) - counts.sum(axis=1))
    precise, found = np.diag(counts) / counts.sum(axis=0), np.diag(counts) / counts.sum(axis=1)
    scores = zip(labels, counts.sum(axis=1), precise, found, strict=True)
    lows = np.linspace(0.3, 0.9, 7)
    rows = [12, 9, 14, 21, 33, 52, 304]
    gained = int(noise.integers(2, 12))
    agreement = Agreement(428 - 2 * gained, gained, gained + int(2000 * max(0.0, 0.98 - score)) // 8, 3, 1)
    return Detail(
        "sequence-classification",
        tuple(ClassScore(label, int(n), float(p), float(r), float(2 * p * r / (p + r))) for label, n, p, r in scores),
        Confusion(labels, tuple(tuple(map(int, line)) for line in counts)),
        tuple(
            Bin(float(low), float(low + 0.1), n, float(low + 0.05), float(min(1, low + 0.05 + noise.normal(0, 0.06))))
            for low, n in zip(lows, rows, strict=True)
        ),
        None if name == "big" else agreement,
        () if name == "big" else tuple(example(labels, number) for number in range(len(TEXTS))),
    )


def example(labels: tuple[str, ...], number: int) -> Example:
    """A row where student and teacher part."""
    right = ("teacher", "student", "neither")[number % 3]
    label, other, third = (labels[(number + shift) % len(labels)] for shift in (0, 1, 2))
    says = {"teacher": (label, other), "student": (other, label), "neither": (other, third)}[right]
    return Example(TEXTS[number], label, *says, 0.97 - number / 20, 0.91 - number / 20, right)


def formats(name: str) -> dict[str, Any]:
    """A model in every format, as the benchmark times it."""
    found = {}
    for form, (slow, large) in FORMATS.items():
        ms = MILLISECONDS[name] * slow
        fast = MILLISECONDS["big"] / ms
        times = {"p50": ms, "p50_low": ms * 0.97, "p50_high": ms * 1.04, "p95": ms * 1.4, "p99": ms * 1.9, "calls": 300}
        times |= {"speedup": fast, "speedup_low": fast * 0.96, "speedup_high": fast * 1.05}
        rate = {"rows_a_second": 3000 / ms, "rows_a_second_low": 2900 / ms, "rows_a_second_high": 3100 / ms, "calls": 30}
        found[form] = {
            "bytes": int(4 * PARAMETERS[name] * large),
            "latency": {"rows": times, "128": times},
            "throughput": {"8": rate, "32": rate},
            "memory": {"process_bytes": 400_000_000 + 5 * PARAMETERS[name], "model_bytes": 5 * PARAMETERS[name]},
            "joules": None,
        }
    return found


def benchmark(names: tuple[str, ...], dataset: str, teacher: str) -> dict[str, Any]:
    """data/metrics/benchmark.json of a teacher and its students."""
    machine = {"processor": "AMD EPYC", "threads": 2, "cores": 2, "bf16": True, "python": "3.11.7", "system": "Linux"}
    machine |= {"torch": "2.13.0", "onnxruntime": "1.31.1", "transformers": "5.23.0"}
    about = {"dataset": dataset, "teacher": teacher, "flops": {"128": 10**9}}
    models = {name: {**about, "parameters": PARAMETERS[name], "formats": formats(name)} for name in names}
    settings = {"lengths": [128], "batches": [8, 32], "seconds": 120.0}
    students = {name: entry for name, entry in models.items() if name != teacher}
    return {"machine": machine, "settings": settings, "teachers": {teacher: models[teacher]}, "students": students}


def presets() -> dict[str, Any]:
    """data/metrics/presets.json."""
    speeds = {"bert-base": (109_483_778, 1.0), "distilbert": (66_364_418, 2.0), "tinybert-4": (14_350_874, 9.9)}

    def timed(fast: float) -> dict[str, Any]:
        return {"p50": 50 / fast, "over_reference": {"speedup": fast, "speedup_low": fast * 0.97, "speedup_high": fast * 1.03}}

    models = {
        name: {
            "parameters": parameters,
            "flops": 100 * parameters,
            "bytes": {"onnx-fp32": 4 * parameters, "onnx-int8": parameters},
            "formats": {"torch-fp32": timed(fast), "onnx-fp32": timed(1.3 * fast), "onnx-int8": timed(3.1 * fast)},
        }
        for name, (parameters, fast) in speeds.items()
    }
    return {"machine": {"processor": "AMD EPYC", "threads": 2}, "length": 128, "models": models, "goals": {}}


def write_audit(data: Path, name: str, labels: tuple[str, ...]) -> None:
    """data/audits/NAME.parquet and NAME.json: 12 suspects, 20 hard rows, 30 fine ones."""
    kinds = ["suspect"] * 12 + ["hard"] * 20 + ["fine"] * 30
    rows = [
        {
            "example_id": f"{number:032x}",
            "text": TEXTS[number % len(TEXTS)],
            "word": None,
            "label": labels[number % len(labels)],
            "teacher": labels[(number + 1) % len(labels)],
            "confidence": 0.99 - number / 100,
            "margin": -0.9 + number / 50,
            "loss": 5.0 - number / 20,
            "kind": kind,
        }
        for number, kind in enumerate(kinds)
    ]
    (data / "audits").mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, COLUMNS), data / f"audits/{name}.parquet")
    confused = {labels[0]: {labels[1]: 7}, labels[1]: {labels[0]: 5}}
    counts = {"rows": len(rows), "suspect": 12, "hard": 20, "suspect_share": 12 / 62, "hard_share": 20 / 62}
    write_json(data / f"audits/{name}.json", {"task": "sequence-classification", **counts, "confused": confused})


def write_data(data: Path, labels: tuple[str, ...] = LABELS, duplicates: int = 0) -> None:
    """Every file that the report of PARAMS reads."""
    splits = {"train": (1558, 120, 81_000), "validation": (222, 0, 12_000), "test": (445, 0, 23_000)}
    described = {
        name: {"rows": n, "transfer_rows": unlabelled, "truncated_rows": 7, "tokens": tokens}
        for name, (n, unlabelled, tokens) in splits.items()
    }
    pairs = {"train-validation": {"exact": 0, "near": 0}, "train-test": {"exact": duplicates, "near": 0}}
    about = {"metric": "accuracy", "labels": labels, "max_length": 64, "splits": described, "duplicates": pairs}
    write_json(data / "runs/datasets/news.json", about)
    size = {"logits": 81_234, "hidden-06": 42_345_678, "tokens": 310_000}
    write_json(data / "runs/targets/news.json", {"seconds": 10.0, "tokens": 116_000, "tokens_computed": 58_000, "bytes": size})
    write_json(data / "metrics/targets/news.json", {"hidden-06": {"variance_lost": 4.5e-5}, "logits": {"replayed_kl": 2.1e-6}})
    write_audit(data, "news", labels)
    write_json(data / "runs/teachers/big.json", run(1, SCORES["big"]))
    write_json(data / "metrics/benchmark.json", benchmark(tuple(PARAMETERS), "news", "big"))
    for name, seeds in {"big": (1,), "plain": (1,), "soft": (1, 2), "half": (1,), "tiny": (1,)}.items():
        kind, score = "teachers" if name == "big" else "students", SCORES[name]
        write_json(data / f"metrics/{kind}/{name}.json", metrics(name, len(seeds), score))
        exports = {form: {"accuracy": score - lost, "bytes": 1} for form, lost in {"fp32": 0.0, "int8": 0.0023}.items()}
        write_json(data / f"metrics/exports/{kind}/{name}.json", {"metric": "accuracy", "rows": 445, **exports})
        if kind == "students":
            write_json(data / f"runs/students/{name}.json", [run(seed, score, name) for seed in seeds])
        path = data / f"evaluations/{kind}/{name}/detail.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(detail(name, labels, score).to_json())


def read_params(folder: Path, text: str = PARAMS) -> Params:
    """The made-up params.yaml, checked."""
    (folder / "params.yaml").write_text(text)
    return load_params(folder / "params.yaml")


@pytest.fixture
def news(tmp_path: Path) -> DataSet:
    """The data set, gathered."""
    write_data(tmp_path / "data")
    return gather(read_params(tmp_path), tmp_path / "data")[0]
