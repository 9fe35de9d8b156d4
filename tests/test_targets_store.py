"""What is written is what is read: the store as a whole."""

import json
import shutil

import numpy as np
import pytest
import torch

from distill.attention import capture_attention
from distill.errors import UserError
from distill.padding import pad_batch
from distill.prepared import Dataset
from distill.targets.base import refuse_foreign
from distill.targets.forward import run_teacher
from distill.targets.outputs import Job
from distill.targets.reader import TargetStore
from tests import tiny
from tests.stores import fingerprints, materialize

CLOSE = {"fp32": 1e-6, "fp16": 2e-3, "bf16": 1e-2, "int8": 2e-2, "int4": 0.3}


@pytest.fixture(scope="module")
def model():
    return tiny.bert(layers=3)


def live(model, rows, positions, layer):
    logits, hidden = run_teacher(model, pad_batch(rows, positions), [layer], "fp32")
    return logits, hidden[layer]


@pytest.mark.parametrize("codec", sorted(CLOSE))
@pytest.mark.parametrize("layer", [0, 2, 3])
def test_shuffled_rows_are_what_the_live_teacher_says(tmp_path, model, dataset, codec, layer):
    folder = materialize(model, dataset, tmp_path / "set", Job(hidden=(layer,), cls=(layer,), embeddings="stored", codec=codec))
    store, rows = TargetStore.open(folder), dataset.rows("train")
    order = np.random.default_rng(0).permutation(len(rows))[:17]
    logits, hidden = live(model, rows, order, layer)
    reader = store.output("logits", "train")
    torch.testing.assert_close(reader.gather(reader.locate(rows.ids[order])), logits, atol=1e-5, rtol=1e-5)
    states = store.output(f"hidden-{layer:02d}", "train")
    gathered = states.gather(states.locate(rows.ids[order]))
    assert gathered.shape == hidden.shape
    torch.testing.assert_close(gathered, hidden, atol=CLOSE[codec] * 4, rtol=CLOSE[codec])
    firsts = store.output(f"cls-{layer:02d}", "train")
    starts = np.cumsum(rows.lengths[order]) - rows.lengths[order]
    torch.testing.assert_close(
        firsts.gather(firsts.locate(rows.ids[order])), hidden[starts], atol=CLOSE[codec] * 4, rtol=CLOSE[codec]
    )


def test_embeddings_are_replayed_exactly_and_cost_no_shard(tmp_path, model, dataset):
    folder = materialize(model, dataset, tmp_path / "set", Job(hidden=(0,)))
    assert sorted(path.name for path in (folder / "hidden-00").iterdir()) == ["heads.safetensors", "manifest.json"]
    rows, order = dataset.rows("train"), np.arange(17)[::-1].copy()
    reader = TargetStore.open(folder).output("hidden-00", "train")
    torch.testing.assert_close(
        reader.gather(reader.locate(rows.ids[order])), live(model, rows, order, 0)[1], atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize(
    ("attention_as", "codec", "close"),
    [("replay", "fp32", 1e-5), ("replay", "int8", 2e-2), ("scores-u8", "int8", 1e-2), ("scores-fp16", "int8", 1e-3)],
)
@pytest.mark.parametrize("layer", [1, 3])
def test_attention_scores_are_those_of_the_live_teacher(tmp_path, model, dataset, attention_as, codec, close, layer):
    folder = materialize(model, dataset, tmp_path / "set", Job(attention=(layer,), attention_as=attention_as, codec=codec))
    store, rows, order = TargetStore.open(folder), dataset.rows("train"), np.arange(25)
    batch = pad_batch(rows, order)
    with torch.no_grad(), capture_attention(model, [layer]) as captured:
        model(**batch)
        expected = captured.scores(layer)
    real = batch["attention_mask"].bool()
    pairs = (real[:, :, None] & real[:, None, :])[:, None].expand_as(expected)
    reader = store.output(f"attention-{layer:02d}", "train")
    found = reader.gather(reader.locate(rows.ids[order]))
    torch.testing.assert_close(found[pairs], expected[pairs], atol=close, rtol=close)
    assert not found[~pairs].any()


def test_stored_probabilities_are_those_of_the_live_teacher(tmp_path, model, dataset):
    folder = materialize(model, dataset, tmp_path / "set", Job(attention=(-1,), attention_as="probabilities-u8"))
    rows, order = dataset.rows("train"), np.arange(25)
    exact = TargetStore.open(materialize(model, dataset, tmp_path / "exact", Job(attention=(-1,), codec="fp32")))
    readers = [store.output("attention-03", "train") for store in (TargetStore.open(folder), exact)]
    stored, replayed = (reader.gather(reader.locate(rows.ids[order])) for reader in readers)
    for found, expected, length in zip(stored, replayed, rows.lengths[order].tolist(), strict=True):
        real = found[:, :length, :length].softmax(-1), expected[:, :length, :length].softmax(-1)
        torch.testing.assert_close(*real, atol=2e-2, rtol=0)


def test_many_small_shards_hold_the_same_as_one(tmp_path, model, dataset):
    one = TargetStore.open(materialize(model, dataset, tmp_path / "one", Job(hidden=(1,), codec="fp32")))
    many = TargetStore.open(materialize(model, dataset, tmp_path / "many", Job(hidden=(1,), codec="fp32", shard_bytes=2000)))
    ids = dataset.rows("train").ids
    assert len(many.manifest("hidden-01").splits["train"].shards) > 5
    for output in ("logits", "hidden-01"):
        left, right = one.output(output, "train"), many.output(output, "train")
        torch.testing.assert_close(left.gather(left.locate(ids)), right.gather(right.locate(ids)), atol=1e-5, rtol=1e-5)


def test_two_runs_write_the_same_bytes(tmp_path, model, dataset):
    job = Job(hidden=(0, -1), shard_bytes=4000)
    first, second = (materialize(model, dataset, tmp_path / name, job) for name in ("a", "b"))
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert len(files) > 6
    for file in files:
        assert (first / file).read_bytes() == (second / file).read_bytes(), file


def test_equal_rows_are_stored_once(tmp_path, model, tokenizer):
    texts, labels = tiny.rows(10, 0)
    folder = tiny.prepare_rows(tmp_path / "prepared", tokenizer, texts + texts, labels + labels)
    dataset = Dataset.open(folder)
    store = TargetStore.open(materialize(model, dataset, tmp_path / "set", Job(hidden=(1,))))
    reader, rows = store.output("hidden-01", "train"), dataset.rows("train")
    assert len(rows) == 20
    assert len(reader) == 10
    np.testing.assert_array_equal(reader.locate(rows.ids[:10]), reader.locate(rows.ids[10:]))


def test_a_set_of_logits_alone_opens_by_either_path(tmp_path, model, dataset):
    folder = materialize(model, dataset, tmp_path / "set", Job(hidden=(1,)))
    alone = tmp_path / "elsewhere"
    shutil.copytree(folder / "logits", alone / "logits")
    for path in (alone, alone / "logits"):
        store = TargetStore.open(path)
        assert list(store.manifests) == ["logits"]
        assert len(store.output("logits", "test")) == len(dataset.rows("test"))


def test_hidden_states_are_kept_for_the_splits_that_are_asked_for(tmp_path, model, dataset):
    store = TargetStore.open(materialize(model, dataset, tmp_path / "set", Job(hidden=(1,), hidden_splits=("test",))))
    assert len(store.output("hidden-01", "test")) == len(dataset.rows("test"))
    with pytest.raises(UserError, match=r"hidden-01/train: not in the store, which has test"):
        store.output("hidden-01", "train")


def test_no_path_and_no_time_is_in_a_manifest(tmp_path, model, dataset):
    folder = materialize(model, dataset, tmp_path / "set", Job())
    text = (folder / "logits" / "manifest.json").read_text()
    assert str(tmp_path) not in text
    assert "202" not in json.dumps([key for key in json.loads(text) if key != "libraries"])
    assert list(json.loads(text)) == sorted(json.loads(text))


def test_a_layer_that_the_teacher_lacks_is_refused(tmp_path, model, dataset):
    with pytest.raises(UserError, match=r"no layer 4; expected 0 \(embeddings\) to 3"):
        materialize(model, dataset, tmp_path / "set", Job(hidden=(4,)))
    with pytest.raises(UserError, match="names a layer twice"):
        materialize(model, dataset, tmp_path / "set", Job(hidden=(3, -1)))


def test_a_layer_that_the_store_lacks_is_named_with_what_to_add(tmp_path, model, dataset):
    store = TargetStore.open(materialize(model, dataset, tmp_path / "set", Job(hidden=(1,))))
    with pytest.raises(UserError, match=r"has no hidden-02, only hidden-01, logits, tokens; add 2 to `hidden` of targets.set"):
        store.output("hidden-02", "train")


def test_nan_logits_are_refused_before_anything_is_written(tmp_path, dataset):
    broken = tiny.bert(layers=1)
    torch.nn.init.constant_(broken.classifier.bias, float("nan"))
    with pytest.raises(UserError, match="logits of row .* are NaN or infinite"):
        materialize(broken, dataset, tmp_path / "set", Job(), tmp_path / "scratch")
    assert not list((tmp_path / "scratch").glob("*.arrow"))


class TestRefusals:
    @pytest.fixture
    def folder(self, tmp_path, model, dataset):
        return materialize(model, dataset, tmp_path / "set", Job(hidden=(1,), shard_bytes=4000))

    @pytest.mark.parametrize(
        ("part", "value"),
        [("tokenizer", "0" * 64), ("labels", ("dog", "cat", "fish")), ("max_length", 11)],
    )
    def test_a_changed_tokenizer_label_order_or_length_is_named(self, folder, dataset, part, value):
        changed = Dataset(**{**vars(dataset), part: value, f"seen_{part}" if part != "labels" else part: value})
        with pytest.raises(UserError, match=rf"does not fit .*: {part} is .*, the store was made with "):
            TargetStore.open(folder).require(changed, ["train"])

    def test_a_changed_row_is_named(self, folder, tmp_path, tokenizer):
        texts, labels = tiny.rows(60, 0)
        other = Dataset.open(tiny.prepare_rows(tmp_path / "other", tokenizer, ["w39 w39", *texts[1:]], labels))
        with pytest.raises(UserError, match="the rows of train are .*, the store was made from "):
            TargetStore.open(folder).require(other, ["train"])
        reader = TargetStore.open(folder).output("logits", "train")
        with pytest.raises(UserError, match="has no targets for row 0"):
            reader.locate(other.rows("train").ids)

    def test_a_changed_teacher_is_never_mixed_in(self, folder, dataset):
        refuse_foreign(folder, fingerprints(dataset))
        for part in ("teacher", "config"):
            with pytest.raises(UserError, match=f"made from something else: {part} is {'n' * 12}, the store was made with "):
                refuse_foreign(folder, fingerprints(dataset, **{part: "n" * 64}))

    def test_a_truncated_shard(self, folder):
        shard = folder / "logits/train/part-00000.arrow"
        shard.write_bytes(shard.read_bytes()[:-10])
        with pytest.raises(UserError, match="bytes, expected .*: truncated or changed"):
            TargetStore.open(folder).output("logits", "train")

    def test_a_flipped_bit(self, folder):
        shard = folder / "logits/train/part-00000.arrow"
        content = bytearray(shard.read_bytes())
        content[len(content) // 2] ^= 1
        shard.write_bytes(content)
        with pytest.raises(UserError, match="damaged or swapped"):
            TargetStore.open(folder).output("logits", "train")

    def test_swapped_shards(self, folder):
        parts = folder / "hidden-01/train"
        (parts / "part-00000.arrow").rename(parts / "x")
        (parts / "part-00001.arrow").rename(parts / "part-00000.arrow")
        (parts / "x").rename(parts / "part-00001.arrow")
        with pytest.raises(UserError, match="truncated or changed|damaged or swapped"):
            TargetStore.open(folder).output("hidden-01", "train")

    def test_swapped_folders(self, folder):
        shutil.rmtree(folder / "hidden-01")
        (folder / "logits").rename(folder / "hidden-01")
        with pytest.raises(UserError, match="the folder hidden-01 holds logits"):
            TargetStore.open(folder)

    def test_a_missing_shard(self, folder):
        (folder / "logits/train/part-00000.arrow").unlink()
        with pytest.raises(UserError, match="part-00000.arrow: is missing"):
            TargetStore.open(folder).output("logits", "train")

    def test_a_manifest_of_another_version(self, folder):
        path = folder / "logits/manifest.json"
        path.write_text(path.read_text().replace('"version": 3', '"version": 99'))
        with pytest.raises(UserError, match=r"is \('distill/targets', 99\), expected \('distill/targets', 3\)"):
            TargetStore.open(folder)

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "distill/targets", "version": 3}', "[" * 100_000])
    def test_a_damaged_manifest(self, folder, text):
        (folder / "logits/manifest.json").write_text(text)
        with pytest.raises(UserError, match="manifest.json: (is|its content)"):
            TargetStore.open(folder)

    def test_an_empty_folder(self, tmp_path):
        with pytest.raises(UserError, match="no target set; run `dvc repro targets@nothing`"):
            TargetStore.open(tmp_path / "nothing")
