import itertools
from pathlib import Path

import pytest
import torch
import transformers
from transformers import AutoModel, AutoModelForMaskedLM, PreTrainedModel

from distill.birth import newborn
from distill.errors import UserError
from distill.prepared import Dataset
from distill.tasks.catalogue import TASKS, task_of
from tests import tiny

SHAPE = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
FAMILIES = ("bert", "roberta", "electra", "distilbert", "mobilebert", "modernbert")
HEADS = {task: task_of(task).auto.removeprefix("AutoModelFor") for task in TASKS}


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    """One of each task, with one tokenizer, which has a mask."""
    root = tmp_path_factory.mktemp("prepared")
    return {task: Dataset.open(tiny.prepare_task(root / task, task, sizes=(12, 6, 6))) for task in TASKS}


def saved(folder: Path, family: str, task: str) -> Path:
    """A tiny model over the 45 tokens of these data sets."""
    model = tiny.family(family, HEADS[task], vocab_size=45)
    return tiny.save(model, folder, tiny.masking_tokenizer())


def trunk(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Embeddings and layers: not the pooler, which not every head has."""
    return {name: tensor for name, tensor in model.base_model.state_dict().items() if not name.startswith("pooler")}


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_depth_layers_or_nothing_choose_what_is_copied(teacher, dataset):
    ways = [{"depth": 2}, {"layers": (1,)}, {}]
    assert [newborn(teacher, dataset, seed=1, **way).config.num_hidden_layers for way in ways] == [2, 1, 4]


def test_a_random_student_needs_no_model_and_is_the_same_for_the_same_seed(dataset):
    first, second, other = (newborn(Path("nowhere"), dataset, architecture=SHAPE, seed=seed) for seed in (1, 1, 2))
    weights = [model.get_input_embeddings().weight for model in (first, second, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert first.config.id2label == dict(enumerate(dataset.labels))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", FAMILIES)
def test_layers_of_any_family_are_copied_for_any_task(tmp_path, datasets, family, task):
    """From a masked language model, whose head is kept for its own task and replaced for the others."""
    source = saved(tmp_path / "source", family, "masked-lm")
    student = newborn(source, datasets[task], layers=(0, 2), seed=1)
    assert student.config.num_hidden_layers == 2
    assert type(student).__name__.endswith(f"For{HEADS[task]}")
    assert torch.equal(student.get_input_embeddings().weight, AutoModel.from_pretrained(source).get_input_embeddings().weight)
    student.save_pretrained(tmp_path / "again")


@pytest.mark.parametrize(("before", "task"), list(itertools.permutations(TASKS, 2)))
def test_a_checkpoint_of_another_task_keeps_its_trunk(tmp_path, datasets, before, task):
    source = saved(tmp_path / "source", "bert", before)
    student = newborn(source, datasets[task], seed=1)
    assert same(trunk(student), trunk(AutoModel.from_pretrained(source)))
    assert (student.config.num_labels if task != "masked-lm" else 0) == len(datasets[task].labels)


def test_general_distilbert_then_task(tmp_path, datasets):
    """A masked language model as DistilBERT, whose head is exact; then a classifier from it, whose head is new."""
    bert = saved(tmp_path / "bert", "bert", "masked-lm")
    general = newborn(bert, datasets["masked-lm"], depth=2, family="distilbert", seed=1)
    folder = tiny.save(general, tmp_path / "general", tiny.masking_tokenizer())
    assert torch.equal(
        general.vocab_transform.weight, AutoModelForMaskedLM.from_pretrained(bert).cls.predictions.transform.dense.weight
    )
    classifier = newborn(folder, datasets["sequence-classification"], seed=1)
    assert classifier.config.model_type == "distilbert"
    assert same(trunk(classifier), trunk(general))


def test_what_is_new_is_said(tmp_path, datasets, capsys):
    bert = saved(tmp_path / "bert", "bert", "sequence-classification")
    newborn(bert, datasets["sequence-classification"], family="distilbert", seed=1)
    assert "as distilbert: new: pre_classifier.weight, pre_classifier.bias, classifier.weight" in capsys.readouterr().err
    newborn(bert, datasets["token-classification"], family="distilbert", seed=1)
    assert "as distilbert: nothing is new" in capsys.readouterr().err


def test_a_random_student_takes_the_embeddings_of_its_source(tmp_path, datasets):
    source = saved(tmp_path / "source", "bert", "sequence-classification")
    shape = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 32}
    student = newborn(source, datasets["masked-lm"], architecture=shape, embeddings=True, seed=1)
    theirs = AutoModel.from_pretrained(source).embeddings.state_dict()
    assert same(student.base_model.embeddings.state_dict(), theirs)


def test_a_checkpoint_of_mobilebert_becomes_a_student(tmp_path, datasets):
    """As google/mobilebert-uncased does, by way of a teacher of no epochs: pretraining heads are left behind."""
    config = tiny.family("mobilebert", "MaskedLM", vocab_size=45).config
    pretrained = transformers.MobileBertForPreTraining(config)
    source = tiny.save(pretrained, tmp_path / "mobilebert", tiny.masking_tokenizer())
    for task, dataset in datasets.items():
        student = newborn(source, dataset, depth=2, seed=1)
        assert type(student).__name__ == f"MobileBertFor{HEADS[task]}"
        kept = trunk(student)
        whole = trunk(pretrained)
        assert all(torch.equal(kept[name], whole[name]) for name in kept if ".layer." not in name)


def test_a_student_that_copies_layers_must_read_the_same_tokens(tmp_path, dataset):
    other = tiny.save(tiny.bert(), tmp_path / "other", tiny.tokenizer(["x", *tiny.WORDS[1:]]))
    with pytest.raises(UserError, match="a student that copies its layers must read its tokens"):
        newborn(other, dataset, depth=1, seed=1)


def test_a_missing_model_names_what_to_run(tmp_path, dataset):
    with pytest.raises(UserError, match="no model; run the stage that writes it"):
        newborn(tmp_path / "none", dataset, depth=1, seed=1)


def test_a_random_student_too_short_for_the_rows_is_refused(dataset):
    with pytest.raises(UserError, match="init.architecture: takes 6 tokens, the data set's max_length is 10"):
        newborn(Path("nowhere"), dataset, architecture={**SHAPE, "max_position_embeddings": 6}, seed=1)
