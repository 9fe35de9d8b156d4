"""Reading params.yaml: each mistake is one line that names its path and, for a typo, what was meant."""

from contextlib import nullcontext
from pathlib import Path

import pytest

from distill.core.errors import UserError
from distill.core.settings import load_entry, read_yaml, require_unedited
from distill.core.validation import Strict, nearest
from distill.params.training import TrainingSettings
from distill.pipeline.project import MODELS
from distill.recipes.loading import load_student


def params_file(folder: Path, text: str) -> Path:
    path = folder / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def load(folder: Path, text: str, section: str = "teachers", name: str = "x") -> Strict:
    """An entry of a file of this text."""
    path = params_file(folder, text)
    return load_student(path, name) if section == "students" else load_entry(path, section, name, MODELS[section])


def refusal(folder: Path, text: str, section: str, name: str = "x") -> str:
    """What loading the entry complains of, after the file's name."""
    with pytest.raises(UserError) as caught:
        load(folder, text, section, name)
    return str(caught.value).replace(f"{folder / 'params.yaml'}: ", "")


TARGET = "dataset: d, targets: t"
STUDENT = f"recipe: supervised, {TARGET}, init: {{from: data/teachers/t, depth: 2}}"
TEACHER = "dataset: d, checkpoint: {hub: t}"
DATASET = "source: s, tokenizer: {hub: t}"
GIVEN = "table: data/raw/s, dataset: d"
FOLDER = "a folder here is `path`"
MAPPING = "sources.x: expected a mapping of settings, got"
NO_MAPPING = "expected a mapping, got 3; write `datasets: {}`, or leave it out"
LOTS = f"defaults: {{teachers: {{epochs: lots}}}}\nteachers: {{x: {{{TEACHER}}}}}"


@pytest.mark.parametrize(
    ("text", "section", "complaint"),
    [
        *(
            (f"{section}: {{x: {{{settings}}}}}", section, f"{section}.x{complaint}")
            for section, settings, complaint in [
                ("sources", "pth: a.csv", ".pth: unknown key; did you mean 'path'?"),
                ("sources", "", ": expected exactly one of: hub, path, package"),
                ("sources", "hub: a, path: b", ": expected exactly one of: hub, path, package"),
                ("sources", "path: ''", ": hub, path or package is empty, which names nothing; `path: .` is this folder"),
                (
                    "teachers",
                    "dataset: x, checkpoint: {hub: ' '}",
                    ".checkpoint: hub, path or package is empty, which names nothing; `path: .` is this folder",
                ),
                *(
                    (
                        "sources",
                        f"hub: '{name}'",
                        f": hub: got '{name}', expected USER/NAME as it stands there, no address; {FOLDER}",
                    )
                    for name in ("https://hub/a/b", "a/b/c", "a b", "./a", "a--b", "a/b.git")
                ),
                ("sources", "path: b, config: c", ": config and revision go with hub; remove them"),
                ("datasets", f"{DATASET}, colums: {{}}", ".colums: unknown key; did you mean 'columns'?"),
                ("datasets", f"{DATASET}, columns: {{txt: body}}", ".columns.txt: unknown key; did you mean 'text'?"),
                ("datasets", "source: s, tokenizer: {hbu: t, hub: t}", ".tokenizer.hbu: unknown key; did you mean 'hub'?"),
                ("teachers", "dataset: d", ".checkpoint: is missing; give it"),
                ("teachers", f"{TEACHER}, learning_rat: 0.1", ".learning_rat: unknown key; did you mean 'learning_rate'?"),
                ("targets", "teacher: t, dataset: d, hiden: [1]", ".hiden: unknown key; did you mean 'hidden'?"),
            ]
        ),
        ("sources: {y: {path: a}, xx: {path: b}}", "sources", "sources.x: no such entry; did you mean 'xx'?"),
        ("sources: {y: {path: a}}", "teachers", "teachers.x: no such entry; there are none"),
        ("sources: {x: just text}", "sources", f"{MAPPING} 'just text'"),
        ("sources: {x: [1, 2]}", "sources", f"{MAPPING} [1, 2]"),
        ("sources: {x: null}", "sources", f"{MAPPING} None"),
        ("sources: {x: 3}", "sources", f"{MAPPING} 3"),
        ("sorces: {}", "sources", "sorces: unknown section; did you mean 'sources'?"),
        ("students: 3", "sources", "students: expected a mapping, got 3; write `students: {}`, or leave it out"),
        ("defaults:", "sources", "defaults: expected a mapping, got None; write `defaults: {}`, or leave it out"),
        ("defaults: {teacher: {}}", "sources", "defaults.teacher: unknown section; did you mean 'teachers'?"),
        ("defaults: {datasets: 3}", "sources", f"defaults.datasets: {NO_MAPPING}"),
        (LOTS, "teachers", "teachers.x.epochs: expected valid integer, got 'lots'"),
        (
            f"datasets: {{x: {{{DATASET}, labels: {{2024-01-31: day}}}}}}",
            "datasets",
            "datasets.x.labels: YAML reads 2024-01-31 as a date; write it in quotes",
        ),
        (
            f"datasets: {{x: {{{DATASET}, labels: {{? [a, b] : c}}}}}}",
            "datasets",
            "datasets.x.labels: YAML reads ('a', 'b') as a tuple; write it in quotes",
        ),
        *(
            (
                f"datasets: {{x: {{{DATASET}, labels: {{{key}: no, '{key}': yes}}}}}}",
                "datasets",
                f"datasets.x.labels: {key} is there twice, with quotes and without; write it once",
            )
            for key in ("1", "true")
        ),
        (
            f"datasets: {{x: {{{DATASET}, labels: {{' a': no, a: yes}}}}}}",
            "datasets",
            "datasets.x.labels: 'a' is there twice, with blanks around it and without; write it once",
        ),
    ],
)
def test_a_mistake_is_named_with_its_path_and_what_is_meant(tmp_path: Path, text: str, section: str, complaint: str):
    assert refusal(tmp_path, text, section) == complaint


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (f"{STUDENT}, epoch: 3", ".epoch: unknown key; did you mean 'epochs'?"),
        (f"{STUDENT}, alpha: 0.5", ".alpha: unknown key"),
        (STUDENT.replace("supervised", "hintn"), ".recipe: got 'hintn', no such recipe; did you mean 'hinton'?"),
        (
            STUDENT.removeprefix("recipe: supervised, "),
            ".recipe: got None, no such recipe; expected one of: annealing_kd, cosine, distilbert, divergence, ",
        ),
        (f"{STUDENT}, epochs: three", ".epochs: expected valid integer, got 'three'"),
        (f"{STUDENT}, epochs: 2.5", ".epochs: expected"),
        (f'{STUDENT}, learning_rate: "3e-5"', ".learning_rate: expected valid number, got '3e-5'"),
        (f"{STUDENT}, learning_rate: -1", ".learning_rate: expected greater than 0, got -1"),
        (f"{STUDENT}, learning_rate: .nan", ".learning_rate: expected"),
        (f"{STUDENT}, group_by_length: 1", ".group_by_length: expected valid boolean, got 1"),
        (f"{STUDENT}, schedule: lineer", ".schedule: expected 'linear', 'cosine' or 'constant', got 'lineer'"),
        (f"{STUDENT}, seeds: 1", ".seeds: expected valid array, got 1"),
        (f"{STUDENT}, seeds: []", ".seeds: expected at least 1, got []"),
        (STUDENT.replace("from:", "source:"), ".init.from: is missing; give it"),
        (STUDENT.replace("depth: 2", "family: distilbert"), ".init.family: unknown key; expected one of: architecture, as, "),
        (STUDENT.replace("depth: 2", "layers: [-1]"), ".init.layers.0: expected greater than or equal to 0, got -1"),
        (STUDENT.replace("data/teachers/t", "t"), ".init.from: expected text that matches ^data/(teachers|"),
        (STUDENT.replace("{from: data/teachers/t, depth: 2}", "t"), ".init: expected a mapping, got 't'"),
        (f"{STUDENT}, seeds: [1, 1]", ".seeds: got [1, 1], expected each once"),
        (
            STUDENT.replace("supervised", "distilbert") + ", soft_weight: 0, hard_weight: 0, cosine_weight: 0",
            ": soft_weight, hard_weight, cosine_weight: all are 0, nothing would be learnt",
        ),
    ],
)
def test_a_mistake_in_a_student_is_compared_with_its_own_recipe(tmp_path: Path, settings: str, complaint: str):
    assert refusal(tmp_path, f"students: {{x: {{{settings}}}}}", "students").startswith(f"students.x{complaint}")


@pytest.mark.parametrize(
    ("section", "settings", "complaint"),
    [
        ("datasets", f"{DATASET}, splits: {{test: 1.5}}", "splits.test: expected valid string or less than 1, got 1.5"),
        ("datasets", f"{DATASET}, splits: {{test: .nan}}", "splits.test: expected valid string or finite number, got nan"),
        ("given", f"{GIVEN}, columns: {{id: i, votes: v}}, labels: 5", "labels: expected valid array or a mapping, got 5"),
        ("given", f"{GIVEN}, columns: {{id: i, logits: {{a: 1}}}}", "columns.logits.a: expected valid string, got 1"),
    ],
)
def test_what_may_be_of_several_types_is_refused_in_a_line_with_its_own_path(tmp_path, section, settings, complaint):
    assert refusal(tmp_path, f"{section}: {{x: {{{settings}}}}}", section) == f"{section}.x.{complaint}"


def test_every_mistake_of_an_entry_has_its_own_line(tmp_path: Path):
    lines = refusal(tmp_path, f"students: {{x: {{{STUDENT}, epochs: many, batchsize: 3}}}}", "students").splitlines()
    assert len(lines) == 2
    assert any("students.x.epochs" in line for line in lines)
    assert any("students.x.batchsize: unknown key; did you mean 'batch_size'?" in line for line in lines)


def test_an_entry_inherits_defaults_and_overrides_them(tmp_path: Path):
    text = f"defaults: {{teachers: {{epochs: 7, batch_size: 9}}}}\nteachers: {{x: {{{TEACHER}, batch_size: 4}}}}"
    loaded = load(tmp_path, text)
    assert (loaded.epochs, loaded.batch_size) == (7, 4)
    assert loaded.weight_decay == TrainingSettings().weight_decay


@pytest.mark.parametrize(
    ("edited", "refused"),
    [
        ("teachers: {x: {%s, batch_size: 8}}", True),
        ("teachers: {x: {%s}}", True),
        ("teachers: {y: {%s}}", True),
        ("defaults: {teachers: {batch_size: 4}}\nteachers: {x: {%s}}", False),
        ("teachers: {x: {%s, batch_size: 4, epochs: 3}, y: {%s}}", False),
        ("# a comment\nteachers: {x: {%s, batch_size: 4}}", False),
    ],
)
def test_an_entry_that_is_edited_while_a_stage_runs_is_refused(tmp_path: Path, edited: str, refused: bool):
    settings = load(tmp_path, f"teachers: {{x: {{{TEACHER}, batch_size: 4}}}}")
    path = params_file(tmp_path, edited.replace("%s", TEACHER))
    with pytest.raises(UserError, match=r"teachers\.x: (was edited while this ran|no such entry)") if refused else nullcontext():
        require_unedited(path, "teachers", "x", settings)
    with nullcontext() if "{x:" in edited else pytest.raises(UserError):
        require_unedited(path, "teachers", "x", settings, "epochs")


def test_exponents_without_a_dot_are_numbers_and_words_that_old_yaml_takes_for_booleans_stay_words(tmp_path: Path):
    loaded = load(tmp_path, f"teachers: {{x: {{{TEACHER}, learning_rate: 3e-5, weight_decay: 1E-3}}}}")
    assert (loaded.learning_rate, loaded.weight_decay) == (3e-5, 1e-3)
    assert load(tmp_path, f"datasets: {{x: {{{DATASET}, labels: [no, yes]}}}}", "datasets").labels == ("no", "yes")


@pytest.mark.parametrize("name", ["a.b", "a/b", "", "-a", "ä b"])
def test_an_entry_name_that_dvc_would_take_for_a_path_is_refused(tmp_path: Path, name: str):
    complaint = refusal(tmp_path, f'sources: {{"{name}": {{path: x}}}}', "sources", name)
    assert f"sources.{name}: an entry's name is made of letters" in complaint


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
