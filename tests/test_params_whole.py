"""The whole of params.yaml: what entries name must exist and fit, before anything runs."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from distill.errors import UserError
from distill.files import to_json
from distill.params.base import read_yaml
from distill.params.whole import Params, json_schema, load_params
from distill.recipes.distilbert import DistilBert
from distill.recipes.hinton import Hinton

ROOT = Path(__file__).parent.parent
SECTIONS = ("sources", "datasets", "augmentations", "teachers", "targets", "ensembles", "students", "exports")


def good() -> dict[str, Any]:
    """A file in which two data sets, and students of every origin, stand."""
    teacher = {"from": "data/teachers/big", "depth": 2}
    return {
        "defaults": {
            "sources": {},
            "datasets": {"tokenizer": {"hub": "tok"}},
            "augmentations": {},
            "teachers": {},
            "targets": {},
            "ensembles": {},
            "exports": {},
            "students": {"epochs": 9, "learning_rate": 1e-3},
        },
        "sources": {"reviews": {"path": "reviews.csv"}},
        "datasets": {"movies": {"source": "reviews"}, "books": {"source": "reviews"}},
        "augmentations": {},
        "teachers": {"big": {"dataset": "movies", "checkpoint": {"hub": "bert"}}},
        "targets": {
            "full": {"teacher": "big", "dataset": "movies", "hidden": [-1]},
            "plain": {"teacher": "big", "dataset": "movies"},
        },
        "ensembles": {},
        "exports": {},
        "students": {
            "soft": {"recipe": "hinton", "dataset": "movies", "targets": "plain/logits", "init": teacher, "epochs": 2},
            "deep": {"recipe": "distilbert", "dataset": "movies", "targets": "full", "init": teacher},
            "second": {"recipe": "hinton", "dataset": "movies", "targets": "plain", "init": {"from": "data/students/soft"}},
            "twin": {"recipe": "supervised", "dataset": "movies", "targets": "plain", "init": {"from": "data/inits/soft"}},
        },
    }


def load(folder: Path, content: dict[str, Any]) -> Params:
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(content, file)
    return load_params(folder / "params.yaml")


def refusal(folder: Path, content: dict[str, Any]) -> list[str]:
    """The lines of the refusal, each of which names the file."""
    with pytest.raises(UserError) as caught:
        load(folder, content)
    prefix = f"{folder / 'params.yaml'}: "
    lines = str(caught.value).splitlines()
    assert all(line.startswith(prefix) for line in lines)
    return [line.removeprefix(prefix) for line in lines]


def changed(path: str, value: Any) -> dict[str, Any]:
    """The good file with one setting changed."""
    content = good()
    *parents, key = path.split(".")
    inner = content
    for parent in parents:
        inner = inner[parent]
    inner[key] = copy.deepcopy(value)
    return content


def test_a_file_whose_references_all_resolve_is_accepted(tmp_path: Path):
    params = load(tmp_path, good())
    assert isinstance(params.students["soft"], Hinton)
    assert isinstance(params.students["deep"], DistilBert)
    assert [params.students[name].epochs for name in ("soft", "deep")] == [2, 9]
    assert params.datasets["books"].tokenizer.hub == "tok"


def test_the_repositorys_own_file_is_accepted():
    params = load_params(ROOT / "params.yaml")
    assert params.students
    assert params.teachers


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        (
            "datasets.movies.source",
            "review",
            "datasets.movies.source: no entry 'review' in sources and no folder data/raw/review",
        ),
        ("teachers.big.dataset", "movie", "teachers.big.dataset: no entry 'movie' in datasets; did you mean 'movies'?"),
        ("targets.full.teacher", "bigg", "targets.full.teacher: no entry 'bigg' in teachers; did you mean 'big'?"),
        ("targets.full.dataset", "moviez", "targets.full.dataset: no entry 'moviez' in datasets; did you mean 'movies'?"),
        ("students.soft.targets", "plane/logits", "students.soft.targets: no entry 'plane' in targets; did you mean 'plain'?"),
        ("students.soft.dataset", "book", "students.soft.dataset: no entry 'book' in datasets; did you mean 'books'?"),
        (
            "students.soft.init.from",
            "data/teachers/bigger",
            "students.soft.init.from: no entry 'bigger' in teachers; did you mean 'big'?",
        ),
        (
            "students.second.init.from",
            "data/students/sofd",
            "students.second.init.from: no entry 'sofd' in students; did you mean 'soft'?",
        ),
        (
            "students.second.init.from",
            "data/inits/dep",
            "students.second.init.from: no entry 'dep' in students; did you mean 'deep'?",
        ),
        (
            "students.soft.init",
            {"from": "data/prepared/moves", "architecture": {}},
            "students.soft.init.from: no entry 'moves' in datasets; did you mean 'movies'?",
        ),
    ],
)
def test_a_dangling_reference_is_refused_with_the_nearest_name(tmp_path: Path, path: str, value: Any, complaint: str):
    assert any(line.startswith(complaint) for line in refusal(tmp_path, changed(path, value)))


def test_a_dangling_source_hints_at_the_nearest_source(tmp_path: Path):
    (line,) = refusal(tmp_path, changed("datasets.movies.source", "review"))
    assert line.endswith("; did you mean 'reviews'?")


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("datasets.movies.task", "masked-lm", "those of masked-lm are the text itself; set it to null"),
        ("students.deep.recipe", "minilm", "which minilm here does not learn from; set it to null"),
        ("students.deep.hard_weight", 0.0, "which distilbert here does not learn from; set it to null"),
    ],
)
def test_weights_of_rows_are_refused_where_there_are_no_labels_to_doubt(tmp_path: Path, key: str, value: Any, complaint: str):
    content = changed("students.deep.sample_weight", {"suspect": 0.0})
    assert load(tmp_path, content).students["deep"].sample_weight is not None
    section, name, setting = key.split(".")
    content[section][name][setting] = value
    (line,) = (line for line in refusal(tmp_path, content) if line.startswith("students.deep.sample_weight: "))
    assert line.endswith(complaint)


@pytest.mark.parametrize("put", ["folder", "file added with dvc"])
def test_a_data_set_may_read_data_that_was_put_there_without_a_source(tmp_path: Path, put: str):
    raw = tmp_path / "data" / "raw"
    raw.mkdir(parents=True)
    if put == "folder":
        (raw / "own").mkdir()
    else:
        (raw / "own.dvc").touch()
    assert load(tmp_path, changed("datasets.movies.source", "own")).datasets["movies"].source == "own"


@pytest.mark.parametrize("kind", ["students", "inits"])
def test_students_born_of_one_another_are_refused_with_the_whole_cycle(tmp_path: Path, kind: str):
    (line,) = refusal(tmp_path, changed("students.soft.init.from", f"data/{kind}/second"))
    assert "a cycle, none of these can be made first" in line
    assert "data/inits/soft" in line
    assert "data/inits/second" in line


def test_a_student_born_of_itself_is_a_cycle(tmp_path: Path):
    assert "a cycle" in refusal(tmp_path, changed("students.soft.init.from", "data/students/soft"))[0]


def test_targets_of_another_data_set_are_refused(tmp_path: Path):
    lines = refusal(tmp_path, changed("students.soft.dataset", "books"))
    (line,) = lines
    assert line.startswith(
        "students.soft.targets: 'plain' was computed on 'movies', the student learns on 'books'; make them the same"
    )


def test_a_recipe_that_reads_hidden_states_is_refused_logits_alone(tmp_path: Path):
    lines = refusal(tmp_path, changed("students.deep.targets", "full/logits"))
    assert lines == ["students.deep.targets: distilbert reads hidden states, 'full/logits' is logits alone; write full"]


def test_distilbert_without_its_cosine_term_is_content_with_logits(tmp_path: Path):
    content = changed("students.deep.targets", "plain/logits")
    content["students"]["deep"]["cosine_weight"] = 0
    assert not load(tmp_path, content).students["deep"].reads_hidden


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("datasets", "source", "reviews"),
        ("teachers", "dataset", "movies"),
        ("targets", "teacher", "big"),
        ("students", "recipe", "hinton"),
        ("students", "init", {"from": "data/teachers/big"}),
    ],
)
def test_a_default_that_dvc_reads_from_each_entry_is_refused(tmp_path: Path, section: str, key: str, value: Any):
    lines = refusal(tmp_path, changed(f"defaults.{section}.{key}", value))
    assert f"defaults.{section}.{key}: cannot be inherited, dvc.yaml reads it from each entry; write it there" in lines


def test_a_misspelt_default_is_refused_with_the_nearest_key(tmp_path: Path):
    lines = refusal(tmp_path, changed("defaults.teachers.batchsize", 3))
    assert "defaults.teachers.batchsize: unknown key; did you mean 'batch_size'?" in lines


def test_mistakes_of_several_entries_are_all_reported(tmp_path: Path):
    content = changed("teachers.big.epochs", "many")
    content["students"]["soft"]["alpha"] = 2
    lines = refusal(tmp_path, content)
    assert [line.partition(": ")[0] for line in lines] == ["teachers.big.epochs", "students.soft.alpha"]


def test_a_file_without_any_entry_is_refused(tmp_path: Path):
    content = {"defaults": {section: {} for section in SECTIONS}, **{section: {} for section in SECTIONS}}
    assert refusal(tmp_path, content) == ["no entries at all; add one to sources, datasets, teachers, targets and students"]


def test_the_json_schema_in_the_repository_is_current():
    written = (ROOT / "params.schema.json").read_text(encoding="utf-8")
    assert written == to_json(json_schema()), "run `python -m distill schema > params.schema.json`"


def test_the_json_schema_accepts_the_repositorys_file():
    schema = json.loads((ROOT / "params.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(read_yaml(ROOT / "params.yaml"), schema)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("students.soft.alpa", 0.5),
        ("students.soft.init.dept", 2),
        ("datasets.movies.columns", {"txt": "body"}),
        ("teachers.big.epochs", "many"),
        ("defaults.students.recipe", "hinton"),
        ("sorces", {}),
    ],
)
def test_the_json_schema_refuses_what_loading_refuses(tmp_path: Path, path: str, value: Any):
    content = changed(path, value)
    with pytest.raises(UserError):
        load(tmp_path, content)
    content["defaults"] = {**content["defaults"], "datasets": {}}
    for dataset in content["datasets"].values():
        dataset.setdefault("tokenizer", {"hub": "tok"})
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, json_schema())


def test_the_json_schema_lets_entries_inherit_what_they_need(tmp_path: Path):
    load(tmp_path, good())
    jsonschema.validate(good(), json_schema())
