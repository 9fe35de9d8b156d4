"""What is tried on two rows before a run."""

import pytest
import torch
import transformers

from distill.core.errors import UserError
from distill.data.dataset import Dataset
from distill.models.probing import require_trainable, runs_in_bf16
from tests import decoders, stores, tiny
from tests.families import Walk, tiny_config
from tests.target_specs import target_spec


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    return Walk(tmp_path_factory.mktemp("probing"))


def model_of(model_type):
    return transformers.AutoModelForSequenceClassification.from_config(tiny_config(model_type, num_labels=3))


def test_a_family_that_overflows_under_bf16_autocast_is_trained_in_fp32_and_told_so(walk, tmp_path, capsys):
    model = model_of("deberta")
    assert (runs_in_bf16(model), runs_in_bf16(tiny.bert())) == (False, True)
    walk.tokenizer.save_pretrained(tmp_path / "checkpoint")
    walk.how["precision"] = "bf16"
    walk.train_teacher(model, tmp_path)
    assert "a 'deberta' overflows under bf16 autocast; trains in fp32" in capsys.readouterr().err
    job = target_spec(precision="bf16")
    with pytest.raises(UserError, match="precision: bf16: a 'deberta' overflows in it; set fp32"):
        stores.materializer(model, walk.dataset, job, tmp_path / "units")


def test_a_probe_changes_neither_the_mode_nor_the_random_state(walk):
    model, before = tiny.family("bert", vocab_size=45), torch.random.get_rng_state()
    require_trainable(model, walk.dataset, "here")
    assert not model.training
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_model_that_does_not_run_is_refused_with_what_was_tried_and_what_it_said(walk, monkeypatch):
    model = tiny.family("bert", vocab_size=45)
    monkeypatch.setattr(model, "forward", lambda input_ids, attention_mask, output_hidden_states: 1 / 0)
    told = "here: a 'bert' cannot be distilled: it does not run on two short rows, one of them padded: division by zero; choose"
    with pytest.raises(UserError, match=f"^{told}"):
        require_trainable(model, walk.dataset, "here")


def test_a_model_that_sees_what_it_is_to_predict_is_no_decoder(tmp_path):
    dataset = Dataset.open(tiny.prepare_task(tmp_path / "tiny", "causal-lm", decoders.tokenizer(), sizes=(8, 4, 4)))
    require_trainable(decoders.decoder(), dataset, "here")
    with pytest.raises(
        UserError, match="here: a 'bert' cannot be distilled: it sees the tokens that it is to predict; choose a decoder"
    ):
        require_trainable(tiny.family("bert", "CausalLM", vocab_size=46), dataset, "here")
    with pytest.raises(UserError, match="its logits are more than its output embedding times its last hidden state"):
        require_trainable(decoders.decoder("cohere"), dataset, "here")
