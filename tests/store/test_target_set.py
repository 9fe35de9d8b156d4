"""What is written is what is read: the store as a whole."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from distill.core.errors import UserError
from distill.data.batching import pad_batch
from distill.data.dataset import Dataset
from distill.models.attention import capture_attention
from distill.store import target_set as reader
from distill.store.readers import StoredOutput
from distill.store.target_set import TargetStore
from distill.targets.materialization.forward import run_teacher
from distill.targets.materialization.previous import refuse_foreign
from tests import tiny
from tests.command_line import contents
from tests.damage import flip, replace
from tests.stores import fingerprints, gathered, materialize, stored
from tests.target_specs import target_spec

CLOSE = {"fp32": 1e-6, "fp16": 2e-3, "bf16": 1e-2, "int8": 2e-2, "int4": 0.3}


@pytest.fixture(scope="module")
def model():
    return tiny.bert(layers=3)


@pytest.mark.parametrize("codec", sorted(CLOSE))
def test_shuffled_rows_are_the_live_teachers(tmp_path, model, dataset, codec):
    layers = (0, 2, 3)
    job = target_spec(hidden=layers, cls=layers, replays_embeddings=False, codec=codec)
    store, rows = stored(model, dataset, tmp_path / "set", job), dataset.rows("train")
    order = np.random.default_rng(0).permutation(len(rows))[:17]
    logits, hidden = run_teacher(model, pad_batch(rows, order), layers, "fp32")
    close = {"atol": CLOSE[codec] * 4, "rtol": CLOSE[codec]}
    torch.testing.assert_close(gathered(store, "logits", "train", rows.ids[order]), logits, atol=1e-5, rtol=1e-5)
    starts = np.cumsum(rows.lengths[order]) - rows.lengths[order]
    for layer in layers:
        torch.testing.assert_close(gathered(store, f"hidden-{layer:02d}", "train", rows.ids[order]), hidden[layer], **close)
        found = gathered(store, f"cls-{layer:02d}", "train", rows.ids[order])
        torch.testing.assert_close(found, hidden[layer][starts], **close)


@pytest.mark.parametrize(
    ("attention_as", "codec", "close"),
    [
        ("replay", "fp32", 1e-5),
        ("replay", "int8", 2e-2),
        ("scores-u8", "int8", 1e-2),
        ("scores-fp16", "int8", 1e-3),
        ("probabilities-u8", "int8", None),
    ],
)
def test_attention_is_that_of_the_live_teacher(tmp_path, model, dataset, attention_as, codec, close):
    job = target_spec(attention=(1, -1), attention_as=attention_as, codec=codec)
    store, rows, order = stored(model, dataset, tmp_path / "set", job), dataset.rows("train"), np.arange(25)
    batch = pad_batch(rows, order)
    with torch.no_grad(), capture_attention(model, [1, 3]) as captured:
        model(**batch)
        live = dict(captured)
    real = batch["attention_mask"].bool()
    for layer, expected in live.items():
        pairs = (real[:, :, None] & real[:, None, :])[:, None].expand_as(expected)
        found = gathered(store, f"attention-{layer:02d}", "train", rows.ids[order])
        assert not found[~pairs].any()
        if close is not None:
            torch.testing.assert_close(found[pairs], expected[pairs], atol=close, rtol=close)
            continue
        shares = (scores.masked_fill(~pairs, -torch.inf).softmax(-1)[pairs] for scores in (found, expected))
        torch.testing.assert_close(*shares, atol=2e-2, rtol=0)


def test_many_small_shards_hold_the_same_as_one(tmp_path, model, dataset):
    one = stored(model, dataset, tmp_path / "one", target_spec(hidden=(1,), codec="fp32"))
    many = stored(model, dataset, tmp_path / "many", target_spec(hidden=(1,), codec="fp32", shard_bytes=2000))
    ids = dataset.rows("train").ids
    assert len(many.manifest("hidden-01").splits["train"].shards) > 5
    for output in ("logits", "hidden-01"):
        left, right = (gathered(store, output, "train", ids) for store in (one, many))
        torch.testing.assert_close(left, right, atol=1e-5, rtol=1e-5)


def test_outputs_of_one_source_open_hash_and_read_it_once(tmp_path, model, dataset, monkeypatch):
    job = target_spec(hidden=(1,), attention=(2,), relations=(2,), shard_bytes=2000)
    folder = materialize(model, dataset, tmp_path / "set", job)
    calls: dict[str, list[object]] = {"sha256": [], "map_shard": [], "_read": []}
    for where, name in ((reader, "sha256"), (reader, "map_shard"), (StoredOutput, "_read")):
        real = getattr(where, name)
        monkeypatch.setattr(where, name, lambda *given, real=real, name=name: (calls[name].append(given[0]), real(*given))[1])
    names = ("hidden-01", "attention-02", "queries-02", "keys-02", "values-02")
    store, ids = TargetStore.open(folder), dataset.rows("train").ids[::-2]
    for _ in range(2):  # as for two seeds
        readers = store.outputs(names, "train")
    shards = sorted((folder / "hidden-01/train").iterdir())
    assert len(shards) > 3
    assert sorted(calls["map_shard"]) == shards
    assert sorted(calls["sha256"]) == sorted([*shards, *(folder / name / "heads.safetensors" for name in names[1:])])
    rows = readers.locate(ids)
    calls["_read"].clear()
    batch = readers.gather(rows)
    assert calls["_read"] == [readers["hidden-01"]]
    for name in names:
        assert torch.equal(batch[name], TargetStore.open(folder).output(name, "train").gather(rows[name]))


def test_two_runs_write_the_same_bytes_without_paths_and_times(tmp_path, model, dataset):
    job = target_spec(hidden=(0, -1), shard_bytes=4000)
    first, second = (materialize(model, dataset, tmp_path / name, job) for name in ("a", "b"))
    assert len(contents(first)) > 6
    assert contents(first) == contents(second)
    text = (first / "logits" / "manifest.json").read_text()
    assert str(tmp_path) not in text
    assert "202" not in json.dumps([key for key in json.loads(text) if key != "libraries"])
    assert list(json.loads(text)) == sorted(json.loads(text))


def test_equal_rows_are_stored_once(tmp_path, model, tokenizer):
    texts, labels = tiny.rows(10, 0)
    folder = tiny.prepare_rows(tmp_path / "prepared", tokenizer, texts + texts, labels + labels)
    dataset = Dataset.open(folder)
    store = stored(model, dataset, tmp_path / "set", target_spec(hidden=(1,)))
    reader, rows = store.output("hidden-01", "train"), dataset.rows("train")
    assert (len(rows), len(reader)) == (20, 10)
    np.testing.assert_array_equal(reader.locate(rows.ids[:10]), reader.locate(rows.ids[10:]))


def test_a_set_of_logits_alone_opens_by_either_path(tmp_path, model, dataset):
    folder = materialize(model, dataset, tmp_path / "set", target_spec(hidden=(1,)))
    alone = tmp_path / "elsewhere"
    shutil.copytree(folder / "logits", alone / "logits")
    for path in (alone, alone / "logits"):
        store = TargetStore.open(path)
        assert list(store.manifests) == ["logits"]
        assert len(store.output("logits", "test")) == len(dataset.rows("test"))


def test_hidden_states_are_kept_for_the_splits_that_are_asked_for(tmp_path, model, dataset):
    store = stored(model, dataset, tmp_path / "set", target_spec(hidden=(1,), hidden_splits=("test",)))
    assert len(store.output("hidden-01", "test")) == len(dataset.rows("test"))
    with pytest.raises(UserError, match=r"hidden-01/train: not in the store, which has test"):
        store.output("hidden-01", "train")
    with pytest.raises(UserError, match=r"has no hidden-02, only hidden-01, logits, tokens; add 2 to `hidden` of targets.set"):
        store.output("hidden-02", "train")


def test_a_layer_that_the_teacher_lacks_is_refused(tmp_path, model, dataset):
    with pytest.raises(UserError, match=r"no layer 4; expected 0 \(embeddings\) to 3"):
        materialize(model, dataset, tmp_path / "set", target_spec(hidden=(4,)))
    with pytest.raises(UserError, match="names a layer twice"):
        materialize(model, dataset, tmp_path / "set", target_spec(hidden=(3, -1)))


def test_nan_logits_are_refused_before_anything_is_written(tmp_path, dataset):
    broken = tiny.bert(layers=1)
    torch.nn.init.constant_(broken.classifier.bias, float("nan"))
    with pytest.raises(UserError, match="logits of row .* are NaN or infinite"):
        materialize(broken, dataset, tmp_path / "set", target_spec(), tmp_path / "scratch")
    assert not list((tmp_path / "scratch").glob("*.arrow"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory, model, dataset):
    """A set: read only."""
    return materialize(model, dataset, tmp_path_factory.mktemp("whole") / "set", target_spec(hidden=(1,), shard_bytes=4000))


@pytest.fixture
def folder(tmp_path, whole):
    """A set that tests may damage."""
    return shutil.copytree(whole, tmp_path / "set")


@pytest.mark.parametrize(("part", "value"), [("tokenizer", "0" * 64), ("labels", ("dog", "cat", "fish")), ("max_length", 11)])
def test_a_changed_tokenizer_label_order_or_length_is_named(whole, dataset, part, value):
    changed = Dataset(**{**vars(dataset), part: value, f"seen_{part}" if part != "labels" else part: value})
    with pytest.raises(UserError, match=rf"does not fit .*: {part} is .*, the store was made with "):
        TargetStore.open(whole).require(changed, ["train"])


def test_a_changed_row_is_named(whole, tmp_path, tokenizer):
    texts, labels = tiny.rows(60, 0)
    other = Dataset.open(tiny.prepare_rows(tmp_path / "other", tokenizer, ["w39 w39", *texts[1:]], labels))
    with pytest.raises(UserError, match="the rows of train are .*, the store was made from "):
        TargetStore.open(whole).require(other, ["train"])
    with pytest.raises(UserError, match="has no targets for row 0"):
        gathered(TargetStore.open(whole), "logits", "train", other.rows("train").ids)


def test_a_changed_teacher_is_never_mixed_in(whole, dataset):
    refuse_foreign(whole, fingerprints(dataset))
    for part in ("teacher", "config"):
        with pytest.raises(UserError, match=f"made from something else: {part} is {'n' * 12}, the store was made with "):
            refuse_foreign(whole, fingerprints(dataset, **{part: "n" * 64}))


def swap(folder: Path) -> None:
    first, second = (folder / f"hidden-01/train/part-0000{number}.arrow" for number in (0, 1))
    content = first.read_bytes()
    replace(first, second.read_bytes())
    replace(second, content)


def edit(folder: Path, text: str) -> None:
    (folder / "logits/manifest.json").write_text(text)


SHARD = "logits/train/part-00000.arrow"
AS_IT_SHOULD = '{"format": "distill/targets", "version": %d}'
NO_MANIFESTS = ("", "{", "[]", AS_IT_SHOULD % 3, "[" * 100_000)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: replace(f / SHARD, (f / SHARD).read_bytes()[:-10]), "bytes, expected .*: truncated or changed"),
        (lambda f: flip(f / SHARD), "damaged or swapped"),
        (swap, "truncated or changed|damaged or swapped"),
        (lambda f: (f / SHARD).unlink(), "part-00000.arrow: is missing"),
        (lambda f: shutil.move(f / "logits", f / "logits-01"), "the folder logits-01 holds logits"),
        (shutil.rmtree, "no target set; run `dvc repro targets@set`"),
        (lambda f: edit(f, AS_IT_SHOULD % 99), r"is \('distill/targets', 99\), expected \('distill/targets', 3\)"),
        *((lambda f, text=text: edit(f, text), "manifest.json: (is|its content)") for text in NO_MANIFESTS),
    ],
)
def test_damage_is_refused(folder, damage, message):
    damage(folder)
    with pytest.raises(UserError, match=message):
        TargetStore.open(folder).outputs(["hidden-01", "logits"], "train")
