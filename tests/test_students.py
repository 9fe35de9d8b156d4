import numpy as np
import pytest
import torch

from distill.errors import UserError
from distill.presets import PRESETS
from distill.stacks import layer_stack
from distill.students import copy_embeddings, evenly, from_layers, random_student
from distill.tasks.catalogue import TASKS, task_of
from tests import tiny

FAMILIES = ["bert", "roberta", "electra", "distilbert", "mobilebert", "modernbert"]
CLASSES = task_of("sequence-classification")
LABELS = {"regression": ("score",), "question-answering": ("start", "end"), "masked-lm": ()}


def student(architecture, task: str = "sequence-classification", labels=("a", "b")):
    return random_student(architecture, task_of(task), labels, vocabulary=44, pad_token=0)


@pytest.mark.parametrize(
    ("depth", "of", "layers"), [(6, 12, (0, 2, 4, 7, 9, 11)), (3, 6, (0, 2, 5)), (1, 6, (0,)), (6, 6, (0, 1, 2, 3, 4, 5))]
)
def test_layers_are_taken_evenly_first_and_last_among_them(depth, of, layers):
    assert evenly(depth, of) == layers


def test_more_layers_than_the_teacher_has_are_refused():
    with pytest.raises(UserError, match="init.depth: 7 layers are wanted, the model that they come from has 6"):
        evenly(7, 6)


@pytest.mark.parametrize("head", ["SequenceClassification", "TokenClassification", "QuestionAnswering", "MaskedLM"])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_student_of_all_layers_is_its_teacher(name, head):
    teacher = tiny.family(name, head)
    own = from_layers(teacher, (0, 1, 2)).eval()
    batch = tiny.padded([7, 4])
    logits = "start_logits" if head == "QuestionAnswering" else "logits"
    torch.testing.assert_close(own(**batch)[logits], teacher(**batch)[logits])


@pytest.mark.parametrize("name", FAMILIES)
def test_each_layer_is_a_copy_of_the_one_that_was_asked_for(name):
    teacher = tiny.family(name)
    chosen = (0, 2) if name == "modernbert" else (2, 1)
    own = from_layers(teacher, chosen)
    assert (own.config.num_hidden_layers, teacher.config.num_hidden_layers) == (2, 3)
    for new, old in enumerate(chosen):
        mine, theirs = layer_stack(own)[1][new].state_dict(), layer_stack(teacher)[1][old].state_dict()
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[key], theirs[key]) for key in mine)
    with torch.no_grad():
        next(own.parameters()).add_(1)
    assert not torch.equal(next(own.parameters()), next(teacher.parameters()))


def test_embeddings_and_output_stay_one_matrix():
    own = from_layers(tiny.family("bert", "MaskedLM"), (1,))
    assert own.get_output_embeddings().weight is own.get_input_embeddings().weight


def test_a_layer_keeps_its_kind_of_attention():
    teacher = tiny.family("modernbert", num_hidden_layers=4)
    assert teacher.config.layer_types == ["full_attention", "sliding_attention", "sliding_attention", "full_attention"]
    assert from_layers(teacher, (0, 2, 3)).config.layer_types == ["full_attention", "sliding_attention", "full_attention"]


def test_a_layer_that_is_unlike_the_others_has_to_stay_in_its_place():
    teacher = tiny.family("modernbert")
    for layers in ((1, 2), (0, 0)):
        with pytest.raises(UserError, match=r"init.layers: .* of a modernbert: its layers are not alike, .*attn_norm.*; keep"):
            from_layers(teacher, layers)


def test_layers_that_share_their_weights_cannot_be_copied():
    albert = student({"model_type": "albert", "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 3})
    with pytest.raises(UserError, match="Albert.*: has no list of 3 layers, .*; start the student from random weights"):
        from_layers(albert, (0,))


def test_a_layer_that_the_teacher_lacks_is_refused():
    with pytest.raises(UserError, match=r"init.layers: there is no layer 4; expected 0 to 3"):
        from_layers(tiny.bert(layers=4), (0, 4))


def test_a_random_student_has_the_shape_that_was_asked_for():
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12}
    own = student(shape)
    assert (own.config.hidden_size, own.config.vocab_size, own.config.num_labels) == (8, 44, 2)
    assert own.config.id2label == {0: "a", 1: "b"}
    assert own.training


def test_a_setting_goes_by_either_of_its_names():
    own = student({**PRESETS["distilbert"], "num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2})
    assert (own.config.n_layers, own.config.dim, own.config.n_heads) == (1, 16, 2)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", FAMILIES)
def test_any_family_can_learn_any_task(name, task):
    settings = tiny.family(name).config.to_diff_dict()
    keys = ("hidden_size", "dim", "num_hidden_layers", "n_layers", "num_attention_heads", "n_heads", "intermediate_size")
    keys += ("hidden_dim", "embedding_size", "intra_bottleneck_size", "bos_token_id", "eos_token_id", "cls_token_id")
    shape = {"model_type": name, **{key: settings[key] for key in (*keys, "sep_token_id") if key in settings}}
    labels = LABELS.get(task, ("a", "b", "c"))
    own = student(shape, task, labels)
    outputs = own.eval()(**tiny.padded([5, 3]))
    if task == "question-answering":
        assert outputs.start_logits.shape == outputs.end_logits.shape == (2, 5)
    else:
        assert outputs.logits.shape[-1] == (len(labels) or 44)


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ({"hiden_size": 8}, "init.architecture.hiden_size: not a setting of bert; did you mean 'hidden_size'?"),
        ({"model_type": "brt"}, "init.architecture.model_type: 'brt' is unknown"),
        ({"hidden_size": 10, "num_attention_heads": 3}, "init.architecture: 3 heads do not divide a width of 10; choose"),
        (
            {**PRESETS["mobilebert"], "num_hidden_layers": 1, "num_attention_heads": 3},
            "init.architecture: 3 heads do not divide a width of 128; choose",
        ),
        (
            {**PRESETS["mobilebert"], "num_hidden_layers": 1, "key_query_shared_bottleneck": False},
            "init.architecture: mobilebert cannot be built so: ",
        ),
        (
            {"model_type": "roberta", "num_hidden_layers": 1, "pad_token_id": 44, "max_position_embeddings": 32},
            "init.architecture: roberta cannot be built so: Padding_idx must be within num_embeddings",
        ),
        ({"hidden_act": "rleu"}, "init.architecture: bert cannot be built so: "),
        ({"hidden_size": "8"}, "init.architecture: bert cannot be built so: "),
        ({"model_type": "gpt2", "n_layer": 1, "n_embd": 8, "n_head": 2}, None),
    ],
)
def test_an_impossible_architecture_is_refused(architecture, message):
    if message is None:
        with pytest.raises(UserError, match="init.architecture: gpt2 cannot be built so: "):
            student(architecture, "masked-lm", ())
        return
    with pytest.raises(UserError) as caught:
        student(architecture)
    assert message in str(caught.value)


@pytest.mark.parametrize(("name", "inside"), [("bert", {}), ("mobilebert", {"intra_bottleneck_size": 8})])
def test_embeddings_are_copied_into_a_student_of_another_depth_and_inner_width(name, inside):
    source, own = tiny.family(name), tiny.family(name, "MaskedLM", num_hidden_layers=1, intermediate_size=8, **inside)
    with torch.no_grad():
        for parameter in own.parameters():
            parameter.zero_()
    copy_embeddings(own, source)
    batch = tiny.padded([6, 3], types=True)
    expected, found = (model(**batch, output_hidden_states=True).hidden_states[0] for model in (source, own))
    torch.testing.assert_close(found, expected)
    assert own.get_output_embeddings().weight is own.get_input_embeddings().weight


@pytest.mark.parametrize("name", ["bert", "roberta", "distilbert"])
def test_a_narrower_student_gets_what_tells_words_apart(name):
    source, width = tiny.family(name), 16
    own = tiny.family(name, **({"dim": width} if name == "distilbert" else {"hidden_size": width}))
    copy_embeddings(own, source)
    wide, narrow = (model.get_input_embeddings().weight.detach().double().numpy() for model in (source, own))
    left, scales, right = np.linalg.svd(wide, full_matrices=False)
    nearest = left[:, :width] * scales[:width] @ right[:width]
    np.testing.assert_allclose(narrow @ narrow.T, nearest @ nearest.T, atol=1e-6)
    places = [model.base_model.embeddings.position_embeddings.weight.detach().double().numpy() for model in (source, own)]
    onto = right[:width].T @ right[:width]
    np.testing.assert_allclose(places[1] @ narrow.T, places[0] @ onto @ wide.T, atol=1e-6)


def test_a_narrower_modernbert_gets_its_words_alone():
    source, own = tiny.family("modernbert"), tiny.family("modernbert", hidden_size=16)
    norm = own.base_model.embeddings.norm.weight.detach().clone()
    copy_embeddings(own, source)
    wide, narrow = (model.get_input_embeddings().weight.detach().double().numpy() for model in (source, own))
    left, scales, _ = np.linalg.svd(wide, full_matrices=False)
    np.testing.assert_allclose(narrow @ narrow.T, (left[:, :16] * scales[:16] ** 2) @ left[:, :16].T, atol=1e-5)
    assert torch.equal(own.base_model.embeddings.norm.weight, norm)


def test_embeddings_with_a_width_of_their_own_are_copied_whatever_the_hidden_width():
    source, own = tiny.family("electra"), tiny.family("electra", hidden_size=16)
    with torch.no_grad():
        for parameter in own.parameters():
            parameter.zero_()
    copy_embeddings(own, source)
    copied, there = (model.base_model.embeddings.state_dict() for model in (own, source))
    assert all(torch.equal(copied[name], there[name]) for name in there)


def test_embeddings_whose_words_fit_and_whose_rest_does_not_are_refused():
    with pytest.raises(UserError, match=r"LayerNorm.bias is \(16,\) in the student, \(24,\) in the source"):
        copy_embeddings(tiny.family("mobilebert", hidden_size=16), tiny.family("mobilebert"))


def test_embeddings_of_another_shape_or_kind_are_refused():
    with pytest.raises(UserError, match=r"init.copy_embeddings: LayerNorm.bias is \(32,\) in the student, \(24,\) in the source"):
        copy_embeddings(tiny.bert(width=32), tiny.family("bert"))
    with pytest.raises(UserError, match=r"token_type_embeddings.weight is \(3, 16\) in the student, \(2, 16\) in the source"):
        copy_embeddings(tiny.family("bert", hidden_size=16, type_vocab_size=3), tiny.family("bert"))
    with pytest.raises(UserError, match=r"token_type_embeddings.weight is None in the student, \(2, 24\) in the source"):
        copy_embeddings(tiny.family("distilbert"), tiny.family("bert"))
    with pytest.raises(UserError, match="a gpt2 keeps none that could be copied; remove it"):
        copy_embeddings(student({"model_type": "gpt2", "n_layer": 1, "n_embd": 8, "n_head": 2}), tiny.family("bert"))
