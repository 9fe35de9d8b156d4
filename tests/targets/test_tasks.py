"""The store of every task: what is read is what the live teacher computes, and growing, repair and checks hold for tokens too."""

import functools
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from distill.core.errors import UserError
from distill.data.batching import pad_batch
from distill.data.dataset import Dataset
from distill.models.attention import capture_attention
from distill.params.task_specs import TASK_SPECS
from distill.store.manifest import Manifest
from distill.store.target_set import TargetStore
from distill.targets.materialization.fidelity import measure_fidelity
from distill.targets.materialization.forward import Teacher
from distill.targets.materialization.outputs import vectors_a_row
from distill.targets.materialization.previous import open_remembered, remember
from distill.targets.materialization.unit_pool import Pool
from distill.targets.verification.integrity import check
from distill.targets.verification.repair import Repair
from tests import tiny
from tests.command_line import contents
from tests.damage import flip, rewrite
from tests.stores import assembled, fingerprints, gathered, live_outputs, materialize, materializer, stored, teacher_for
from tests.target_specs import target_spec

RAGGED = ("token-classification", "question-answering", "masked-lm")
FAMILIES = (*tiny.FAMILIES, "modernbert")
JOB = target_spec(hidden=(1,), relations=(2,), shard_bytes=1500)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, datasets) -> Callable[[str], Path]:
    """By task, a set of JOB, made when first asked for: read only."""
    folder = tmp_path_factory.mktemp("whole")
    return functools.cache(lambda task: materialize(teacher_for(datasets[task]), datasets[task], folder / task, JOB))


def shuffled(rows) -> np.ndarray:
    return np.random.default_rng(0).permutation(len(rows))[:11]


@pytest.mark.parametrize("task", [*tiny.TASKS, tiny.EMBEDDING])
def test_logits_of_any_rows_are_those_of_the_live_teacher(tmp_path, datasets, task):
    dataset = datasets[task]
    model = teacher_for(dataset)
    store = stored(model, dataset, tmp_path / "set", target_spec(codec="fp32", shard_bytes=3000))
    assert store.manifest("logits").per == TASK_SPECS[task].logits_per
    for split in ("train", "test"):
        rows = dataset.rows(split)
        order = shuffled(rows)
        found, reader = gathered(store, "logits", split, rows.ids[order]), store.output("logits", split)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, live_outputs(model, rows, order)[0], atol=2e-5, rtol=1e-5)
        vectors = vectors_a_row(TASK_SPECS[task].logits_per, rows, np.arange(len(rows)))
        np.testing.assert_array_equal(reader.lengths[reader.locate(rows.ids)], vectors)
    assert check(tmp_path / "set").problems == []


@pytest.mark.parametrize(("codec", "bytes_a_value"), [("fp32", 4), ("fp16", 2), ("bf16", 2), ("int8", 1), ("int4", 0.5)])
def test_vectors_of_texts_are_kept_by_the_codec_that_was_asked_for(tmp_path, datasets, codec, bytes_a_value):
    dataset = datasets[tiny.EMBEDDING]
    model = teacher_for(dataset)
    folder = materialize(model, dataset, tmp_path / "set", target_spec(codec=codec))
    store, rows = TargetStore.open(folder), dataset.rows("train")
    assert (store.manifest("logits").codec, store.manifest("logits").width) == (codec, 24)
    reader, exact = store.output("logits", "train"), live_outputs(model, rows, np.arange(len(rows)))[0]
    lost = (reader.spread(rows.ids) - exact).square().sum() / (exact - exact.mean(dim=0)).square().sum()
    assert lost < {"fp32": 1e-9, "fp16": 1e-5, "bf16": 1e-3, "int8": 1e-3, "int4": 5e-2}[codec]
    sizes = {plane: values[0].nbytes for plane, values in reader.planes(np.arange(1)).items()}
    assert sum(sizes.values()) == (24 * bytes_a_value if "scales" not in sizes else {"int8": 24 + 2, "int4": 12 + 2}[codec])
    assert check(folder).problems == []
    missing = np.concatenate([rows.ids[:2], np.zeros((1, 16), np.uint8)])
    with pytest.raises(UserError, match="has no targets for row 2"):
        reader.spread(missing)


@pytest.mark.parametrize(("family", "positions"), [("bert", "masked"), *((family, "all") for family in FAMILIES)])
def test_a_vocabulary_is_replayed_from_what_the_head_makes_of_the_last_state(tmp_path, datasets, family, positions):
    dataset = datasets["masked-lm"]
    model, rows = teacher_for(dataset, family), dataset.rows("train")
    order = shuffled(rows)
    exact = live_outputs(model, rows, order, every=positions == "all")[0]
    lost = {}
    for codec in ("fp32", "int8"):
        job = target_spec(codec=codec, positions=positions, hidden=(-1,))
        folder = materialize(model, dataset, tmp_path / codec, job)
        found = gathered(TargetStore.open(folder), "logits", "train", rows.ids[order])
        assert found.shape == exact.shape
        lost[codec] = float((found - exact).square().sum() / (exact - exact.mean(0)).square().sum())
        assert sorted(path.name for path in (folder / "logits").iterdir()) == ["heads.safetensors", "manifest.json"]
    assert lost["fp32"] < 1e-9
    assert 1e-9 < lost["int8"] < 2e-4
    assert Manifest.read(folder / "transform").per == ("token" if positions == "all" else "position")


def test_the_product_with_the_vocabulary_is_never_computed(tmp_path, datasets, monkeypatch):
    dataset = datasets["masked-lm"]
    model = teacher_for(dataset)

    def refuse(*_args, **_more):
        raise AssertionError("the whole head ran")

    monkeypatch.setattr(type(model), "forward", refuse)
    made = materializer(model, dataset, target_spec(), tmp_path / "scratch")
    made.run()
    assert measure_fidelity(made)["logits"]["replayed_kl"] < 1e-2


@pytest.mark.parametrize(
    ("family", "codec", "close"),
    [*((name, "fp32", 2e-5) for name in tiny.FAMILIES), *((name, "int8", 6e-2) for name in ("bert", "mobilebert"))],
)
def test_projections_are_those_of_the_live_teacher(tmp_path, datasets, family, codec, close):
    dataset = datasets["regression"]
    model, rows = teacher_for(dataset, family), dataset.rows("train")
    folder = materialize(model, dataset, tmp_path / "set", target_spec(relations=(1, -1), codec=codec))
    store, order = TargetStore.open(folder), shuffled(rows)
    batch = pad_batch(rows, order)
    with torch.no_grad(), capture_attention(model, [1, 3], values=True) as captured:
        model(**batch)
    for layer in (1, 3):
        for kind, projection in (("queries", "query"), ("keys", "key"), ("values", "value")):
            found = gathered(store, f"{kind}-{layer:02d}", "train", rows.ids[order])
            expected = captured.outputs[layer, projection][batch["attention_mask"].bool()]
            torch.testing.assert_close(found, expected, atol=close * max(1.0, float(expected.abs().max())), rtol=close)
    assert check(folder).problems == []
    heads = folder / "values-03" / "heads.safetensors"
    assert heads.stat().st_size < (folder / "hidden-02" / "train" / "part-00000.arrow").stat().st_size * 10
    assert set(store.manifest("queries-03").splits) == {"train"}
    assert store.manifest("queries-03").source == "hidden-02"


@pytest.mark.parametrize(
    ("task", "family"), [(task, family) for task in tiny.TASKS for family in (FAMILIES if task in RAGGED[1:] else FAMILIES[:1])]
)
def test_hidden_states_are_those_that_a_student_compares(tmp_path, datasets, task, family):
    dataset = datasets[task]
    model, rows = teacher_for(dataset, family), dataset.rows("train")
    job = target_spec(hidden=(0, 1, -1), cls=(2,), codec="fp32")
    store, order = stored(model, dataset, tmp_path / "set", job), shuffled(rows)
    _, states = live_outputs(model, rows, order)
    for layer in (0, 1, 3):
        found = gathered(store, f"hidden-{layer:02d}", "train", rows.ids[order])
        # A padded MobileBERT reads the word of [PAD], which is 0 here, as the neighbour of a row's last token.
        torch.testing.assert_close(found, states[layer], atol=2e-5 * max(1.0, float(states[layer].abs().max())), rtol=1e-4)
    assert sorted(path.name for path in (store.folder / "hidden-00").iterdir()) == ["heads.safetensors", "manifest.json"]
    first = states[2][np.cumsum(rows.lengths[order]) - rows.lengths[order]]
    torch.testing.assert_close(gathered(store, "cls-02", "train", rows.ids[order]), first, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("job", "message"),
    [
        (target_spec(attention=(1,)), "attention of 'roc_bert' models cannot be compared.*not known"),
        (target_spec(relations=(2,)), "attention of 'roc_bert' models cannot be compared.*not known"),
    ],
)
def test_what_cannot_be_replayed_for_a_family_is_refused_by_name_before_the_teacher_runs(tmp_path, datasets, job, message):
    dataset = datasets["regression"]
    with pytest.raises(UserError, match=message):
        materializer(teacher_for(dataset, "roc_bert"), dataset, job, tmp_path)


@pytest.mark.parametrize("task", RAGGED)
def test_a_killed_run_and_a_damaged_shard_end_with_the_same_bytes(tmp_path, datasets, whole, task):
    dataset, model = datasets[task], teacher_for(datasets[task])
    killed = materializer(model, dataset, JOB, tmp_path / "scratch")
    units = killed.missing()
    assert len(units) > 3
    killed.run(units[: len(units) // 2])
    again = materializer(model, dataset, JOB, tmp_path / "scratch")
    assert len(again.missing()) == len(units) - len(units) // 2
    again.run()
    folder = assembled(again, tmp_path / "targets" / "set")
    assert contents(folder) == contents(whole(task))
    output = "transform" if task == "masked-lm" else "logits"
    flip(folder / output / "train" / "part-00001.arrow")
    checked = check(folder)
    assert [(problem.output, problem.file) for problem in checked.problems] == [(output, "train/part-00001.arrow")]
    made = Repair(Teacher(model, fingerprints(dataset)), dataset, JOB, Pool(tmp_path / "pool"), checked)
    assert 0 < made.run().tokens_computed < made.tokens
    assert contents(assembled(made, tmp_path / "new")) == contents(whole(task))


@pytest.mark.parametrize("task", RAGGED)
def test_a_grown_set_asks_the_teacher_for_new_rows_alone(tmp_path, task):
    small, large = (
        Dataset.open(tiny.prepare_task(tmp_path / f"{task}-{count}", task, sizes=(count, 8, 8))) for count in (20, 30)
    )
    model, job = teacher_for(small), target_spec(shard_bytes=1500)
    remember(materialize(model, small, tmp_path / "set", job, tmp_path / "scratch"), tmp_path / "scratch")
    grown = materializer(model, large, job, tmp_path / "scratch", open_remembered(tmp_path / "scratch"))
    work = grown.run()
    assert 0 < work.tokens_computed < 0.6 * work.tokens
    rows = large.rows("train")
    found = gathered(TargetStore.open(assembled(grown, tmp_path / "grown")), "logits", "train", rows.ids)
    exact = live_outputs(model, rows, np.arange(len(rows)))[0]
    assert float((found - exact).square().mean() / exact.var()) < 2e-4
    assert check(tmp_path / "grown").problems == []


def test_masked_tokens_are_no_base_of_all_tokens_and_cannot_be_read_without_their_states(tmp_path, datasets, whole):
    dataset, store = datasets["masked-lm"], TargetStore.open(whole("masked-lm"))
    made = materializer(teacher_for(dataset), dataset, target_spec(positions="all"), tmp_path, store)
    assert made.run().tokens_computed == made.tokens
    message = r"logits are replayed from transform, .*write `targets: masked-lm`, not `masked-lm/logits`"
    with pytest.raises(UserError, match=message):
        TargetStore.open(whole("masked-lm") / "logits").output("logits", "train")


@pytest.mark.parametrize("task", RAGGED)
def test_nan_logits_name_their_row(tmp_path, datasets, task):
    dataset = datasets[task]
    model, rows = teacher_for(dataset), dataset.rows("train")
    wanted = int(np.argmax(rows.lengths))
    masked = rows.labels[rows.offsets[wanted] : rows.offsets[wanted + 1]] if task == "masked-lm" else None
    place = int(np.flatnonzero(masked != -100)[0]) if masked is not None else 1
    token = int(rows.tokens[rows.offsets[wanted] + place])
    with torch.no_grad():
        model.get_input_embeddings().weight[token] = float("nan")
    holders = {i for i in range(len(rows)) if token in rows.tokens[rows.offsets[i] : rows.offsets[i + 1]]}
    made = materializer(model, dataset, target_spec(codec="fp32"), tmp_path)
    units = [unit for unit in made.missing() if unit.split == "train"]
    with pytest.raises(UserError, match=r"logits of row \d+ are NaN or infinite") as caught:
        made.run(units)
    assert int(str(caught.value).split("of row ")[1].split()[0]) in holders


@pytest.mark.parametrize("task", [*tiny.TASKS, tiny.EMBEDDING])
def test_what_is_lost_is_reported(tmp_path, datasets, task):
    made = materializer(teacher_for(datasets[task]), datasets[task], target_spec(hidden=(2,), relations=(1, 3)), tmp_path)
    found = measure_fidelity(made)
    vectors = {"hidden-02", "queries-03", "keys-03", "values-03", *(["transform"] if task == "masked-lm" else [])}
    vectors |= {"logits"} if task == tiny.EMBEDDING else set()
    assert set(found) == vectors | ({"logits"} if task == "masked-lm" else set())  # layer 1 reads exact embeddings
    assert all(0 < found[output]["variance_lost"] < 2e-3 for output in vectors)
    assert task != "masked-lm" or 0 < found["logits"]["replayed_kl"] < 1e-2


def test_another_tokenizer_reads_what_is_kept_for_rows_alone(datasets, whole):
    def changed(task: str, **parts: object) -> Dataset:
        return Dataset(**{**vars(datasets[task]), **parts})

    store, tags = (TargetStore.open(whole(task)) for task in ("regression", "token-classification"))
    other = changed("regression", tokenizer="o" * 64, max_length=7)
    store.require(other, ["train"])
    message = r"hidden-01 is kept for tokens of the tokenizer .{12}, the rows of .* are of o{12}"
    with pytest.raises(UserError, match=message) as error:
        store.require(other, ["train"], "hidden-01")
    error.match(r"tokens cannot align; read logits alone \(.*regression/logits with a recipe of logits\)")
    with pytest.raises(UserError, match=r"does not fit .*: tokenizer is o{12}, the store was made with"):
        store.require(changed("regression", seen_tokenizer="o" * 64), ["train"])
    tags.require(datasets["token-classification"], ["train"])
    with pytest.raises(UserError, match="tokens cannot align; prepare with the teacher's tokenizer"):
        tags.require(changed("token-classification", tokenizer="o" * 64), ["train"])


@pytest.mark.parametrize(
    ("task", "output", "changes", "message"),
    [
        ("masked-lm", "logits", {"per": "row"}, "logits, kept as replay, has a vector a row"),
        ("masked-lm", "logits", {"per": "token"}, "does not fit transform .it has a vector a position"),
        ("masked-lm", "logits", {"width": 7}, "does not fit transform"),
        ("masked-lm", "transform", {"per": "token"}, "rows and tokens|does not fit transform"),
        ("token-classification", "logits", {"per": "position"}, "logits, kept as fp32, has a vector a position"),
        ("token-classification", "logits", {"per": "row"}, r"a row of 4 to \d+ vectors"),
        ("regression", "logits", {"per": "token"}, "rows and tokens"),
        ("regression", "hidden-01", {"per": "row"}, "hidden-01, kept as int8, has a vector a row"),
    ],
)
def test_a_manifest_that_says_another_vector_is_refused(tmp_path, whole, task, output, changes, message):
    folder = shutil.copytree(whole(task), tmp_path / "set")
    rewrite(folder / output, **changes)
    with pytest.raises(UserError, match=message):
        TargetStore.open(folder).output(output, "train")
    assert check(folder).problems
