"""Reading params.yaml: each mistake is one line that names its path and, for a typo, what was meant."""

from pathlib import Path

import pytest

from distill.errors import UserError
from distill.params.base import Strict, load_entry, nearest, read_yaml
from distill.params.datasets import DatasetSettings
from distill.params.sources import Source
from distill.params.targets import TargetSettings
from distill.params.teachers import TeacherSettings
from distill.params.training import TrainingSettings
from distill.recipes.loading import load_student
from tests.commands import NO_DEFAULTS, NO_ENTRIES, whole_params


def params_file(folder: Path, text: str) -> Path:
    """A params.yaml of these sections; those that the text leaves out are empty."""
    path = folder / "params.yaml"
    path.write_text(whole_params(text), encoding="utf-8")
    return path


def refusal(path: Path, section: str, name: str, model: type[Strict]) -> str:
    """What loading the entry complains of, after the file's name."""
    with pytest.raises(UserError) as caught:
        load_entry(path, section, name, model)
    return str(caught.value).removeprefix(f"{path}: ")


def student_refusal(tmp_path: Path, settings: str) -> str:
    with pytest.raises(UserError) as caught:
        load_student(params_file(tmp_path, f"students: {{s: {{{settings}}}}}"), "s")
    return str(caught.value).removeprefix(f"{tmp_path / 'params.yaml'}: ")


SUPERVISED = "recipe: supervised, dataset: d, targets: t, init: {from: data/teachers/t, depth: 2}"


@pytest.mark.parametrize(
    ("section", "model", "settings", "complaint"),
    [
        ("sources", Source, "{pth: a.csv}", "sources.x.pth: unknown key; did you mean 'path'?"),
        (
            "datasets",
            DatasetSettings,
            "{source: s, tokenizer: {hub: t}, colums: {}}",
            "datasets.x.colums: unknown key; did you mean 'columns'?",
        ),
        (
            "datasets",
            DatasetSettings,
            "{source: s, tokenizer: {hub: t}, columns: {txt: body}}",
            "datasets.x.columns.txt: unknown key; did you mean 'text'?",
        ),
        (
            "datasets",
            DatasetSettings,
            "{source: s, tokenizer: {hbu: t, hub: t}}",
            "datasets.x.tokenizer.hbu: unknown key; did you mean 'hub'?",
        ),
        (
            "teachers",
            TeacherSettings,
            "{dataset: d, checkpoint: {hub: t}, learning_rat: 0.1}",
            "teachers.x.learning_rat: unknown key; did you mean 'learning_rate'?",
        ),
        (
            "targets",
            TargetSettings,
            "{teacher: t, dataset: d, hiden: [1]}",
            "targets.x.hiden: unknown key; did you mean 'hidden'?",
        ),
    ],
)
def test_a_misspelt_key_is_refused_with_its_path_and_the_nearest_key(
    tmp_path: Path, section: str, model: type[Strict], settings: str, complaint: str
):
    assert refusal(params_file(tmp_path, f"{section}: {{x: {settings}}}"), section, "x", model) == complaint


def test_a_misspelt_key_of_a_student_is_compared_with_its_own_recipe(tmp_path: Path):
    assert student_refusal(tmp_path, f"{SUPERVISED}, epoch: 3") == "students.s.epoch: unknown key; did you mean 'epochs'?"
    assert "students.s.alpha: unknown key" in student_refusal(tmp_path, f"{SUPERVISED}, alpha: 0.5")


@pytest.mark.parametrize(("key", "meant"), [("dept", "depth"), ("layer", "layers"), ("form", "from")])
def test_a_misspelt_key_inside_init_is_refused_with_the_nearest_key(tmp_path: Path, key: str, meant: str):
    settings = f"recipe: supervised, dataset: d, targets: t, init: {{from: data/teachers/t, {key}: 2}}"
    assert student_refusal(tmp_path, settings) == f"students.s.init.{key}: unknown key; did you mean '{meant}'?"


def test_a_misspelt_recipe_is_refused_with_the_nearest_recipe(tmp_path: Path):
    complaint = student_refusal(tmp_path, SUPERVISED.replace("supervised", "hintn"))
    assert complaint == "students.s.recipe: got 'hintn', no such recipe; did you mean 'hinton'?"


def test_a_student_without_a_recipe_is_told_the_recipes(tmp_path: Path):
    complaint = student_refusal(tmp_path, SUPERVISED.replace("recipe: supervised, ", ""))
    assert "students.s.recipe" in complaint
    assert all(recipe in complaint for recipe in ("supervised", "hinton", "distilbert"))


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ("epochs: three", "students.s.epochs: expected valid integer, got 'three'"),
        ("epochs: 2.5", "students.s.epochs: expected"),
        ('learning_rate: "3e-5"', "students.s.learning_rate: expected valid number, got '3e-5'"),
        ("learning_rate: -1", "students.s.learning_rate: expected greater than 0, got -1"),
        ("learning_rate: .nan", "students.s.learning_rate: expected"),
        ("group_by_length: 1", "students.s.group_by_length: expected valid boolean, got 1"),
        ("schedule: lineer", "students.s.schedule: expected 'linear', 'cosine' or 'constant', got 'lineer'"),
        ("seeds: 1", "students.s.seeds: expected valid array, got 1"),
        ("seeds: [1, 1]", "students.s: seeds: expected each seed once"),
    ],
)
def test_a_value_of_the_wrong_type_or_range_is_refused_with_what_was_got_and_expected(
    tmp_path: Path, settings: str, complaint: str
):
    assert student_refusal(tmp_path, f"{SUPERVISED}, {settings}").startswith(complaint)


def test_every_mistake_of_an_entry_has_its_own_line(tmp_path: Path):
    lines = student_refusal(tmp_path, f"{SUPERVISED}, epochs: many, batchsize: 3").splitlines()
    assert len(lines) == 2
    assert any("students.s.epochs" in line for line in lines)
    assert any("students.s.batchsize: unknown key; did you mean 'batch_size'?" in line for line in lines)


def test_a_missing_setting_is_named(tmp_path: Path):
    path = params_file(tmp_path, "teachers: {x: {dataset: d}}")
    assert refusal(path, "teachers", "x", TeacherSettings) == "teachers.x.checkpoint: is missing; give it"


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ("{}", "expected exactly one of: hub, path, package"),
        ("{hub: a, path: b}", "expected exactly one of: hub, path, package"),
        ("{path: b, config: c}", "config and revision go with hub; remove them"),
    ],
)
def test_a_source_stands_in_exactly_one_place(tmp_path: Path, settings: str, complaint: str):
    assert refusal(params_file(tmp_path, f"sources: {{x: {settings}}}"), "sources", "x", Source) == f"sources.x: {complaint}"


@pytest.mark.parametrize(
    ("init", "complaint"),
    [
        ("{from: data/teachers/t, depth: 2, layers: [0]}", "expected one of: layers, depth, architecture"),
        ("{from: data/prepared/d}", "a prepared data set has no layers to copy"),
        ("{from: teachers/t}", "students.s.init.from: expected"),
        ("{from: data/teachers/t, layers: []}", "students.s.init.layers"),
        ("{from: data/teachers/t, depth: 0}", "students.s.init.depth: expected greater than 0, got 0"),
    ],
)
def test_a_student_is_born_in_one_way_only(tmp_path: Path, init: str, complaint: str):
    settings = f"recipe: supervised, dataset: d, targets: t, init: {init}"
    assert complaint in student_refusal(tmp_path, settings)


def test_a_recipe_whose_weights_are_all_zero_is_refused(tmp_path: Path):
    settings = SUPERVISED.replace("supervised", "distilbert") + ", soft_weight: 0, hard_weight: 0, cosine_weight: 0"
    assert "nothing would be learnt" in student_refusal(tmp_path, settings)


def test_an_entry_inherits_defaults_and_overrides_them(tmp_path: Path):
    path = params_file(
        tmp_path,
        NO_DEFAULTS.replace("teachers: {}", "teachers: {epochs: 7, batch_size: 9}")
        + "teachers: {x: {dataset: d, checkpoint: {hub: t}, batch_size: 4}}",
    )
    loaded = load_entry(path, "teachers", "x", TeacherSettings)
    assert (loaded.epochs, loaded.batch_size) == (7, 4)
    assert loaded.weight_decay == TrainingSettings().weight_decay


def test_a_mistyped_default_is_refused_where_it_is_inherited(tmp_path: Path):
    path = params_file(
        tmp_path,
        NO_DEFAULTS.replace("teachers: {}", "teachers: {epochs: lots}") + "teachers: {x: {dataset: d, checkpoint: {hub: t}}}",
    )
    assert refusal(path, "teachers", "x", TeacherSettings).startswith("teachers.x.epochs: expected valid integer")


def test_exponents_without_a_dot_are_numbers(tmp_path: Path):
    path = params_file(tmp_path, "teachers: {x: {dataset: d, checkpoint: {hub: t}, learning_rate: 3e-5, weight_decay: 1E-3}}")
    loaded = load_entry(path, "teachers", "x", TeacherSettings)
    assert (loaded.learning_rate, loaded.weight_decay) == (3e-5, 1e-3)


def test_words_that_old_yaml_takes_for_booleans_stay_words(tmp_path: Path):
    path = params_file(tmp_path, "datasets: {x: {source: s, tokenizer: {hub: t}, labels: [no, yes]}}")
    assert load_entry(path, "datasets", "x", DatasetSettings).labels == ("no", "yes")


def test_an_unknown_entry_is_refused_with_the_nearest_name(tmp_path: Path):
    path = params_file(tmp_path, "sources: {reviews: {path: a}, news: {path: b}}")
    assert refusal(path, "sources", "review", Source) == "sources.review: no such entry; did you mean 'reviews'?"
    assert "no such entry; there are none" in refusal(path, "teachers", "x", TeacherSettings)


@pytest.mark.parametrize("name", ["a.b", "a/b", "", "-a", "ä b"])
def test_an_entry_name_that_dvc_would_take_for_a_path_is_refused(tmp_path: Path, name: str):
    path = params_file(tmp_path, f'sources: {{"{name}": {{path: x}}}}')
    assert f"sources.{name}: an entry's name is made of letters" in refusal(path, "sources", name, Source)


@pytest.mark.parametrize("entry", ["just text", "[1, 2]", "null", "3"])
def test_an_entry_that_is_no_mapping_is_refused(tmp_path: Path, entry: str):
    complaint = refusal(params_file(tmp_path, f"sources: {{x: {entry}}}"), "sources", "x", Source)
    assert complaint.startswith("sources.x: expected a mapping of settings, got")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("sorces: {}", "sorces: unknown section; did you mean 'sources'?"),
        ("students: 3", "students: expected a mapping, got 3; write `students: {}`"),
        ("defaults: {teacher: {}}", "defaults.teacher: unknown section; did you mean 'teachers'?"),
        ("defaults: {sources: {}}", "defaults.datasets: expected a mapping; write `datasets: {}` under defaults"),
    ],
)
def test_a_wrong_section_is_refused(tmp_path: Path, text: str, complaint: str):
    assert refusal(params_file(tmp_path, text), "sources", "x", Source) == complaint


def test_a_missing_section_is_refused_because_dvc_cannot_track_it(tmp_path: Path):
    path = tmp_path / "params.yaml"
    path.write_text(NO_DEFAULTS + NO_ENTRIES.replace("targets: {}\n", ""), encoding="utf-8")
    assert refusal(path, "sources", "x", Source) == "targets: expected a mapping, got None; write `targets: {}`"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"sources: {x: [", "not valid YAML"),
        (b"a: 1\na: 2\n", "not valid YAML"),
        (b"\xff\xfe\xfa", "not valid YAML"),
        (b"- a\n- b\n", "expected a mapping with the sections"),
        (b"", "expected a mapping with the sections"),
    ],
)
def test_a_file_that_is_no_yaml_mapping_is_refused_in_one_line(tmp_path: Path, content: bytes, complaint: str):
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=complaint) as caught:
        read_yaml(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_missing_file_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"params.yaml: cannot be read .*run from the folder that holds it"):
        read_yaml(tmp_path / "params.yaml")


def test_a_word_like_none_of_the_choices_gets_the_list_of_them():
    assert nearest("zzz", ["beta", "alpha"]) == "; expected one of: alpha, beta"
