"""The report's content, gathered from metrics and run records."""

import json
from pathlib import Path

import pytest

from distill.errors import UserError
from distill.params.whole import Params, load_params
from distill.report.content import DataSet, gather
from distill.report.verdict import best_student, verdict

PARAMS = """
defaults: {sources: {}, datasets: {}, augmentations: {}, teachers: {}, targets: {}, ensembles: {}, students: {}, exports: {}}
sources: {news: {path: news.csv}}
datasets: {news: {source: news, tokenizer: {path: tokenizer}}}
augmentations: {}
teachers: {big: {dataset: news, checkpoint: {path: checkpoint}}}
targets: {news: {teacher: big, dataset: news}}
ensembles: {}
exports: {}
students:
  plain: {recipe: supervised, dataset: news, targets: news/logits, init: {from: data/teachers/big, depth: 3}}
  soft: {recipe: hinton, dataset: news, targets: news, init: {from: data/teachers/big, layers: [0, 5]}, seeds: [1, 2]}
  tiny:
    recipe: hinton
    dataset: news
    targets: news
    init: {from: data/prepared/news, architecture: {num_hidden_layers: 2, hidden_size: 128}}
"""
PARAMETERS = {"big": 22_715_141, "plain": 17_391_749, "soft": 17_391_749, "tiny": 4_369_413}
SHAPES = {"big": (6, 384), "plain": (3, 384), "soft": (3, 384), "tiny": (2, 128)}
SCORES = {"big": 0.9708, "plain": 0.9573, "soft": 0.9753, "tiny": 0.9281}


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, sort_keys=True))


def run(seed: int, score: float) -> dict[str, object]:
    steps = [{"step": step, "epoch": step / 20, "loss": 2.0 / step} for step in range(2, 41, 2)]
    epochs = [{"step": 20 * epoch, "epoch": float(epoch), "score": score - 0.1 / epoch} for epoch in (1, 2)]
    return {"seed": seed, "history": steps + epochs, "best_epoch": 2.0, "best_score": score, "seconds": 40.0 + seed}


def metrics(name: str, seeds: int) -> dict[str, object]:
    score = SCORES[name]
    found = {"accuracy": score, "macro_f1": score - 0.002, "mcc": score - 0.01, "log_loss": 0.1357, "calibration_error": 0.0421}
    if name != "big":
        kept = score / SCORES["big"]
        found |= {"agreement": 0.9866, "kl_from_teacher": 0.0194}
        found |= {f"{key}_sd": 0.0031 for key in found} if seeds > 1 else {}
        found |= {"retention": kept, "retention_low": kept - 0.012, "retention_high": kept + 0.009}
    layers, width = SHAPES[name]
    found |= {"layers": layers, "hidden_size": width}
    return {"metric": "accuracy", "rows": 445, "parameters": PARAMETERS[name], "bytes": 4 * PARAMETERS[name], **found}


def write_data(data: Path, labels: tuple[str, ...] = ("sport", "tech"), duplicates: int = 0) -> None:
    """Every file that the report of PARAMS reads."""
    splits = {"train": (1558, 120), "validation": (222, 0), "test": (445, 0)}
    described = {name: {"rows": n, "transfer_rows": unlabelled, "truncated_rows": 7} for name, (n, unlabelled) in splits.items()}
    pairs = {"train-validation": {"exact": 0, "near": 0}, "train-test": {"exact": duplicates, "near": 0}}
    about = {"metric": "accuracy", "labels": labels, "max_length": 64, "splits": described, "duplicates": pairs}
    write_json(data / "runs/datasets/news.json", about)
    work = {"seconds": 10.0, "tokens": 1000, "tokens_computed": 500, "bytes": {"logits": 81_234, "hidden-06": 42_345_678}}
    write_json(data / "runs/targets/news.json", work)
    write_json(data / "runs/teachers/big.json", run(1, SCORES["big"]))
    write_json(data / "metrics/teachers/big.json", metrics("big", 1))
    for name, seeds in {"plain": (1,), "soft": (1, 2), "tiny": (1,)}.items():
        write_json(data / f"runs/students/{name}.json", [run(seed, SCORES[name]) for seed in seeds])
        write_json(data / f"metrics/students/{name}.json", metrics(name, len(seeds)))


def read_params(folder: Path, text: str = PARAMS) -> Params:
    (folder / "params.yaml").write_text(text)
    return load_params(folder / "params.yaml")


@pytest.fixture
def news(tmp_path: Path) -> DataSet:
    write_data(tmp_path / "data")
    return gather(read_params(tmp_path), tmp_path / "data")[0]


def test_gathers_every_entry(news: DataSet) -> None:
    assert [model.name for model in news.models] == ["big", "plain", "soft", "tiny"]
    assert [model.shape for model in news.students] == ["3 × 384", "3 × 384", "2 × 128"]
    assert {model.teacher for model in news.students} == {"big"}
    soft = news.students[1]
    assert soft.metrics["accuracy"] == SCORES["soft"]
    assert soft.metrics["accuracy_sd"] == 0.0031
    assert soft.seconds == 83
    assert soft.runs[0].losses[0] == (2, 1.0)
    assert soft.runs[0].scores[-1] == (2.0, SCORES["soft"] - 0.05)
    assert [(split.name, split.transfer_rows) for split in news.splits] == [("train", 120), ("validation", 0), ("test", 0)]
    assert [found.pair for found in news.duplicates] == ["train-validation", "train-test"]


def test_a_teacher_of_another_data_set_has_no_scores_here(tmp_path: Path) -> None:
    text = PARAMS.replace("datasets: {news: {", "datasets: {wire: {source: news, tokenizer: {path: tokenizer}}, news: {")
    params = read_params(tmp_path, text.replace("big: {dataset: news", "big: {dataset: wire"))
    write_data(tmp_path / "data")
    (tmp_path / "data/runs/datasets/wire.json").write_bytes((tmp_path / "data/runs/datasets/news.json").read_bytes())
    wire, news = gather(params, tmp_path / "data")
    assert wire.teachers[0].metrics["accuracy"] == SCORES["big"]
    assert news.teachers[0].metrics == {}
    assert news.teachers[0].recipe == "teacher of wire"
    assert wire.students == ()
    assert verdict(wire) == "No student has learnt from wire yet."


def test_a_student_whose_head_is_not_trained_has_no_scores(tmp_path: Path) -> None:
    text = PARAMS.replace("soft: {recipe: hinton,", "soft: {recipe: tinybert, stage: intermediate,")
    write_data(tmp_path / "data")
    (found,) = gather(read_params(tmp_path, text), tmp_path / "data")
    assert "soft" not in [student.name for student in found.students]


@pytest.mark.parametrize(
    ("file", "stage"),
    [
        ("metrics/students/soft.json", "evaluate@soft"),
        ("metrics/teachers/big.json", "evaluate-teacher@big"),
        ("runs/students/soft.json", "student@soft"),
        ("runs/teachers/big.json", "teacher@big"),
        ("runs/targets/news.json", "targets@news"),
        ("runs/datasets/news.json", "prepare@news"),
    ],
)
@pytest.mark.parametrize("damage", [None, "{", "[1]", "{}", "3"])
def test_missing_or_damaged_file(tmp_path: Path, file: str, stage: str, damage: str | None) -> None:
    write_data(tmp_path / "data")
    path = tmp_path / "data" / file
    if damage is None:
        path.unlink()
    else:
        path.write_text(damage)
    with pytest.raises(UserError) as caught:
        gather(read_params(tmp_path), tmp_path / "data")
    assert str(path) in str(caught.value)
    assert f"dvc repro {stage}`" in str(caught.value)


def test_verdict(news: DataSet) -> None:
    best = best_student(news)
    assert best is not None
    assert best.name == "soft"
    text = verdict(news)
    assert "97.5% accuracy on the test rows: 100.5% (95% interval 99.3–101.4%) of its teacher big’s" in text
    assert "1.3 times fewer" in text
    assert "The interval includes 100%: 445 test rows" in text
    assert "plain, reaches 95.7%" in text
