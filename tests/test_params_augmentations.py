"""`augmentations` and `ensembles` of params.yaml: what they name has to exist, fit, and begin somewhere."""

import copy
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from distill.errors import UserError
from distill.params.base import SECTIONS
from distill.params.whole import Params, load_params

INIT = {"from": "data/teachers/big", "depth": 2}
SOFT = {"recipe": "hinton", "dataset": "movies", "targets": "mean/logits", "init": INIT}
DEEP = {**SOFT, "recipe": "distilbert"}


def good() -> dict[str, Any]:
    """A file with two augmentations, one of the other, and two ensembles, one of the other."""
    tokenizer = {"hub": "tok"}
    content: dict[str, Any] = {
        "sources": {"reviews": {"path": "reviews.csv"}},
        "datasets": {
            "movies": {"source": "reviews"},
            "corpus": {"source": "reviews", "task": "masked-lm"},
            "tags": {"source": "reviews", "task": "token-classification"},
            "small": {"source": "reviews", "tokenizer": {"hub": "small"}, "teacher_tokenizer": tokenizer},
            "plain": {"source": "reviews", "tokenizer": {"hub": "small"}},
        },
        "augmentations": {
            "more": {"of": "movies", "masked_lm": "bert", "copies": 5},
            "most": {"of": "more", "masked_lm": "bert"},
        },
        "teachers": {
            "bert": {"dataset": "corpus", "checkpoint": {"hub": "bert"}, "epochs": 0},
            "big": {"dataset": "more", "checkpoint": {"hub": "bert"}},
            "tagger": {"dataset": "tags", "checkpoint": {"hub": "bert"}},
        },
        "targets": {
            **{name: {"teacher": "big", "dataset": "movies", "hidden": [-1]} for name in ("one", "two", "three")},
            "augmented": {"teacher": "big", "dataset": "more"},
            "tags": {"teacher": "tagger", "dataset": "tags"},
        },
        "ensembles": {
            "pair": {"dataset": "movies", "first": "one", "second": "two"},
            "mean": {"dataset": "movies", "first": "pair", "second": "three", "weight": 0.667},
        },
        "exports": {},
        "students": {
            "soft": SOFT,
            "more": {**SOFT, "dataset": "more", "targets": "augmented"},
            "other": {**SOFT, "dataset": "small", "init": {"from": "data/prepared/more", "architecture": {}}},
        },
    }
    return {"defaults": {name: {"tokenizer": tokenizer} if name == "datasets" else {} for name in SECTIONS}, **content}


def load(folder: Path, content: dict[str, Any]) -> Params:
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(copy.deepcopy(content), file)
    return load_params(folder / "params.yaml")


def refusal(folder: Path, path: str, value: Any) -> str:
    """The one line about the good file with one setting changed."""
    content = copy.deepcopy(good())
    *parents, key = path.split(".")
    inner = content
    for parent in parents:
        inner = inner[parent]
    inner[key] = value
    with pytest.raises(UserError) as caught:
        load(folder, content)
    (line,) = str(caught.value).splitlines()
    return line.removeprefix(f"{folder / 'params.yaml'}: ")


def test_augmentations_and_ensembles_serve_wherever_data_sets_and_target_sets_do(tmp_path: Path):
    params = load(tmp_path, good())
    assert params.augmentations["more"].candidates == 15
    assert params.ensembles["pair"].weight == 0.5


def test_an_augmented_data_set_is_followed_to_its_origin(tmp_path: Path):
    params = load(tmp_path, good())
    assert [params.origin(name) for name in ("movies", "more", "most")] == ["movies"] * 3


def test_an_ensemble_is_followed_to_its_target_sets(tmp_path: Path):
    assert load(tmp_path, good()).members("mean") == ("one", "two", "three")
    assert load(tmp_path, good()).members("one") == ("one",)


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        ("augmentations.more.of", "movie", "no entry 'movie' in datasets or augmentations; did you mean 'movies'?"),
        ("augmentations.more.masked_lm", "bret", "no entry 'bret' in teachers; did you mean 'bert'?"),
        ("ensembles.pair.first", "tow", "no entry 'tow' in targets or ensembles; did you mean 'two'?"),
        ("ensembles.pair.second", "maen", "no entry 'maen' in targets or ensembles; did you mean 'mean'?"),
        ("ensembles.pair.dataset", "mor", "no entry 'mor' in datasets or augmentations; did you mean 'more'?"),
        ("students.soft.targets", "meen", "no entry 'meen' in targets or ensembles; did you mean 'mean'?"),
        ("targets.augmented.dataset", "mostt", "no entry 'mostt' in datasets or augmentations; did you mean 'most'?"),
    ],
)
def test_a_dangling_reference_is_refused_with_the_nearest_name(tmp_path: Path, path: str, value: str, complaint: str):
    assert refusal(tmp_path, path, value) == f"{path}: {complaint}"


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        (
            "augmentations.movies",
            {"of": "plain", "masked_lm": "bert"},
            "augmentations.movies: datasets has it too, both would be data/prepared/movies; rename one",
        ),
        (
            "ensembles.two",
            {"dataset": "movies", "first": "one", "second": "three"},
            "ensembles.two: targets has it too, both would be data/targets/two; rename one",
        ),
    ],
)
def test_two_entries_whose_outputs_would_be_one_folder_are_refused(tmp_path: Path, path: str, value: Any, complaint: str):
    assert refusal(tmp_path, path, value) == complaint


@pytest.mark.parametrize(
    ("path", "value", "entry"),
    [
        ("augmentations.more.of", "most", "augmentations.more"),
        ("augmentations.more.of", "more", "augmentations.more"),
        ("teachers.bert.dataset", "more", "augmentations.more"),
        ("ensembles.pair.first", "mean", "ensembles.pair"),
        ("ensembles.pair.first", "pair", "ensembles.pair"),
    ],
)
def test_what_is_made_from_itself_is_a_cycle(tmp_path: Path, path: str, value: str, entry: str):
    line = refusal(tmp_path, path, value)
    assert ": a cycle, none of these can be made first: data/" in line
    assert line.partition(":")[0] in {entry, "augmentations.most", "ensembles.mean"}


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        (
            "augmentations.most.of",
            "tags",
            "augmentations.most.of: 'tags' is for token-classification, expected one of: sequence-classification, regression",
        ),
        (
            "augmentations.most.masked_lm",
            "tagger",
            "augmentations.most.masked_lm: 'tagger' is a teacher of token-classification, expected one of masked-lm; add a "
            "teacher whose data set has the task masked-lm (`epochs: 0` keeps a checkpoint as it is)",
        ),
        (
            "ensembles.mean.second",
            "augmented",
            "ensembles.mean.second: 'augmented' was computed on 'more', the ensemble is for 'movies'; compute the targets of "
            "both teachers on one data set",
        ),
        (
            "students.soft.dataset",
            "plain",
            "students.soft.targets: 'mean' was computed on 'movies', the student learns on 'plain'; make them the same, or, if "
            "'plain' has the same rows for another tokenizer, give it teacher_tokenizer: that of 'movies'",
        ),
        (
            "students.soft",
            {**DEEP, "targets": "mean"},
            "students.soft.targets: distilbert reads hidden states, 'mean' is an ensemble, of logits alone; name one of its sets",
        ),
        (
            "students.soft",
            {**DEEP, "targets": "one/logits"},
            "students.soft.targets: distilbert reads hidden states, 'one/logits' is logits alone; write one",
        ),
        (
            "students.soft",
            {**DEEP, "targets": "one", "dataset": "small"},
            "students.soft.targets: distilbert reads hidden states, a vector a token, and the tokens of 'small' are not those of "
            "'movies'; take a student with the teacher's tokenizer, or a recipe that reads logits of whole rows alone",
        ),
        ("augmentations.more.probability", 1.5, "augmentations.more.probability: expected less than or equal to 1, got 1.5"),
        ("augmentations.more.copys", 3, "augmentations.more.copys: unknown key; did you mean 'copies'?"),
        ("ensembles.pair.weight", 1, "ensembles.pair.weight: expected less than 1, got 1"),
        ("ensembles.pair.weigth", 0.5, "ensembles.pair.weigth: unknown key; did you mean 'weight'?"),
        (
            "defaults.augmentations.of",
            "movies",
            "defaults.augmentations.of: cannot be inherited, dvc.yaml reads it from each entry; write it there",
        ),
        ("augmentation", {}, "augmentation: unknown section; did you mean 'augmentations'?"),
        ("ensembles", None, "ensembles: expected a mapping, got None; write `ensembles: {}`"),
    ],
)
def test_what_does_not_fit_is_one_line(tmp_path: Path, path: str, value: Any, complaint: str):
    assert refusal(tmp_path, path, value) == complaint
