from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor
from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification, PreTrainedModel

from distill.core.errors import UserError
from distill.data.dataset import Dataset
from distill.models.families import layer_stack
from distill.params.inits import PRESETS, InitSettings
from distill.students.initialize import copy_embeddings, copy_layers, evenly_spaced, init_student, random_student
from distill.tasks.registry import task_of
from tests import decoders, tiny
from tests.families import tiny_config

SHAPE = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12}
FAMILIES = (*tiny.FAMILIES, "modernbert")
HEADS = {task: task_of(task).spec.head for task in tiny.TASKS}
LABELS = {"regression": ("score",), "question-answering": ("start", "end"), "masked-lm": (), "ranking": ("relevance",)}


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    """One of each task, with one tokenizer, which has a mask."""
    root = tmp_path_factory.mktemp("prepared")
    return {task: Dataset.open(tiny.prepare_task(root / task, task, sizes=(12, 6, 6))) for task in tiny.TASKS}


@pytest.fixture(scope="module", params=FAMILIES)
def pretrained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A masked language model of each family."""
    return saved(tmp_path_factory.mktemp(request.param) / "source", request.param, "masked-lm")


def saved(folder: Path, family: str, task: str) -> Path:
    """A tiny model over the 45 tokens of these data sets."""
    return tiny.save(tiny.family(family, HEADS[task], vocab_size=45), folder, tiny.masking_tokenizer())


def init(source: Path, dataset: Dataset, **how: object) -> PreTrainedModel:
    return init_student(InitSettings.model_construct(source=str(source), **how), dataset)


def random(architecture: dict[str, object], task: str = "sequence-classification", labels=("a", "b")) -> PreTrainedModel:
    return random_student(architecture, task_of(task), labels, vocabulary=44, pad_token=0)


def zeroed(model: PreTrainedModel) -> PreTrainedModel:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    return model


def trunk(model: PreTrainedModel) -> dict[str, Tensor]:
    """Embeddings and layers: not the pooler, which not every head has."""
    return {name: tensor for name, tensor in model.base_model.state_dict().items() if not name.startswith("pooler")}


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def words(*models: PreTrainedModel) -> list[np.ndarray]:
    """Their word tables, float64."""
    return [model.get_input_embeddings().weight.detach().double().numpy() for model in models]


def test_layers_are_taken_evenly_first_and_last_among_them():
    expected = {(6, 12): (0, 2, 4, 7, 9, 11), (3, 6): (0, 2, 5), (1, 6): (0,), (6, 6): (0, 1, 2, 3, 4, 5)}
    assert {depths: evenly_spaced(*depths) for depths in expected} == expected
    with pytest.raises(UserError, match="init.depth: 7 layers are wanted, the model that they come from has 6"):
        evenly_spaced(7, 6)


def test_depth_layers_or_nothing_choose_what_is_copied(teacher, dataset):
    ways = [{"depth": 2}, {"layers": (1,)}, {}]
    assert [init(teacher, dataset, **way).config.num_hidden_layers for way in ways] == [2, 1, 4]


@pytest.mark.parametrize("name", FAMILIES)
def test_layers_are_copies_of_those_that_were_asked_for_and_all_of_them_are_the_teacher(name):
    batch = tiny.padded([7, 4])
    for head in sorted({*HEADS.values()}):
        teacher = tiny.family(name, head)
        logits = "start_logits" if head == "QuestionAnswering" else "logits"
        whole = copy_layers(teacher, (0, 1, 2)).eval()
        torch.testing.assert_close(whole(**batch)[logits], teacher(**batch)[logits])
    chosen = (0, 2) if name == "modernbert" else (2, 1)
    student = copy_layers(teacher, chosen)
    assert (student.config.num_hidden_layers, teacher.config.num_hidden_layers) == (2, 3)
    for new, old in enumerate(chosen):
        assert same(layer_stack(student)[1][new].state_dict(), layer_stack(teacher)[1][old].state_dict())
    with torch.no_grad():
        next(student.parameters()).add_(1)
    assert not torch.equal(next(student.parameters()), next(teacher.parameters()))


def test_embeddings_and_output_stay_one_matrix():
    student = copy_layers(tiny.family("bert", "MaskedLM"), (1,))
    assert student.get_output_embeddings().weight is student.get_input_embeddings().weight


def test_a_layer_keeps_its_kind_of_attention_and_one_that_is_unlike_the_others_its_place():
    teacher = tiny.family("modernbert", num_hidden_layers=4)
    assert teacher.config.layer_types == ["full_attention", "sliding_attention", "sliding_attention", "full_attention"]
    assert copy_layers(teacher, (0, 2, 3)).config.layer_types == ["full_attention", "sliding_attention", "full_attention"]
    for layers in ((1, 2), (0, 0)):
        with pytest.raises(UserError, match=r"init.layers: .* of a modernbert: its layers are not alike, .*attn_norm.*; keep"):
            copy_layers(teacher, layers)


def test_layers_that_are_shared_are_counted_and_those_that_lack_cannot_be_copied():
    albert = random({"model_type": "albert", "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 3})
    assert copy_layers(albert, (0,)).config.num_hidden_layers == 1
    with pytest.raises(UserError, match=r"init.layers: there is no layer 4; expected 0 to 3"):
        copy_layers(tiny.bert(layers=4), (0, 4))


@pytest.mark.parametrize("task", tiny.TASKS)
def test_layers_of_any_family_are_copied_for_any_task(tmp_path, datasets, pretrained, task):
    """From a masked language model, whose head is kept for its own task and replaced for the others."""
    student = init(pretrained, datasets[task], layers=(0, 2))
    assert student.config.num_hidden_layers == 2
    assert type(student).__name__.endswith(f"For{HEADS[task]}")
    assert torch.equal(student.get_input_embeddings().weight, AutoModel.from_pretrained(pretrained).get_input_embeddings().weight)
    student.save_pretrained(tmp_path / "again")


@pytest.mark.parametrize("before", tiny.TASKS)
def test_a_checkpoint_of_another_task_keeps_its_trunk(tmp_path, datasets, before):
    source = saved(tmp_path / "source", "bert", before)
    for task in datasets.keys() - {before}:
        student = init(source, datasets[task])
        assert same(trunk(student), trunk(AutoModel.from_pretrained(source))), task
        assert (student.config.num_labels if task != "masked-lm" else 0) == len(datasets[task].labels), task


def test_general_distilbert_then_task(tmp_path, datasets, capsys):
    """A masked language model as DistilBERT, whose head is exact; then a classifier from it, whose head is new."""
    bert = saved(tmp_path / "bert", "bert", "masked-lm")
    general = init(bert, datasets["masked-lm"], depth=2, family="distilbert")
    assert "as distilbert: all weights are copied" in capsys.readouterr().err
    dense = AutoModelForMaskedLM.from_pretrained(bert).cls.predictions.transform.dense
    assert torch.equal(general.vocab_transform.weight, dense.weight)
    folder = tiny.save(general, tmp_path / "general", tiny.masking_tokenizer())
    classifier = init(folder, datasets["sequence-classification"])
    assert classifier.config.model_type == "distilbert"
    assert same(trunk(classifier), trunk(general))
    init(bert, datasets["sequence-classification"], family="distilbert")
    assert "as distilbert: new: pre_classifier.weight, pre_classifier.bias, classifier.weight" in capsys.readouterr().err


def test_a_checkpoint_of_mobilebert_becomes_a_student(tmp_path, datasets):
    """As google/mobilebert-uncased does, by way of a teacher of no epochs: pretraining heads are left behind."""
    pretrained = transformers.MobileBertForPreTraining(tiny.family("mobilebert", "MaskedLM", vocab_size=45).config)
    source = tiny.save(pretrained, tmp_path / "mobilebert", tiny.masking_tokenizer())
    for task, dataset in datasets.items():
        student = init(source, dataset, depth=2)
        assert type(student).__name__ == f"MobileBertFor{HEADS[task]}"
        kept, whole = trunk(student), trunk(pretrained)
        assert all(torch.equal(kept[name], whole[name]) for name in kept if ".layer." not in name)


def test_what_does_not_fit_the_data_is_refused(tmp_path, dataset):
    other = tiny.save(tiny.bert(), tmp_path / "other", tiny.tokenizer(["x", *tiny.WORDS[1:]]))
    with pytest.raises(UserError, match="both must use the same: prepare the data set with the model's tokenizer"):
        init(other, dataset, depth=1)
    with pytest.raises(UserError, match="no model; run the stage that writes it"):
        init(tmp_path / "none", dataset, depth=1)
    with pytest.raises(UserError, match="init.architecture: takes 6 tokens, the data set's max_length is 10"):
        init(Path("nowhere"), dataset, architecture={**SHAPE, "max_position_embeddings": 6})


def test_a_random_student_needs_no_model_and_is_the_same_for_the_same_seed(dataset):
    first, second, other = (init(Path("nowhere"), dataset, architecture=SHAPE, seed=seed) for seed in (1, 1, 2))
    weights = [model.get_input_embeddings().weight for model in (first, second, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert first.config.id2label == dict(enumerate(dataset.labels))


def test_a_random_student_has_the_shape_that_was_asked_for_by_either_name_of_a_setting():
    student = random(SHAPE)
    assert (student.config.hidden_size, student.config.vocab_size, student.config.num_labels) == (8, 44, 2)
    assert student.config.id2label == {0: "a", 1: "b"}
    assert student.training
    student = random({**PRESETS["distilbert"], "num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2})
    assert (student.config.n_layers, student.config.dim, student.config.n_heads) == (1, 16, 2)


@pytest.mark.parametrize("name", FAMILIES)
def test_any_family_can_learn_any_task(name):
    settings = tiny.family(name).config.to_diff_dict()
    keys = ("hidden_size", "dim", "num_hidden_layers", "n_layers", "num_attention_heads", "n_heads", "intermediate_size")
    keys += ("hidden_dim", "embedding_size", "intra_bottleneck_size", "bos_token_id", "eos_token_id", "cls_token_id")
    shape = {"model_type": name, **{key: settings[key] for key in (*keys, "sep_token_id") if key in settings}}
    for task in tiny.TASKS:
        labels = LABELS.get(task, ("a", "b", "c"))
        outputs = random(shape, task, labels).eval()(**tiny.padded([5, 3]))
        if task == "question-answering":
            assert outputs.start_logits.shape == outputs.end_logits.shape == (2, 5)
        else:
            assert outputs.logits.shape[-1] == (len(labels) or 44), task


SMALL_MOBILEBERT = {**PRESETS["mobilebert"], "num_hidden_layers": 1}
PADDED_OUTSIDE = {"model_type": "roberta", "num_hidden_layers": 1, "pad_token_id": 44, "max_position_embeddings": 32}


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ({"hiden_size": 8}, ".hiden_size: not a setting of bert; did you mean 'hidden_size'?"),
        ({"model_type": "brt"}, ".model_type: 'brt' is unknown"),
        ({"hidden_size": 10, "num_attention_heads": 3}, ": 3 heads do not divide a width of 10; choose"),
        ({**SMALL_MOBILEBERT, "num_attention_heads": 3}, ": 3 heads do not divide a width of 128; choose"),
        ({**SMALL_MOBILEBERT, "key_query_shared_bottleneck": False}, ": mobilebert cannot be built so: "),
        (PADDED_OUTSIDE, ": roberta cannot be built so: Padding_idx must be within num_embeddings"),
        ({"hidden_act": "rleu"}, ": bert cannot be built so: "),
        ({"hidden_size": "8"}, ": bert cannot be built so: "),
        ({"model_type": "gpt2", "n_layer": 1, "n_embd": 8, "n_head": 2}, ": gpt2 cannot be built so: "),
    ],
)
def test_an_impossible_architecture_is_refused(architecture, message):
    with pytest.raises(UserError) as caught:
        random(architecture, *(("masked-lm", ()) if "n_embd" in architecture else ()))
    assert f"init.architecture{message}" in str(caught.value)


def test_a_random_student_takes_the_embeddings_of_its_source(tmp_path, datasets):
    source = saved(tmp_path / "source", "bert", "sequence-classification")
    shape = {**SHAPE, "hidden_size": 24, "max_position_embeddings": 32}
    student = init(source, datasets["masked-lm"], architecture=shape, copy_embeddings=True)
    assert same(student.base_model.embeddings.state_dict(), AutoModel.from_pretrained(source).embeddings.state_dict())


@pytest.mark.parametrize(("name", "inside"), [("bert", {}), ("mobilebert", {"intra_bottleneck_size": 8})])
def test_embeddings_are_copied_into_a_student_of_another_depth_and_inner_width(name, inside):
    source, student = tiny.family(name), tiny.family(name, "MaskedLM", num_hidden_layers=1, intermediate_size=8, **inside)
    copy_embeddings(zeroed(student), source)
    batch = tiny.padded([6, 3], types=True)
    expected, found = (model(**batch, output_hidden_states=True).hidden_states[0] for model in (source, student))
    torch.testing.assert_close(found, expected)
    assert student.get_output_embeddings().weight is student.get_input_embeddings().weight


def test_embeddings_with_a_width_of_their_own_are_copied_whatever_the_hidden_width():
    source, student = tiny.family("electra"), zeroed(tiny.family("electra", hidden_size=16))
    copy_embeddings(student, source)
    copied, expected = (model.base_model.embeddings.state_dict() for model in (student, source))
    assert all(torch.equal(copied[name], expected[name]) for name in expected)


@pytest.mark.parametrize("name", ["bert", "roberta", "distilbert", "modernbert"])
def test_a_narrower_student_gets_what_tells_words_apart(name):
    source, width = tiny.family(name), 16
    student = tiny.family(name, **({"dim": width} if name == "distilbert" else {"hidden_size": width}))
    norms = {key: tensor.clone() for key, tensor in student.base_model.embeddings.state_dict().items() if "norm" in key.lower()}
    copy_embeddings(student, source)
    wide, narrow = words(source, student)
    left, scales, right = np.linalg.svd(wide, full_matrices=False)
    nearest = left[:, :width] * scales[:width] @ right[:width]
    np.testing.assert_allclose(narrow @ narrow.T, nearest @ nearest.T, atol=1e-5 if name == "modernbert" else 1e-6)
    embeddings = student.base_model.embeddings.state_dict()
    assert norms
    assert all(torch.equal(embeddings[key], tensor) for key, tensor in norms.items())
    if name != "modernbert":
        places = [model.base_model.embeddings.position_embeddings.weight.detach().double().numpy() for model in (source, student)]
        np.testing.assert_allclose(places[1] @ narrow.T, places[0] @ right[:width].T @ right[:width] @ wide.T, atol=1e-6)


def test_embeddings_of_another_shape_or_kind_are_refused():
    gpt2 = {"model_type": "gpt2", "n_layer": 1, "n_embd": 8, "n_head": 2}
    for student, source, message in (
        (tiny.bert(width=32), "bert", r"init.copy_embeddings: LayerNorm.bias is \(32,\) in the student, \(24,\) in the source"),
        (tiny.family("mobilebert", hidden_size=16), "mobilebert", r"LayerNorm.bias is \(16,\) in the student, \(24,\) in the"),
        (
            tiny.family("bert", hidden_size=16, type_vocab_size=3),
            "bert",
            r"token_type_embeddings.weight is \(3, 16\) in the student, \(2, 16\)",
        ),
        (tiny.family("distilbert"), "bert", r"token_type_embeddings.weight is None in the student, \(2, 24\) in the source"),
        (random(gpt2), "bert", "a gpt2 keeps none that could be copied; remove it"),
    ):
        with pytest.raises(UserError, match=message):
            copy_embeddings(student, tiny.family(source))


def test_lists_with_an_entry_a_layer_are_cut_with_the_layers():
    teacher = AutoModelForSequenceClassification.from_config(tiny_config("longformer", attention_window=[4, 8, 12, 16]))
    assert copy_layers(teacher, (1, 3)).config.attention_window == [8, 16]


@pytest.mark.parametrize("family", ["albert", "xlm"])
def test_layers_that_share_weights_or_lie_in_parts_are_copied(family):
    teacher = AutoModelForSequenceClassification.from_config(tiny_config(family))
    student = copy_layers(teacher, (0, 3))
    assert student.config.num_hidden_layers == 2
    if family == "xlm":
        found, expected = (model.transformer.ffns for model in (student, teacher))
        assert same(found[1].state_dict(), expected[3].state_dict())
    else:
        assert same(student.state_dict(), teacher.state_dict())


@pytest.mark.parametrize(
    ("family", "config", "stack"),
    [
        ("smollm3", {"no_rope_layers": [1, 1, 1, 0]}, "model.layers"),
        (
            "gpt_neo",
            {"attention_types": [[["global", "local"], 2]], "window_size": 4, "num_heads": 2, "num_layers": 4},
            "transformer.h",
        ),
    ],
)
def test_layers_of_decoders_keep_the_attention_that_they_had(family, config, stack, tmp_path):
    teacher = decoders.decoder(family, **config)
    ids = torch.randint(6, 20, (1, 16), generator=torch.Generator().manual_seed(1))
    student = copy_layers(teacher, (1, 3)).eval()
    layers = teacher.get_submodule(stack)
    parent, name = teacher.get_submodule(stack.rpartition(".")[0]), stack.rpartition(".")[2]
    setattr(parent, name, torch.nn.ModuleList([layers[1], layers[3]]))
    teacher.config.num_hidden_layers = parent.config.num_hidden_layers = 2
    with torch.no_grad():
        torch.testing.assert_close(student(input_ids=ids).logits, teacher(input_ids=ids, use_cache=False).logits)
    student.save_pretrained(tmp_path)


def test_layers_whose_place_scales_their_attention_stay_where_they_are():
    teacher = decoders.decoder("gpt2", scale_attn_by_inverse_layer_idx=True)
    with pytest.raises(UserError, match=r"divides its attention by i \+ 1 .*; keep its first layers: layers: \[0, 1\]"):
        copy_layers(teacher, (1, 3))
    assert copy_layers(teacher, (0, 1)).config.num_hidden_layers == 2
