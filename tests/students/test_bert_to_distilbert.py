import pytest
import torch
from transformers import AutoModelForMaskedLM, DistilBertForMaskedLM

from distill.core.errors import UserError
from distill.students.bert_to_distilbert import to_distilbert
from distill.students.initialize import copy_layers
from distill.tasks.registry import task_of
from tests import tiny

POOLED = ("pre_classifier.weight", "pre_classifier.bias", "classifier.weight", "classifier.bias")
NEW = {
    "sequence-classification": POOLED,
    "multi-label": POOLED,
    "regression": POOLED,
    "ranking": POOLED,
    "token-classification": (),
    "question-answering": (),
    "masked-lm": (),
}
"""Parameters that have no counterpart in BERT."""
MASKED = task_of("masked-lm")


def teacher(task: str = "masked-lm"):
    return tiny.family("bert", task_of(task).spec.head)


@pytest.mark.parametrize("task", NEW)
def test_all_layers_of_a_bert_give_its_hidden_states_in_rows_of_one_segment(task):
    bert = teacher(task)
    student, new = to_distilbert(bert, task_of(task))
    assert new == NEW[task]
    batch = tiny.padded([7, 4, 1])
    ours, theirs = (model.eval()(**batch, output_hidden_states=True) for model in (student, bert))
    real = batch["attention_mask"].bool()
    for found, expected in zip(ours.hidden_states, theirs.hidden_states, strict=True):
        torch.testing.assert_close(found[real], expected[real], rtol=1e-5, atol=1e-5)
    if not new:
        logits = "start_logits" if task == "question-answering" else "logits"
        torch.testing.assert_close(ours[logits][real], theirs[logits][real], rtol=1e-4, atol=1e-4)


def test_fewer_layers_are_those_that_were_copied():
    bert = teacher()
    student, _ = to_distilbert(copy_layers(bert, (0, 2)), MASKED)
    assert student.config.n_layers == 2
    copied, source = student.distilbert.transformer.layer[1], bert.bert.encoder.layer[2]
    assert torch.equal(copied.attention.k_lin.weight, source.attention.self.key.weight)
    assert torch.equal(copied.ffn.lin2.bias, source.output.dense.bias)


def test_it_is_a_plain_distilbert_that_transformers_loads_and_shares_nothing_with_the_bert(tmp_path):
    bert = teacher()
    before = {name: tensor.clone() for name, tensor in bert.state_dict().items()}
    student, _ = to_distilbert(bert, MASKED)
    assert student.vocab_projector.weight is student.distilbert.embeddings.word_embeddings.weight
    student.save_pretrained(tmp_path)
    loaded, report = AutoModelForMaskedLM.from_pretrained(tmp_path, output_loading_info=True)
    assert type(loaded) is DistilBertForMaskedLM
    assert not any(report.values())
    batch = tiny.padded([5, 2])
    torch.testing.assert_close(loaded.eval()(**batch).logits, student.eval()(**batch).logits)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(1)
    assert all(torch.equal(tensor, before[name]) for name, tensor in bert.state_dict().items())


@pytest.mark.parametrize("family", ["roberta", "distilbert", "modernbert"])
def test_another_family_is_refused_by_name(family):
    with pytest.raises(UserError, match=f"init.as: distilbert takes the layers of a bert, got a {family}; remove `as`"):
        to_distilbert(tiny.family(family), task_of("sequence-classification"))


def test_a_bert_that_normalizes_otherwise_is_refused():
    bert = tiny.family("bert", task_of("masked-lm").spec.head, layer_norm_eps=1e-5)
    with pytest.raises(UserError, match="layer_norm_eps is 1e-05, a distilbert's always 1e-12: .*; remove `as`"):
        to_distilbert(bert, MASKED)
