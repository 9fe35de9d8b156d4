"""The store of every task: what is read is what the live teacher says, and growing, repair and checks hold for tokens too."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from distill.attention import capture_attention
from distill.errors import UserError
from distill.padding import pad_batch
from distill.prepared import Dataset
from distill.targets.base import remember, remembered
from distill.targets.counting import vectors_a_row
from distill.targets.fidelity import fidelity
from distill.targets.live import compare
from distill.targets.outputs import LOGITS_PER, Job
from distill.targets.pool import Pool
from distill.targets.reader import TargetStore
from distill.targets.repair import Repair
from distill.targets.schema import Manifest
from distill.targets.teacher import Teacher
from distill.targets.verify import check
from distill.tasks.catalogue import TASKS
from tests import tiny
from tests.damage import flip, rewrite
from tests.stores import fingerprints, live_logits, materialize, materializer, teacher_for

RAGGED = ("token-classification", "question-answering", "masked-lm")
SMALL = (24, 8, 8)


@pytest.fixture(scope="module")
def datasets(tmp_path_factory) -> dict[str, Dataset]:
    """A data set of each task: read only."""
    folder = tmp_path_factory.mktemp("tasks")
    return {task: Dataset.open(tiny.prepare_task(folder / task, task, sizes=SMALL)) for task in tiny.TASKS}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def shuffled(rows) -> np.ndarray:
    return np.random.default_rng(0).permutation(len(rows))[:11]


def real_tokens(rows, positions) -> torch.Tensor:
    """Of a padded batch: (batch, seq) bool."""
    lengths = rows.lengths[positions]
    return torch.from_numpy(np.arange(lengths.max()) < lengths[:, None])


def test_what_logits_are_one_vector_of_is_what_the_tasks_say():
    assert {name: task.per for name, task in TASKS.items()} == LOGITS_PER


@pytest.mark.parametrize("task", tiny.TASKS)
@pytest.mark.parametrize("split", ["train", "test"])
def test_logits_of_any_rows_are_those_of_the_live_teacher(tmp_path, datasets, task, split):
    dataset = datasets[task]
    model = teacher_for(dataset)
    store = TargetStore.open(materialize(model, dataset, tmp_path / "set", Job(codec="fp32", shard_bytes=3000)))
    rows = dataset.rows(split)
    order = shuffled(rows)
    reader = store.output("logits", split)
    found = reader.gather(reader.locate(rows.ids[order]))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, live_logits(model, rows, order), atol=2e-5, rtol=1e-5)
    assert store.manifest("logits").per == LOGITS_PER[task]
    np.testing.assert_array_equal(
        reader.lengths[reader.locate(rows.ids)], vectors_a_row(LOGITS_PER[task], rows, np.arange(len(rows)))
    )
    assert check(tmp_path / "set").problems == []


@pytest.mark.parametrize("family", [*tiny.FAMILIES, "modernbert"])
@pytest.mark.parametrize("positions", ["masked", "all"])
def test_a_vocabulary_is_replayed_from_what_the_head_makes_of_the_last_state(tmp_path, datasets, family, positions):
    dataset = datasets["masked-lm"]
    model, rows = teacher_for(dataset, family), dataset.rows("train")
    order = shuffled(rows)
    exact = live_logits(model, rows, order, every=positions == "all")
    lost = {}
    for codec in ("fp32", "int8"):
        job = Job(codec=codec, positions=positions, hidden=(-1,))
        folder = materialize(model, dataset, tmp_path / codec, job)
        reader = TargetStore.open(folder).output("logits", "train")
        found = reader.gather(reader.locate(rows.ids[order]))
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
    made = materializer(model, dataset, Job(), tmp_path / "scratch")
    made.run()
    assert fidelity(made)["logits"]["replayed_kl"] < 1e-2


@pytest.mark.parametrize("family", tiny.FAMILIES)
@pytest.mark.parametrize(("codec", "close"), [("fp32", 2e-5), ("int8", 6e-2)])
def test_projections_are_those_of_the_live_teacher(tmp_path, datasets, family, codec, close):
    dataset = datasets["regression"]
    model, rows = teacher_for(dataset, family), dataset.rows("train")
    folder = materialize(model, dataset, tmp_path / "set", Job(relations=(1, -1), codec=codec))
    store, order = TargetStore.open(folder), shuffled(rows)
    batch = pad_batch(rows, order)
    with torch.no_grad(), capture_attention(model, [1, 3], values=True) as captured:
        model(**batch)
    real = real_tokens(rows, order)
    for layer in (1, 3):
        for kind, projection in (("queries", "query"), ("keys", "key"), ("values", "value")):
            reader = store.output(f"{kind}-{layer:02d}", "train")
            found, expected = reader.gather(reader.locate(rows.ids[order])), captured.outputs[layer, projection][real]
            torch.testing.assert_close(found, expected, atol=close * max(1.0, float(expected.abs().max())), rtol=close)
    assert check(folder).problems == []
    heads = folder / "values-03" / "heads.safetensors"
    assert heads.stat().st_size < (folder / "hidden-02" / "train" / "part-00000.arrow").stat().st_size * 10
    assert set(store.manifest("queries-03").splits) == {"train"}
    assert store.manifest("queries-03").source == "hidden-02"


@pytest.mark.parametrize("task", tiny.TASKS)
@pytest.mark.parametrize("family", [*tiny.FAMILIES, "modernbert"])
def test_hidden_states_are_those_that_a_student_compares(tmp_path, datasets, task, family):
    dataset = datasets[task]
    model, rows = teacher_for(dataset, family), dataset.rows("train")
    job = Job(hidden=(0, 1, -1), cls=(2,), codec="fp32", embeddings="stored" if family == "modernbert" else "replay")
    store, order = TargetStore.open(materialize(model, dataset, tmp_path / "set", job)), shuffled(rows)
    batch = pad_batch(rows, order)
    with torch.no_grad():
        states = model(**batch, output_hidden_states=True).hidden_states
    for layer in (0, 1, 3):
        reader = store.output(f"hidden-{layer:02d}", "train")
        found = reader.gather(reader.locate(rows.ids[order]))
        expected = states[layer][real_tokens(rows, order)]
        # A padded MobileBERT reads the word of [PAD], which is 0 here, as the neighbour of a row's last token.
        torch.testing.assert_close(found, expected, atol=2e-5 * max(1.0, float(expected.abs().max())), rtol=1e-4)
    firsts = store.output("cls-02", "train")
    torch.testing.assert_close(firsts.gather(firsts.locate(rows.ids[order])), states[2][:, 0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("job", "message"),
    [
        (Job(attention=(1,)), "attention of 'modernbert' models cannot be compared.*rotary"),
        (Job(relations=(2,)), "attention of 'modernbert' models cannot be compared.*rotary"),
        (Job(hidden=(0,)), "embeddings of 'modernbert' models cannot be replayed; set `embeddings: stored`"),
    ],
)
def test_what_cannot_be_replayed_for_a_family_is_refused_by_name_before_the_teacher_runs(tmp_path, datasets, job, message):
    dataset = datasets["regression"]
    with pytest.raises(UserError, match=message):
        materializer(teacher_for(dataset, "modernbert"), dataset, job, tmp_path)


@pytest.mark.parametrize("task", RAGGED)
def test_two_runs_one_of_them_killed_write_the_same_bytes(tmp_path, datasets, task):
    dataset, job = datasets[task], Job(shard_bytes=1500, relations=(2,))
    model = teacher_for(dataset)
    whole = materialize(model, dataset, tmp_path / "whole", job)
    killed = materializer(model, dataset, job, tmp_path / "scratch")
    units = killed.missing()
    assert len(units) > 3
    killed.run(units[: len(units) // 2])
    again = materializer(model, dataset, job, tmp_path / "scratch")
    assert len(again.missing()) == len(units) - len(units) // 2
    again.run()
    (tmp_path / "again").mkdir()
    again.assemble(tmp_path / "again")
    assert contents(whole) == contents(tmp_path / "again")


def prepared(folder: Path, task: str, count: int) -> Dataset:
    return Dataset.open(tiny.prepare_task(folder / f"{task}-{count}", task, sizes=(count, 8, 8)))


@pytest.mark.parametrize("task", RAGGED)
def test_a_grown_set_asks_the_teacher_for_new_rows_alone(tmp_path, task):
    job = Job(shard_bytes=1500)
    small, large = prepared(tmp_path, task, 20), prepared(tmp_path, task, 30)
    model = teacher_for(small)
    first = materializer(model, small, job, tmp_path / "scratch")
    first.run()
    (tmp_path / "set").mkdir()
    first.assemble(tmp_path / "set")
    remember(tmp_path / "set", tmp_path / "scratch")
    grown = materializer(model, large, job, tmp_path / "scratch", remembered(tmp_path / "scratch"))
    work = grown.run()
    assert 0 < work.tokens_computed < 0.6 * work.tokens
    (tmp_path / "grown").mkdir()
    grown.assemble(tmp_path / "grown")
    store, rows = TargetStore.open(tmp_path / "grown"), large.rows("train")
    reader = store.output("logits", "train")
    found = reader.gather(reader.locate(rows.ids))
    exact = live_logits(model, rows, np.arange(len(rows)))
    assert float((found - exact).square().mean() / exact.var()) < 2e-4
    assert check(tmp_path / "grown").problems == []


def test_masked_tokens_are_no_base_of_all_tokens(tmp_path, datasets):
    dataset = datasets["masked-lm"]
    model = teacher_for(dataset)
    store = TargetStore.open(materialize(model, dataset, tmp_path / "set", Job()))
    made = materializer(model, dataset, Job(positions="all"), tmp_path / "scratch", store)
    assert made.run().tokens_computed == made.tokens


@pytest.mark.parametrize("task", RAGGED)
def test_a_damaged_shard_is_found_and_gets_its_bytes_back(tmp_path, datasets, task):
    dataset, job = datasets[task], Job(shard_bytes=1500, hidden=(1,))
    model = teacher_for(dataset)
    folder = materialize(model, dataset, tmp_path / "targets" / "set", job)
    whole, output = contents(folder), "transform" if task == "masked-lm" else "logits"
    flip(folder / output / "train" / "part-00001.arrow")
    checked = check(folder)
    assert [(problem.output, problem.file) for problem in checked.problems] == [(output, "train/part-00001.arrow")]
    made = Repair(Teacher(model, fingerprints(dataset)), dataset, job, Pool(tmp_path / "pool"), checked)
    assert 0 < made.run().tokens_computed < made.tokens
    (tmp_path / "new").mkdir()
    made.assemble(tmp_path / "new")
    assert contents(tmp_path / "new") == whole


@pytest.mark.parametrize("task", tiny.TASKS)
def test_the_live_teacher_is_within_the_bounds_and_another_beyond(tmp_path, datasets, task):
    dataset = datasets[task]
    model, job = teacher_for(dataset), Job(relations=(2,), hidden=(0,))
    store = TargetStore.open(materialize(model, dataset, tmp_path / "set", job))
    found = compare(store, Teacher(model, fingerprints(dataset)), dataset, 30)
    assert {each.output for each in found} == set(store.manifests)
    assert all(each.worst <= 1 for each in found), found
    assert {each.output: each.rows for each in found}["logits"] == 30
    other = teacher_for(dataset)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.05)
    worst = {each.output: each.worst for each in compare(store, Teacher(other, fingerprints(dataset)), dataset, 30)}
    assert worst.pop("tokens") == 0
    assert min(worst.values()) > 1, worst


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
    made = materializer(model, dataset, Job(codec="fp32"), tmp_path)
    units = [unit for unit in made.missing() if unit.split == "train"]
    with pytest.raises(UserError, match=r"logits of row \d+ are NaN or infinite") as caught:
        made.run(units)
    assert int(str(caught.value).split("of row ")[1].split()[0]) in holders


@pytest.mark.parametrize("task", tiny.TASKS)
def test_what_is_lost_is_reported(tmp_path, datasets, task):
    made = materializer(teacher_for(datasets[task]), datasets[task], Job(hidden=(2,), relations=(1, 3)), tmp_path)
    found = fidelity(made)
    vectors = {"hidden-02", "queries-03", "keys-03", "values-03"} | ({"transform"} if task == "masked-lm" else set())
    assert set(found) == vectors | ({"logits"} if task == "masked-lm" else set())  # layer 1 reads exact embeddings
    assert all(0 < found[output]["variance_lost"] < 2e-3 for output in vectors)
    assert task != "masked-lm" or 0 < found["logits"]["replayed_kl"] < 1e-2


def test_logits_of_a_vocabulary_alone_cannot_be_read(tmp_path, datasets):
    folder = materialize(teacher_for(datasets["masked-lm"]), datasets["masked-lm"], tmp_path / "corpus", Job())
    with pytest.raises(UserError, match=r"logits are replayed from transform, .*write `targets: corpus`, not `corpus/logits`"):
        TargetStore.open(folder / "logits").output("logits", "train")


class TestOtherTokenizers:
    @pytest.fixture
    def store(self, tmp_path, datasets):
        folder = materialize(teacher_for(datasets["regression"]), datasets["regression"], tmp_path / "set", Job(hidden=(1,)))
        return TargetStore.open(folder)

    def test_rows_that_the_teachers_tokenizer_has_seen_give_logits(self, store, datasets):
        other = Dataset(**{**vars(datasets["regression"]), "tokenizer": "o" * 64, "max_length": 7})
        store.require(other, ["train"])
        with pytest.raises(UserError, match=r"hidden-01 is kept for tokens of the tokenizer .{12}, the rows of .* are of o{12}"):
            store.require(other, ["train"], "hidden-01")
        with pytest.raises(UserError, match=r"tokens cannot align; read logits alone \(.*set/logits with a recipe of logits\)"):
            store.require(other, ["train"], "hidden-01")

    def test_a_tokenizer_that_has_seen_other_rows_is_refused(self, store, datasets):
        other = Dataset(**{**vars(datasets["regression"]), "seen_tokenizer": "o" * 64})
        with pytest.raises(UserError, match=r"does not fit .*: tokenizer is o{12}, the store was made with"):
            store.require(other, ["train"])

    def test_logits_of_tokens_ask_for_the_teachers_own(self, tmp_path, datasets):
        dataset = datasets["token-classification"]
        store = TargetStore.open(materialize(teacher_for(dataset), dataset, tmp_path / "tags", Job()))
        store.require(dataset, ["train"])
        with pytest.raises(UserError, match="tokens cannot align; prepare with the teacher's tokenizer"):
            store.require(Dataset(**{**vars(dataset), "tokenizer": "o" * 64}), ["train"])


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
def test_a_manifest_that_says_another_vector_is_refused(tmp_path, datasets, task, output, changes, message):
    dataset = datasets[task]
    folder = materialize(teacher_for(dataset), dataset, tmp_path / "set", Job(hidden=(1,)))
    shutil.copytree(folder / output, tmp_path / "copy")
    rewrite(folder / output, **changes)
    with pytest.raises(UserError, match=message):
        TargetStore.open(folder).output(output, "train")
    assert check(folder).problems
