"""A made-up project: every file that the report reads, with figures such as a real one has."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distill.audit.audit import COLUMNS
from distill.core.files import read_json
from distill.evaluation.details import Agreement, AnsweredAlone, Bin, ClassScore, Confusion, Detail, Example
from distill.evaluation.selective import coverage
from distill.params.resolved import Resolved
from distill.pipeline.project import load_params
from distill.pipeline.resolve import resolve
from distill.report.candidates import Candidate, read_candidates
from distill.report.gather import gather
from distill.report.records import DataSet, Model
from distill.report.tables import Table, to_markdown
from distill.tasks.judged import FILE, Judged, write_judged

PARAMS = """
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
    init: {from: data/prepared/news, architecture: {num_hidden_layers: 2, hidden_size: 128, num_attention_heads: 2}}
"""
WIRED = "  wired: {recipe: hinton, dataset: wire, targets: wire, init: {from: data/teachers/big, depth: 3}}"
TWO_PARAMS = (
    PARAMS.replace("tokenizer}}}\n", "tokenizer}}, wire: {source: news, tokenizer: {path: tokenizer}}}\n")
    .replace("\ntargets: {", "\ntargets: {wire: {teacher: big, dataset: wire}, ")
    .replace("\nstudents:", f"\nstudents:\n{WIRED}")
)
"""The same with a second data set, `wire`, whose one student was timed on other rows than its teacher."""
NEWS = ("plain", "soft", "half", "tiny")
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
    losses = {step: float(height / (1 + step / 12) + 0.1 * noise.random()) for step in range(2, 148, 2)}
    steps = [{"step": step, "epoch": step / 49, "loss": loss} for step, loss in losses.items()]
    epochs = [{"step": 49 * epoch, "epoch": float(epoch), "score": score - 0.06 / epoch**2} for epoch in (1, 2, 3)]
    return {"seed": seed, "history": steps + epochs, "best_epoch": 3.0, "best_score": score, "seconds": 40.0 + seed}


def metrics(name: str, seeds: int, score: float) -> dict[str, object]:
    """A metrics file."""
    (layers, width), found = (
        SHAPES[name],
        {"accuracy": score, "macro_f1": score - 0.002, "mcc": score - 0.01, "log_loss": 0.1357, "calibration_error": 0.0421},
    )
    if name != "big":
        kept = score / SCORES["big"]
        found |= {"agreement": 0.9866, "kl_from_teacher": 0.0194}
        found |= {f"{key}_sd": 0.0031 for key in found} if seeds > 1 else {}
        found |= {"retention": kept, "retention_low": kept - 0.012, "retention_high": kept + 0.009}
        found |= {"score_low": score - 0.012, "score_high": score + 0.009}
    found |= {"layers": layers, "hidden_size": width, "parameters": PARAMETERS[name], "bytes": 4 * PARAMETERS[name]}
    return {"metric": "accuracy", "rows": 445, **found}


def detail(name: str, score: float) -> Detail:
    """What `evaluate` finds of a model of this score."""
    noise = np.random.default_rng(sum(map(ord, name)))
    counts = noise.binomial(30, (1 - score) / 8, (len(LABELS), len(LABELS)))
    counts += np.diag(445 // len(LABELS) - counts.sum(axis=1))
    support, precise, found = counts.sum(axis=1), np.diag(counts) / counts.sum(axis=0), np.diag(counts) / counts.sum(axis=1)
    scores = zip(LABELS, support, precise, found, strict=True)
    bins = zip(np.linspace(0.3, 0.9, 7), [12, 9, 14, 21, 33, 52, 304], strict=True)
    gained = int(noise.integers(2, 12))
    agreement = Agreement(428 - 2 * gained, gained, gained + int(2000 * max(0.0, 0.98 - score)) // 8, 3, 1)
    return Detail(
        "sequence-classification",
        tuple(ClassScore(label, int(n), float(p), float(r), float(2 * p * r / (p + r))) for label, n, p, r in scores),
        Confusion(LABELS, tuple(tuple(map(int, line)) for line in counts)),
        tuple(
            Bin(float(low), float(low + 0.1), n, float(low + 0.05), float(min(1, low + 0.05 + noise.normal(0, 0.06))))
            for low, n in bins
        ),
        None if name == "big" else agreement,
        () if name == "big" else tuple(map(example, range(len(TEXTS)))),
        *(() if name == "big" else (coverage(judged(name, score, 1)), AnsweredAlone(0.92, 0.991, 0.99, 0.83))),
    )


def judged(name: str, score: float, seed: int) -> Judged:
    """445 test rows, so many of which are right, mostly the surer ones."""
    noise = np.random.default_rng([seed, *map(ord, name)])
    labels, confidence = np.arange(445) % len(LABELS), np.random.default_rng(0).beta(8, 1, 445)
    order = np.argsort(confidence + noise.normal(0, 0.05, 445))
    wrong = np.zeros(445, np.int64)
    wrong[order[: 445 - round(445 * score)]] = 1
    rows = np.stack([(labels + wrong) % len(LABELS), labels, np.full(445, len(LABELS))], axis=1).astype(np.float64)
    return Judged(tuple(map(str, range(445))), confidence, wrong == 0, rows)


def example(number: int) -> Example:
    """A row where student and teacher part."""
    right = ("teacher", "student", "neither")[number % 3]
    label, other, third = (LABELS[(number + shift) % len(LABELS)] for shift in (0, 1, 2))
    says = {"teacher": (label, other), "student": (other, label), "neither": (other, third)}[right]
    return Example(TEXTS[number], label, *says, 0.97 - number / 20, 0.91 - number / 20, right)


def formats(name: str) -> dict[str, Any]:
    """A model in every format, as the benchmark times it."""
    found = {}
    for form, (slow, large) in FORMATS.items():
        ms = MILLISECONDS[name] * slow
        fast = MILLISECONDS["big"] / ms
        times = {"p50": ms, "p50_low": ms * 0.97, "p50_high": ms * 1.04, "p95": ms * 1.4, "p99": ms * 1.9, "calls": 300}
        times["percentiles"] = {"0": ms, "50": ms, "95": ms * 1.4, "99": ms * 1.9, "100": ms * 2}
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


def benchmark() -> dict[str, Any]:
    """data/metrics/benchmark.json."""
    machine = {"processor": "AMD EPYC", "threads": 2, "cores": 2, "bf16": True, "python": "3.11.7", "system": "Linux"}
    machine |= {"torch": "2.13.0", "onnxruntime": "1.31.1", "transformers": "5.23.0"}
    about = {"dataset": "news", "teacher": "big", "flops": {"128": 10**9}}
    models = {name: {**about, "parameters": size, "formats": formats(name)} for name, size in PARAMETERS.items()}
    settings = {"lengths": [128], "batches": [8, 32], "seconds": 120.0}
    return {"machine": machine, "settings": settings, "teachers": {"big": models.pop("big")}, "students": models}


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


def write_audit(folder: Path) -> None:
    """news.parquet and news.json: 12 suspects, 20 hard rows, 30 fine ones."""
    kinds = ["suspect"] * 12 + ["hard"] * 20 + ["fine"] * 30
    rows = [
        {
            "example_id": f"{number:032x}",
            "text": TEXTS[number % len(TEXTS)],
            "word": None,
            "label": LABELS[number % len(LABELS)],
            "teacher": LABELS[(number + 1) % len(LABELS)],
            **{"confidence": 0.99 - number / 100, "margin": -0.9 + number / 50, "loss": 5.0 - number / 20, "kind": kind},
        }
        for number, kind in enumerate(kinds)
    ]
    confused = {LABELS[0]: {LABELS[1]: 7}, LABELS[1]: {LABELS[0]: 5}}
    counts = {"rows": len(rows), "suspect": 12, "hard": 20, "suspect_share": 12 / 62, "hard_share": 20 / 62}
    write_json(folder / "news.json", {"task": "sequence-classification", **counts, "confused": confused, "certainty": {}})
    pq.write_table(pa.Table.from_pylist(rows, COLUMNS), folder / "news.parquet")


def write_data(data: Path) -> None:
    """Every file that the report of PARAMS reads."""
    splits = {"train": (1558, 120, 81_000), "validation": (222, 0, 12_000), "test": (445, 0, 23_000)}
    described = {
        name: {"rows": n, "transfer_rows": unlabelled, "truncated_rows": 7, "tokens": tokens}
        for name, (n, unlabelled, tokens) in splits.items()
    }
    pairs = {"train-validation": {"exact": 0, "near": 0}, "train-test": {"exact": 0, "near": 0}}
    about = {"metric": "accuracy", "labels": LABELS, "max_length": 64, "splits": described, "duplicates": pairs}
    write_json(data / "runs/datasets/news.json", about)
    size = {"logits": 81_234, "hidden-06": 42_345_678, "tokens": 310_000}
    write_json(data / "runs/targets/news.json", {"seconds": 10.0, "tokens": 116_000, "tokens_computed": 58_000, "bytes": size})
    write_json(data / "metrics/targets/news.json", {"hidden-06": {"variance_lost": 4.5e-5}, "logits": {"replayed_kl": 2.1e-6}})
    write_audit(data / "audits")
    write_json(data / "runs/teachers/big.json", run(1, SCORES["big"]))
    write_json(data / "metrics/benchmark.json", benchmark())
    for name, score in SCORES.items():
        kind, seeds = "teachers" if name == "big" else "students", (1, 2) if name == "soft" else (1,)
        write_json(data / f"metrics/{kind}/{name}.json", metrics(name, len(seeds), score))
        exports = {form: {"accuracy": score - lost, "bytes": 1} for form, lost in {"fp32": 0.0, "int8": 0.0023}.items()}
        exports["quantization"] = {"told": "the INT8 file was mended" if name == "half" else ""}
        write_json(data / f"metrics/exports/{kind}/{name}.json", {"metric": "accuracy", "rows": 445, **exports})
        if kind == "students":
            write_json(data / f"runs/students/{name}.json", [run(seed, score, name) for seed in seeds])
        path = data / f"evaluations/{kind}/{name}/detail.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(detail(name, score).to_json())
        if kind == "students":
            write_judged(path.with_name(FILE), {("test", str(number)): judged(name, score, number) for number in seeds})


def changed(data_set: DataSet, change: Callable[[Model], Model]) -> DataSet:
    """The data set with all its models changed."""
    return replace(data_set, teachers=tuple(map(change, data_set.teachers)), students=tuple(map(change, data_set.students)))


def cells(table: Table) -> dict[str, list[str]]:
    """The rows of a table in Markdown, by the first cell."""
    lines = [line for line in to_markdown(table).splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row[1:] for row in rows}


def read_params(folder: Path, text: str = PARAMS) -> Resolved:
    """What the report reads of the made-up params.yaml."""
    (folder / "params.yaml").write_text(text)
    return resolve(load_params(folder / "params.yaml"))


def write_two(folder: Path) -> Resolved:
    """Write params.yaml and what was measured of two data sets; what the report reads of the former."""
    data = folder / "data"
    write_data(data)
    benchmark = json.loads((data / "metrics/benchmark.json").read_text())
    wired = {"dataset": "wire", "teacher": "big", "formats": formats("half")}
    for form in wired["formats"].values():
        form["latency"]["rows"] = {"p50": form["latency"]["rows"]["p50"], "p95": form["latency"]["rows"]["p95"]}
    benchmark["students"]["wired"] = wired
    write_json(data / "metrics/benchmark.json", benchmark)
    write_json(data / "metrics/students/wired.json", {"metric": "accuracy", "accuracy": 0.91, "retention": 0.93})
    write_json(data / "metrics/exports/students/wired.json", {"fp32": {"accuracy": 0.91}, "int8": {"accuracy": 0.908}})
    return read_params(folder, TWO_PARAMS)


def write_cascade(folder: Path) -> None:
    """What the teacher behind the INT8 file of the student `soft` adds to it."""
    file = folder / "data/metrics/exports/students/soft.json"
    scores = json.loads(file.read_text(encoding="utf-8"))
    scores["int8"]["cascade"] = {"threshold": 0.8, "sent": 0.25, "accuracy": 0.98}
    write_json(file, scores)


def write_report(folder: Path) -> None:
    """Every file that the report reads, and the report."""
    from distill.report.budget_explorer import answer
    from distill.report.page import write_page
    from distill.report.sections import published

    data = folder / "data"
    write_data(data)
    write_json(data / "metrics/presets.json", presets())
    params = read_params(folder)
    write_page(gather(params, data), folder, answer(params, data), published.presets(data))


@pytest.fixture(scope="session")
def news(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """The data set, gathered: tests make changed copies of it."""
    folder = tmp_path_factory.mktemp("news")
    write_data(folder / "data")
    return gather(read_params(folder), folder / "data")[0]


def measured_candidates(
    data: Path, origins: Mapping[str, str], ensembles: frozenset[str] = frozenset()
) -> dict[str, list[Candidate]]:
    """The candidates of data/metrics, by data set."""
    return read_candidates(data, origins, read_json(data / "metrics/benchmark.json", "a benchmark"), ensembles)
