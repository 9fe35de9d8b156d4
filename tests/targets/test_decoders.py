"""A decoder's target set: states at the tokens that are predicted, of which logits are replayed; killed, damaged, repaired."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from distill.core.errors import UserError
from distill.data.batching import pad_batch
from distill.data.dataset import UNLABELLED, Dataset
from distill.store.target_set import TargetStore
from distill.targets.disk_size import DiskSize
from distill.targets.materialization.fidelity import measure_fidelity
from distill.targets.materialization.forward import Teacher
from distill.targets.materialization.unit_pool import Pool
from distill.targets.verification.integrity import check
from distill.targets.verification.live import compare
from distill.targets.verification.repair import Repair
from tests import tiny
from tests.command_line import contents
from tests.damage import flip
from tests.decoders import FAMILIES, decoder, tokenizer
from tests.stores import assembled, fingerprints, gathered, materialize, materializer, stored
from tests.target_specs import target_spec


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    folder = tmp_path_factory.mktemp("data") / "tiny"
    return Dataset.open(tiny.prepare_task(folder, "causal-lm", tokenizer(), sizes=(24, 8, 8)))


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_and_last_states_are_those_of_the_live_teacher(tmp_path, dataset, family):
    model, rows = decoder(family, layers=3), dataset.rows("train")
    order = np.random.default_rng(0).permutation(len(rows))[:7]
    batch = pad_batch(rows, order)
    labels = np.concatenate([rows.labels[rows.offsets[i] : rows.offsets[i + 1]] for i in order])
    with torch.no_grad():
        live = model(**batch, output_hidden_states=True)
    real = batch.get("attention_mask", torch.ones_like(batch["input_ids"])).bool()
    exact, wanted = live.logits[real], torch.from_numpy(labels != UNLABELLED)
    lost = {}
    for codec in ("fp32", "fp16", "int8"):
        folder = materialize(model, dataset, tmp_path / codec, target_spec(codec=codec, hidden=(0, -1)))
        store = TargetStore.open(folder)
        found = gathered(store, "logits", "train", rows.ids[order])
        lost[codec] = float((found - exact[wanted]).square().mean() / exact.var())
        assert sorted(path.name for path in (folder / "logits").iterdir()) == ["heads.safetensors", "manifest.json"]
    assert lost["fp32"] < 1e-9 < lost["int8"] < 1e-3
    assert lost["fp16"] < 1e-5
    states = gathered(TargetStore.open(tmp_path / "fp32"), "hidden-03", "train", rows.ids[order])
    torch.testing.assert_close(states, live.hidden_states[-1][real], atol=2e-5, rtol=1e-4)
    transform = gathered(TargetStore.open(tmp_path / "fp32"), "transform", "train", rows.ids[order])
    torch.testing.assert_close(transform, states[wanted], atol=2e-5, rtol=1e-4)


def test_a_killed_run_and_a_damaged_shard_end_with_the_same_bytes(tmp_path, dataset):
    model, job = decoder(), target_spec(hidden=(2,), shard_bytes=1500)
    whole = contents(materialize(model, dataset, tmp_path / "whole", job))
    killed = materializer(model, dataset, job, tmp_path / "scratch")
    units = killed.missing()
    killed.run(units[: len(units) // 2])
    again = materializer(model, dataset, job, tmp_path / "scratch")
    assert 0 < len(again.missing()) < len(units)
    again.run()
    assert 0 < measure_fidelity(again)["logits"]["replayed_kl"] < 1e-2
    folder = assembled(again, tmp_path / "targets" / "set")
    assert contents(folder) == whole
    flip(folder / "transform" / "train" / "part-00001.arrow")
    checked = check(folder)
    assert [(problem.output, problem.file) for problem in checked.problems] == [("transform", "train/part-00001.arrow")]
    made = Repair(Teacher(model, fingerprints(dataset)), dataset, job, Pool(tmp_path / "pool"), checked)
    assert 0 < made.run().tokens_computed < made.tokens
    assert contents(assembled(made, tmp_path / "new")) == whole


def test_the_product_with_the_vocabulary_is_never_computed(tmp_path, dataset, monkeypatch):
    model = decoder()
    made = materializer(model, dataset, target_spec(), tmp_path / "scratch")

    def refuse(*_args, **_more):
        raise AssertionError("the whole head ran")

    monkeypatch.setattr(type(model), "forward", refuse)
    assert made.run().tokens_computed > 0


@pytest.mark.parametrize(
    ("family", "job", "complaint"),
    [
        (
            "cohere",
            target_spec(),
            "logits of a CohereForCausalLM .* cannot be replayed in this way; choose a model of docs/decoders",
        ),
        ("gpt2", target_spec(attention=(1,)), "attention of 'gpt2' models cannot be compared.*not known"),
    ],
)
def test_what_cannot_be_replayed_is_refused_before_the_teacher_runs(tmp_path, dataset, family, job, complaint):
    with pytest.raises(UserError, match=complaint):
        materializer(decoder(family), dataset, job, tmp_path)


PARTS = {
    "top-k": (target_spec(logits_as="top-k", top_k=7, shard_bytes=1500), "likeliest", "kl"),
    "draws": (target_spec(logits_as="draws", draws=5, hidden=(2,), shard_bytes=1500), "draws", "total_variation"),
}
parts = pytest.mark.parametrize(("job", "output", "measure"), PARTS.values(), ids=PARTS)


@parts
def test_a_part_of_the_distributions_is_kept_of_training_rows_and_states_of_others(tmp_path, dataset, job, output, measure):
    model, rows = decoder("gemma2"), dataset.rows("train")
    store = stored(model, dataset, tmp_path / "set", job)
    assert list(store.manifests[output].splits) == ["train"]
    assert set(store.manifests["logits"].splits) == set(store.manifests["transform"].splits) == {"validation", "test"}
    found = gathered(store, output, "train", rows.ids)
    labels = torch.from_numpy(rows.labels)
    logits = torch.cat([model(**pad_batch(rows, np.array([row]))).logits[0] for row in range(len(rows))])[labels != UNLABELLED]
    logs = logits.detach().log_softmax(-1)
    if output == "draws":
        assert found.shape == (len(logs), 5)
        assert float(logs.gather(1, found).exp().mean()) == pytest.approx(float(logs.exp().square().sum(1).mean()), rel=0.1)
        return
    likeliest = logs.topk(7).values
    torch.testing.assert_close(found[:, 7:14], likeliest, rtol=2e-3, atol=5e-3)
    torch.testing.assert_close(found[:, 14].exp(), 1 - likeliest.exp().sum(1), rtol=5e-3, atol=1e-3)


@parts
def test_a_killed_run_of_a_part_ends_with_the_same_bytes_and_is_verified_and_repaired(tmp_path, dataset, job, output, measure):
    model = decoder()
    whole = contents(materialize(model, dataset, tmp_path / "whole", job))
    killed = materializer(model, dataset, job, tmp_path / "scratch")
    units = killed.missing()
    killed.run(units[: len(units) // 2])
    again = materializer(model, dataset, job, tmp_path / "scratch")
    again.run()
    assert 0 < measure_fidelity(again)[output][measure] < 3
    folder = assembled(again, tmp_path / "targets" / "set")
    assert contents(folder) == whole
    assert not check(folder).problems
    teacher = Teacher(model, fingerprints(dataset))
    assert all(found.worst <= 1 for found in compare(TargetStore.open(folder), teacher, dataset, 100))
    other = Teacher(decoder(seed=9), fingerprints(dataset))
    wrong = {found.output: found.worst for found in compare(TargetStore.open(folder), other, dataset, 100)}
    assert wrong[output] > 10
    flip(folder / output / "train" / "part-00001.arrow")
    checked = check(folder)
    assert [(problem.output, problem.file) for problem in checked.problems] == [(output, "train/part-00001.arrow")]
    made = Repair(teacher, dataset, job, Pool(tmp_path / "pool"), checked)
    assert 0 < made.run().tokens_computed < made.tokens
    assert contents(assembled(made, tmp_path / "new")) == whole


def test_draws_are_the_same_whatever_rows_are_beside_and_in_whatever_order(tmp_path, dataset):
    model, job = decoder(), PARTS["draws"][0]
    store = stored(model, dataset, tmp_path / "set", job)
    other = stored(model, dataset, tmp_path / "other", replace(job, batch_tokens=64, shard_bytes=10**6))
    ids = dataset.rows("train").ids[::-1]
    assert torch.equal(gathered(store, "draws", "train", ids), gathered(other, "draws", "train", ids))
    seeded = stored(model, dataset, tmp_path / "seeded", replace(job, draw_seed=2))
    assert not torch.equal(gathered(store, "draws", "train", ids), gathered(seeded, "draws", "train", ids))


def test_more_of_the_likeliest_than_there_are_words_is_refused(tmp_path, dataset):
    with pytest.raises(UserError, match="targets: top_k: got 47, expected 1 to 46, the size of the teacher's vocabulary"):
        materializer(decoder(), dataset, target_spec(logits_as="top-k", top_k=47), tmp_path)


@pytest.mark.parametrize("job", [target_spec(codec="int4"), *(job for job, *_ in PARTS.values())])
def test_what_is_written_is_what_was_planned(tmp_path, dataset, job):
    model, job = decoder(), replace(job, shard_bytes=2**20)
    folder = materialize(model, dataset, tmp_path / "set", job)
    planned = DiskSize({split: dataset.rows(split) for split in dataset.splits}, model, "causal-lm").outputs(job)
    for output in planned:
        for split in (split for split in planned[output] if split in dataset.splits):
            files = (folder / output / split).glob("*.arrow")
            assert sum(file.stat().st_size for file in files) == planned[output][split], (output, split)
