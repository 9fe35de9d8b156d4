"""What docs/store.md shows works as it stands there."""

from ruamel.yaml import YAML

from distill.data.dataset import Dataset
from distill.pipeline.needs import missing_needs
from distill.pipeline.project import load_params
from distill.pipeline.shapes import Shape
from tests import tiny
from tests.closures import ROOT
from tests.documents import blocks
from tests.stores import materialize
from tests.target_specs import target_spec

PAGE = ROOT / "docs/store.md"


def test_its_target_set_feeds_its_student(tmp_path):
    (shown,) = blocks(PAGE, "yaml")
    (rest,) = blocks(ROOT / "README.md", "yaml")
    load = YAML(typ="safe").load
    YAML(typ="safe").dump({**load(rest), **load(shown)}, tmp_path / "params.yaml")
    params = load_params(tmp_path / "params.yaml")
    assert missing_needs(params, "sst2", tmp_path / "params.yaml", {"sst2": Shape(6, 384, 12)}) == []


def test_its_training_loop_runs(tmp_path, monkeypatch, tokenizer):
    prepared = tiny.prepare(tmp_path / "data/prepared/bbc", tokenizer)
    dataset = Dataset.open(prepared)
    materialize(tiny.bert(layers=6), dataset, tmp_path / "data/targets/bbc", target_spec(hidden=(-1,)), tmp_path / "scratch")
    saved = tiny.save(tiny.bert(layers=2), tmp_path / "data/inits/half", tokenizer)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    (code,) = blocks(PAGE, "python")
    assert len([line for line in code.splitlines() if line and not line.startswith(("from", "import"))]) <= 10
    exec(code, names)
    before = tiny.bert(layers=2).state_dict()
    assert saved.exists()
    assert any((tensor != before[name]).any() for name, tensor in names["student"].state_dict().items())
    assert names["batch"]["hidden-06"].shape == (int(names["batch"]["attention_mask"].sum()), 16)
