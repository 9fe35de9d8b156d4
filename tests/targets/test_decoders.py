"""A decoder's target set: states at the tokens that are predicted, of which logits are replayed; killed, damaged, repaired."""

import numpy as np
import pytest
import torch

from distill.core.errors import UserError
from distill.data.batching import pad_batch
from distill.data.dataset import UNLABELLED, Dataset
from distill.store.target_set import TargetStore
from distill.targets.materialization.fidelity import measure_fidelity
from distill.targets.materialization.forward import Teacher
from distill.targets.materialization.outputs import MaterializeSpec
from distill.targets.materialization.unit_pool import Pool
from distill.targets.verification.integrity import check
from distill.targets.verification.repair import Repair
from tests import tiny
from tests.command_line import contents
from tests.damage import flip
from tests.decoders import FAMILIES, decoder, tokenizer
from tests.stores import assembled, fingerprints, gathered, materialize, materializer


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
        folder = materialize(model, dataset, tmp_path / codec, MaterializeSpec(codec=codec, hidden=(0, -1)))
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
    model, job = decoder(), MaterializeSpec(hidden=(2,), shard_bytes=1500)
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
    made = materializer(model, dataset, MaterializeSpec(), tmp_path / "scratch")

    def refuse(*_args, **_more):
        raise AssertionError("the whole head ran")

    monkeypatch.setattr(type(model), "forward", refuse)
    made.run()


@pytest.mark.parametrize(
    ("family", "job", "complaint"),
    [
        (
            "cohere",
            MaterializeSpec(),
            "logits of a CohereForCausalLM .* cannot be replayed in this way; choose a model of docs/decoders",
        ),
        ("gpt2", MaterializeSpec(attention=(1,)), "attention of 'gpt2' models cannot be compared.*not known"),
    ],
)
def test_what_cannot_be_replayed_is_refused_before_the_teacher_runs(tmp_path, dataset, family, job, complaint):
    with pytest.raises(UserError, match=complaint):
        materializer(decoder(family), dataset, job, tmp_path)
