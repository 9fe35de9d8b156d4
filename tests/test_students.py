import pytest
import torch

from distill.errors import UserError
from distill.students import evenly, from_layers, layer_stack, random_student
from tests import tiny

FAMILIES = ["bert", "roberta", "electra", "distilbert"]


def family(name: str, layers: int):
    if name == "distilbert":
        return tiny.distilbert(layers)
    return tiny.bert(layers=layers, model_type=name)


@pytest.mark.parametrize(
    ("depth", "of", "layers"), [(6, 12, (0, 2, 4, 7, 9, 11)), (3, 6, (0, 2, 5)), (1, 6, (0,)), (6, 6, (0, 1, 2, 3, 4, 5))]
)
def test_layers_are_taken_evenly_first_and_last_among_them(depth, of, layers):
    assert evenly(depth, of) == layers


def test_more_layers_than_the_teacher_has_are_refused():
    with pytest.raises(UserError, match="init.depth: 7 layers are wanted, the model that they come from has 6"):
        evenly(7, 6)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_student_of_all_layers_is_its_teacher(name):
    teacher = family(name, 3)
    student = from_layers(teacher, (0, 1, 2)).eval()
    tokens = torch.randint(4, 40, (2, 7))
    torch.testing.assert_close(student(input_ids=tokens).logits, teacher(input_ids=tokens).logits)


@pytest.mark.parametrize("name", FAMILIES)
def test_each_layer_is_a_copy_of_the_one_that_was_asked_for(name):
    teacher = family(name, 4)
    student = from_layers(teacher, (3, 1))
    assert student.config.num_hidden_layers == 2
    assert teacher.config.num_hidden_layers == 4
    for new, old in enumerate((3, 1)):
        own, theirs = layer_stack(student)[1][new].state_dict(), layer_stack(teacher)[1][old].state_dict()
        assert own.keys() == theirs.keys()
        assert all(torch.equal(own[key], theirs[key]) for key in own)
    with torch.no_grad():
        next(student.parameters()).add_(1)
    assert not torch.equal(next(student.parameters()), next(teacher.parameters()))


def test_a_layer_that_the_teacher_lacks_is_refused():
    with pytest.raises(UserError, match=r"init.layers: there is no layer 4; expected 0 to 3"):
        from_layers(tiny.bert(layers=4), (0, 4))


def test_a_random_student_has_the_shape_that_was_asked_for():
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12}
    student = random_student(shape, ("a", "b"), vocabulary=44, pad_token=0)
    assert (student.config.hidden_size, student.config.vocab_size, student.config.num_labels) == (8, 44, 2)
    assert student.config.id2label == {0: "a", 1: "b"}


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ({"hiden_size": 8}, "init.architecture.hiden_size: not a setting of bert; did you mean 'hidden_size'?"),
        ({"model_type": "brt"}, "init.architecture.model_type: 'brt' is unknown"),
        ({"hidden_size": 10, "num_attention_heads": 3}, "init.architecture: bert cannot be built so"),
    ],
)
def test_an_impossible_architecture_is_refused(architecture, message):
    with pytest.raises(UserError) as caught:
        random_student(architecture, ("a", "b"), vocabulary=44, pad_token=0)
    assert message in str(caught.value)
