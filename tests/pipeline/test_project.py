"""The whole of params.yaml: what entries name must exist, fit and begin somewhere, before anything runs."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from distill.commands.schema import json_schema
from distill.core.errors import UserError
from distill.core.files import to_json
from distill.core.settings import SECTIONS, read_yaml
from distill.pipeline.project import load_params
from distill.recipes.distilbert import DistilBert
from distill.recipes.hinton import Hinton
from tests.closures import ROOT
from tests.params_files import changed, load, refusal, write

SCHEMA = json_schema()
TOKENIZER = {"hub": "tok"}
REVIEWS = "expected one of: reviews"
INIT = {"from": "data/teachers/big", "depth": 2}
MOVIES = {"teacher": "big", "dataset": "movies"}
SLOW = {"epochs": 9, "learning_rate": 1e-3}
PLAIN: dict[str, Any] = {
    "defaults": {"datasets": {"tokenizer": TOKENIZER}, "teachers": {}, "targets": {}, "students": SLOW},
    "sources": {"reviews": {"path": "reviews.csv"}},
    "datasets": {"movies": {"source": "reviews"}, "books": {"source": "reviews"}},
    "teachers": {"big": {"dataset": "movies", "checkpoint": {"hub": "bert"}}},
    "targets": {"full": {**MOVIES, "hidden": [-1]}, "plain": MOVIES},
    "students": {
        "soft": {"recipe": "hinton", "dataset": "movies", "targets": "plain/logits", "init": INIT, "epochs": 2},
        "deep": {"recipe": "distilbert", "dataset": "movies", "targets": "full", "init": INIT},
        "second": {"recipe": "hinton", "dataset": "movies", "targets": "plain", "init": {"from": "data/students/soft"}},
        "twin": {"recipe": "supervised", "dataset": "movies", "targets": "plain", "init": {"from": "data/inits/soft"}},
    },
}
"""Two data sets, and students of every origin."""
TAGS = {"source": "reviews", "task": "token-classification"}
TAGGED: dict[str, Any] = {**PLAIN, "datasets": {"movies": TAGS, "books": TAGS}}
ANNOTATED: dict[str, Any] = PLAIN | {
    "annotators": {"model": {"rows": "data/selections/next", "model": "m"}},
    "selections": {"next": {"rows": "data/prepared/movies", "student": "soft", "count": 5}},
    "given": {
        "answers": {"table": "data/annotations/model/rows", "dataset": "movies", "columns": {"text": "text", "votes": "votes"}},
    },
}
SOFT = {"recipe": "hinton", "dataset": "movies", "targets": "mean/logits", "init": INIT}
DEEP = {**SOFT, "recipe": "distilbert"}
COMPOSED: dict[str, Any] = {
    "defaults": {"datasets": {"tokenizer": TOKENIZER}, "augmentations": {}},
    "sources": {"reviews": {"path": "reviews.csv"}},
    "datasets": {
        "movies": {"source": "reviews"},
        "corpus": {"source": "reviews", "task": "masked-lm"},
        "tags": {"source": "reviews", "task": "token-classification"},
        "small": {"source": "reviews", "tokenizer": {"hub": "small"}, "teacher_tokenizer": TOKENIZER},
        "plain": {"source": "reviews", "tokenizer": {"hub": "small"}},
    },
    "augmentations": {"more": {"of": "movies", "teacher": "bert", "copies": 5}, "most": {"of": "more", "teacher": "bert"}},
    "teachers": {
        "bert": {"dataset": "corpus", "checkpoint": {"hub": "bert"}, "epochs": 0},
        "big": {"dataset": "more", "checkpoint": {"hub": "bert"}},
        "tagger": {"dataset": "tags", "checkpoint": {"hub": "bert"}},
    },
    "targets": {
        **{name: {**MOVIES, "hidden": [-1]} for name in ("one", "two", "three")},
        "augmented": {"teacher": "big", "dataset": "more"},
        "tags": {"teacher": "tagger", "dataset": "tags"},
    },
    "ensembles": {
        "pair": {"dataset": "movies", "first": "one", "second": "two"},
        "mean": {"dataset": "movies", "first": "pair", "second": "three", "weight": 0.667},
    },
    "students": {
        "soft": SOFT,
        "more": {**SOFT, "dataset": "more", "targets": "augmented"},
        "other": {**SOFT, "dataset": "small", "init": {"from": "data/prepared/more", "architecture": {}}},
    },
}
"""Two augmentations, one of the other, and two ensembles, one of the other."""
OTHER_PAIR = {"dataset": "movies", "first": "one", "second": "three"}
TWICE = ": {} has it too, both would be data/{}; rename one"
SAME_DATA = ".targets: '{0}' was computed on 'movies', the student learns on '{1}'; make them the same"
OTHER_DATA = SAME_DATA + (", or, if '{1}' has the same rows for another tokenizer, give it teacher_tokenizer: that of 'movies'")
NO_VECTORS = (
    ".targets: distilbert reads hidden states, a vector a token, and the tokens of 'small' are not those of 'movies'; "
    "take a student with the teacher's tokenizer, or a recipe that reads logits of whole rows alone"
)
REGRESSION = (
    "students.other.targets: 'mean' answers for sequence-classification, 'small' is for regression; take targets of that task"
)
NO_STATES = ".targets: distilbert reads hidden states, 'mean' is an ensemble, of logits alone; name one of its sets"


def test_a_file_whose_references_all_resolve_is_accepted(tmp_path: Path):
    params = load(tmp_path, PLAIN)
    assert isinstance(params.students["soft"], Hinton)
    assert isinstance(params.students["deep"], DistilBert)
    assert [params.students[name].epochs for name in ("soft", "deep")] == [2, 9]
    assert params.datasets["books"].tokenizer.hub == "tok"


def test_augmentations_and_ensembles_are_followed_to_data_sets_and_target_sets(tmp_path: Path):
    params = load(tmp_path, COMPOSED)
    assert (params.augmentations["more"].candidates, params.ensembles["pair"].weight) == (15, 0.5)
    assert [params.origin(name) for name in ("movies", "more", "most")] == ["movies"] * 3
    assert (params.members("mean"), params.members("one")) == (("one", "two", "three"), ("one",))


@pytest.mark.parametrize(
    ("base", "path", "value", "complaint"),
    [
        # names that no entry has
        *[
            (PLAIN, path, value, f": no entry {found!r} in {sections}; did you mean {meant!r}?")
            for path, value, found, sections, meant in [
                ("datasets.movies.source", "review", "review", "sources and no folder data/raw/review", "reviews"),
                ("teachers.big.dataset", "movie", "movie", "datasets", "movies"),
                ("targets.full.teacher", "bigg", "bigg", "teachers", "big"),
                ("targets.full.dataset", "moviez", "moviez", "datasets", "movies"),
                ("students.soft.targets", "plane/logits", "plane", "targets", "plain"),
                ("students.soft.dataset", "book", "book", "datasets", "books"),
                ("students.soft.init.from", "data/teachers/bigger", "bigger", "teachers", "big"),
                ("students.second.init.from", "data/students/sofd", "sofd", "students", "soft"),
                ("students.second.init.from", "data/inits/dep", "dep", "students", "deep"),
            ]
        ],
        *[
            (COMPOSED, path, value, f": no entry {value!r} in {sections}; did you mean {meant!r}?")
            for path, value, sections, meant in [
                ("augmentations.more.of", "movie", "datasets or augmentations", "movies"),
                ("augmentations.more.teacher", "bret", "teachers", "bert"),
                ("ensembles.pair.first", "tow", "targets or ensembles", "two"),
                ("ensembles.pair.second", "maen", "targets or ensembles", "mean"),
                ("ensembles.pair.dataset", "mor", "datasets or augmentations", "more"),
                ("students.soft.targets", "meen", "targets or ensembles", "mean"),
                ("targets.augmented.dataset", "mostt", "datasets or augmentations", "most"),
            ]
        ],
        (
            PLAIN,
            "students.soft.init",
            {"from": "data/prepared/moves", "architecture": {}},
            ".from: no entry 'moves' in datasets; did you mean 'movies'?",
        ),
        # two entries whose outputs would be one folder
        (COMPOSED, "augmentations.movies", {"of": "plain", "teacher": "bert"}, TWICE.format("datasets", "prepared/movies")),
        (
            COMPOSED,
            "ensembles.two",
            {"dataset": "movies", "first": "one", "second": "three"},
            TWICE.format("targets", "targets/two"),
        ),
        # what does not fit
        (
            COMPOSED,
            "augmentations.most.of",
            "corpus",
            ": 'corpus' is for masked-lm, expected one of: sequence-classification, multi-label, regression, "
            "token-classification, question-answering, sentence-embedding; the text is its own label: give more text",
        ),
        (
            COMPOSED,
            "augmentations.most.masked_lm",
            "bert",
            ": is called `teacher` now, and may name any teacher",
        ),
        (
            COMPOSED,
            "ensembles.mean.second",
            "augmented",
            ": 'augmented' was computed on 'more', the ensemble is for 'movies'; compute the targets of both teachers on "
            "one data set",
        ),
        (COMPOSED, "students.soft.dataset", "plain", f"students.soft{OTHER_DATA.format('mean', 'plain')}"),
        (PLAIN, "students.soft.dataset", "books", f"students.soft{OTHER_DATA.format('plain', 'books')}"),
        *(  # of vectors a token, another tokenizer is no way out
            (base, f"students.{name}.dataset", "books", f"students.{name}{SAME_DATA.format(targets, 'books')}")
            for base, name, targets in ((TAGGED, "soft", "plain"), (PLAIN, "deep", "full"))
        ),
        (COMPOSED, "students.soft", {**DEEP, "targets": "mean"}, NO_STATES),
        (
            PLAIN,
            "students.deep.targets",
            "full/logits",
            ": distilbert reads hidden states, 'full/logits' is logits alone; write full",
        ),
        (COMPOSED, "students.soft", {**DEEP, "targets": "one", "dataset": "small"}, NO_VECTORS),
        (
            PLAIN,
            "students.soft.recipe",
            "listwise",
            ": listwise compares passages of a query, 'movies' is for sequence-classification; take another, such as hinton",
        ),
        (
            PLAIN,
            "students.soft.init",
            {**INIT, "bi_encoder": True},
            "students.soft.recipe: init.bi_encoder is of ranking, 'movies' is for sequence-classification; remove it",
        ),
        (
            {**PLAIN, "datasets": {name: {"source": "reviews", "task": "ranking"} for name in ("movies", "books")}},
            "students.deep.init",
            {**INIT, "bi_encoder": True},
            "students.deep.recipe: distilbert reads hidden states of query and passage together, a bi-encoder reads them apart; "
            "take margin_mse, listwise or hinton",
        ),
        (COMPOSED, "ensembles.pair.second", "one", ": 'one' is the first already, the mean would be itself; name another"),
        (
            COMPOSED,
            "targets.one.teacher",
            "tagger",
            ": 'tagger' is a teacher of token-classification, 'movies' is for sequence-classification; take a teacher of that",
        ),
        (PLAIN, "targets.full.positions", "all", ": is of masked-lm, 'movies' is for sequence-classification; remove it"),
        (COMPOSED, "datasets.small.task", "regression", REGRESSION),
        (
            changed(COMPOSED, "augmentations.less", {"of": "small", "teacher": "bert"}),
            "students.other",
            {**SOFT, "dataset": "less"},
            ".targets: 'less' has reworded copies, 'movies' has none; reword both or none",
        ),
        (
            changed(COMPOSED, "augmentations.tags-more", {"of": "tags", "teacher": "bert"}),
            "teachers.tagger",
            {"dataset": "tags-more", "checkpoint": {"hub": "bert"}, "folds": 5},
            ".folds: copies of a row, which have its tags, are in other folds than the row; take 'tags' for the teacher, and "
            "'tags-more' for its targets",
        ),
        # settings of sections that tests/core/test_settings.py does not have
        (COMPOSED, "augmentations.more.probability", 1.5, ": expected less than or equal to 1, got 1.5"),
        (COMPOSED, "augmentations.more.copys", 3, ": unknown key; did you mean 'copies'?"),
        (COMPOSED, "ensembles.pair.weight", 1, ": expected less than 1, got 1"),
        (COMPOSED, "ensembles.pair.weigth", 0.5, ": unknown key; did you mean 'weight'?"),
        (PLAIN, "defaults.teachers.batchsize", 3, ": unknown key; did you mean 'batch_size'?"),
    ],
)
def test_what_is_wrong_is_one_line_of_the_entry(tmp_path: Path, base: dict[str, Any], path: str, value: Any, complaint: str):
    lines = refusal(tmp_path, changed(base, path, value))
    own = [line for line in lines if line in (complaint, f"{path}{complaint}")]
    assert len(own) == 1
    assert len(lines) == 1 or path.startswith("defaults.")


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("datasets.movies.task", "masked-lm", "the targets of language models are replayed, a few tokens at a time; set it to 1"),
        (
            "students.deep.recipe",
            "supervised",
            "supervised here reads no logits; set it to 1, or take a recipe that does, such as hinton",
        ),
        (
            "students.deep.recipe",
            "fitnets",
            "fitnets here reads no logits; set it to 1, or take a recipe that does, such as hinton",
        ),
    ],
)
def test_rows_that_a_student_is_worst_at_are_told_by_logits_of_rows(tmp_path: Path, key: str, value: Any, complaint: str):
    content = changed(PLAIN, "students.deep.hardest_of", 4)
    load(tmp_path, content)
    (line,) = [line for line in refusal(tmp_path, changed(content, key, value)) if "hardest_of" in line]
    assert line.startswith("students.deep.hardest_of: ")
    assert line.endswith(complaint)


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        (
            "datasets.movies.task",
            "masked-lm",
            "the labels of masked-lm are the text itself, which no teacher can contradict; set it to null",
        ),
        ("students.deep.recipe", "minilm", "which minilm here does not learn from; set it to null"),
        ("students.deep.hard_weight", 0.0, "which distilbert here does not learn from; set it to null"),
    ],
)
def test_weights_of_rows_are_refused_where_there_are_no_labels_to_doubt(tmp_path: Path, key: str, value: Any, complaint: str):
    content = changed(PLAIN, "students.deep.sample_weight", {"suspect": 0.0})
    assert load(tmp_path, content).students["deep"].sample_weight is not None
    found = [line for line in refusal(tmp_path, changed(content, key, value)) if line.startswith("students.deep.sample_weight: ")]
    assert [line.endswith(complaint) for line in found] == [True]


def test_a_source_is_below_data_raw_even_if_its_name_is_a_folder_elsewhere(tmp_path: Path):
    (tmp_path / "rows").mkdir()
    place = str(tmp_path / "rows")
    lines = refusal(tmp_path, changed(PLAIN, "datasets.movies.source", place))
    assert lines == [f"datasets.movies.source: no entry '{place}' in sources and no folder data/raw/{place}; {REVIEWS}"]


@pytest.mark.parametrize("name", ["own", "own.dvc"])
def test_a_data_set_may_read_data_that_was_put_there_without_a_source(tmp_path: Path, name: str):
    raw = tmp_path / "data" / "raw" / name  # a folder, or a file of `dvc add`
    raw.mkdir(parents=True)
    assert load(tmp_path, changed(PLAIN, "datasets.movies.source", "own")).datasets["movies"].source == "own"


@pytest.mark.parametrize(
    ("base", "path", "value", "entries"),
    [
        (COMPOSED, "augmentations.more.of", "most", {"augmentations.more", "augmentations.most"}),
        (COMPOSED, "augmentations.more.of", "more", {"augmentations.more"}),
        (COMPOSED, "teachers.bert.dataset", "more", {"augmentations.more"}),
        (COMPOSED, "ensembles.pair.first", "mean", {"ensembles.pair", "ensembles.mean"}),
        (COMPOSED, "ensembles.pair.first", "pair", {"ensembles.pair"}),
        (PLAIN, "students.soft.init.from", "data/students/second", {"data/inits/soft", "data/inits/second"}),
        (PLAIN, "students.soft.init.from", "data/inits/second", {"data/inits/soft", "data/inits/second"}),
        (PLAIN, "students.soft.init.from", "data/students/soft", {"data/inits/soft", "data/students/soft"}),
        (ANNOTATED, "students.soft.targets", "answers", {"data/selections/next", "data/targets/answers"}),
    ],
)
def test_what_is_made_from_itself_is_a_cycle(tmp_path: Path, base: dict[str, Any], path: str, value: str, entries: set[str]):
    (line,) = refusal(tmp_path, changed(base, path, value))
    assert ": a cycle, none of these can be made first: data/" in line
    assert line.partition(":")[0] in entries if base is COMPOSED else all(entry in line for entry in entries)


def test_distilbert_without_its_cosine_term_is_content_with_logits(tmp_path: Path):
    content = changed(PLAIN, "students.deep.targets", "plain/logits")
    assert not load(tmp_path, changed(content, "students.deep.cosine_weight", 0)).students["deep"].reads_hidden


OF_ENTRIES = {"datasets.source": "reviews", "teachers.dataset": "movies", "targets.teacher": "big", "students.recipe": "hinton"}


@pytest.mark.parametrize(("key", "value"), [*OF_ENTRIES.items(), ("students.init", {"from": "data/teachers/big"})])
def test_a_default_that_dvc_reads_from_each_entry_is_refused(tmp_path: Path, key: str, value: Any):
    lines = refusal(tmp_path, changed(PLAIN, f"defaults.{key}", value))
    assert f"defaults.{key}: cannot be inherited, dvc.yaml reads it from each entry; write it there" in lines


@pytest.mark.parametrize("key", ["datasets.movies.seed", "teachers.big.seed", "students.soft.seeds", "students.soft.init.seed"])
def test_a_seed_that_numpy_does_not_take_is_refused_before_anything_runs(tmp_path: Path, key: str):
    lines = refusal(tmp_path, changed(PLAIN, key, [2**32] if key.endswith("seeds") else 2**32))
    assert lines[0].endswith(": expected less than 4294967296, got 4294967296")


def test_labels_in_another_order_than_the_teachers_are_refused_before_it_is_trained(tmp_path: Path):
    ordered = changed(changed(PLAIN, "datasets.movies.labels", ["good", "bad"]), "datasets.books.labels", ["bad", "good"])
    assert refusal(tmp_path, changed(ordered, "targets.books", {"teacher": "big", "dataset": "books"})) == [
        "targets.books.teacher: the labels of 'movies', which 'big' learns, are ['good', 'bad'], those of 'books' "
        "['bad', 'good']; give both the same, in one order"
    ]


@pytest.mark.parametrize("task", ["regression", "ranking"])
def test_numbers_have_no_temperature(tmp_path: Path, task: str):
    content = changed(PLAIN, "datasets.movies.task", task)
    assert refusal(tmp_path, changed(content, "students.soft.temperature", 2)) == [
        f"students.soft.temperature: softens distributions, soft targets of {task} are numbers, learnt by squared error; "
        "remove it"
    ]
    load(tmp_path, content)


def test_the_passages_of_a_query_have_a_temperature(tmp_path: Path):
    content = changed(changed(PLAIN, "datasets.movies.task", "ranking"), "students.soft.recipe", "listwise")
    assert load(tmp_path, changed(content, "students.soft.temperature", 2)).students["soft"].recipe == "listwise"


def test_a_random_student_takes_the_longest_rows_or_is_refused(tmp_path: Path):
    init = {"from": "data/prepared/movies", "architecture": {"preset": "tinybert-4"}}
    content = changed(changed(PLAIN, "datasets.movies.max_length", 1000), "students.soft.init", init)
    assert refusal(tmp_path, content) == [
        "students.soft.init.architecture: takes 512 tokens, the max_length of 'movies' is 1000; set max_position_embeddings: 1000"
    ]
    load(tmp_path, changed(content, "students.soft.init.architecture.max_position_embeddings", 1000))
    load(tmp_path, changed(content, "students.soft.init.architecture", {"model_type": "modernbert"}))


def test_a_date_that_dvc_does_not_read_is_to_be_quoted(tmp_path: Path):
    (path := write(tmp_path, changed(PLAIN, "datasets.movies.labels", ["DAY", "never"]))).write_text(
        path.read_text(encoding="utf-8").replace("DAY", "2024-01-31"), encoding="utf-8"
    )
    with pytest.raises(UserError, match=r"datasets.movies.labels.0: YAML reads 2024-01-31 as a date; write it in quotes"):
        load_params(path)


def test_a_selection_asks_a_student_with_a_trained_head_about_training_rows(tmp_path: Path):
    load(tmp_path, ANNOTATED)
    assert refusal(tmp_path, changed(ANNOTATED, "annotators.model.splits", ["test"])) == [
        "annotators.model.splits: 'data/selections/next' has training rows alone; remove it"
    ]
    deep = changed(changed(ANNOTATED, "selections.next.student", "deep"), "students.deep.recipe", "fitnets")
    assert refusal(tmp_path, deep) == [
        "selections.next.student: 'deep' answers nothing: fitnets here trains no head; take one that does"
    ]


def test_what_an_annotator_writes_is_known_before_it_is_asked(tmp_path: Path):
    columns = {"text": "text", "log_probabilities": "log_probabilities"}
    content = changed(ANNOTATED, "given.answers.columns", columns)
    assert load(tmp_path, content)
    assert refusal(tmp_path, changed(content, "annotators.model.log_probabilities", False)) == [
        "given.answers.columns.log_probabilities: data/annotations/model/rows has votes; give that"
    ]
    votes = changed(ANNOTATED, "given.answers.columns", {"text": "text", "votes": "votes"})
    assert load(tmp_path, changed(votes, "annotators.model.log_probabilities", False))


def test_actors_are_of_ray_alone(tmp_path: Path):
    content = changed(PLAIN, "targets.full.workers", 4)
    assert refusal(tmp_path, content) == [
        "targets.full: workers: is of engine: ray, which makes actors; set that, or remove workers"
    ]
    assert load(tmp_path, changed(content, "targets.full.engine", "ray")).targets["full"].workers == 4


def test_any_encoder_gives_vectors_whatever_it_was_trained_for(tmp_path: Path):
    content = changed(PLAIN, "datasets.books.task", "sentence-embedding")
    load(tmp_path, changed(content, "targets.books", {"teacher": "big", "dataset": "books"}))


@pytest.mark.parametrize(
    ("path", "value", "lines"),
    [
        ("defaults.teachers.epochs", -1, ["teachers.big.epochs: expected greater than or equal to 0, got -1"]),
        ("defaults.targets.positions", "all", [f"targets.{name}.positions: is of masked-lm, " for name in ("full", "plain")]),
        ("defaults.datasets.maskings", 2, [f"datasets.{name}: maskings: belongs to masked-lm, " for name in ("books", "movies")]),
    ],
)
def test_what_is_wrong_with_an_inherited_setting_says_where_it_stands(tmp_path: Path, path: str, value: Any, lines: list[str]):
    found = sorted(refusal(tmp_path, changed(PLAIN, path, value)))
    section = path.rpartition(".")[0]
    assert [line.startswith(start) for line, start in zip(found, lines, strict=True)] == [True] * len(lines)
    assert all(line.endswith(f" (it stands in {section})") for line in found)


def test_mistakes_of_several_entries_are_all_reported(tmp_path: Path):
    lines = refusal(tmp_path, changed(changed(PLAIN, "teachers.big.epochs", "many"), "students.soft.alpha", 2))
    assert [line.partition(": ")[0] for line in lines] == ["teachers.big.epochs", "students.soft.alpha"]


def test_a_missing_key_is_told_once(tmp_path: Path):
    told = "ensembles.mean.second: is missing; give it"
    assert refusal(tmp_path, changed(COMPOSED, "ensembles.mean", {"dataset": "movies", "first": "one"})) == [told]


def test_a_file_without_any_entry_is_refused(tmp_path: Path):
    content = {"defaults": {section: {} for section in SECTIONS}, **{section: {} for section in SECTIONS}}
    assert refusal(tmp_path, content) == ["no entries at all; add one to sources, datasets, teachers, targets and students"]


def test_the_json_schema_in_the_repository_is_current_and_accepts_what_loading_does():
    written = (ROOT / "params.schema.json").read_text(encoding="utf-8")
    assert written == to_json(SCHEMA), "run `python -m distill schema > params.schema.json`"
    jsonschema.Draft202012Validator.check_schema(json.loads(written))
    jsonschema.validate(read_yaml(ROOT / "params.yaml"), json.loads(written))
    params = load_params(ROOT / "params.yaml")
    assert params.students
    assert params.teachers
    jsonschema.validate(PLAIN, SCHEMA)  # entries inherit what they need


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
    content = changed(PLAIN, path, value)
    with pytest.raises(UserError):
        load(tmp_path, content)
    del content["defaults"]["datasets"]
    for dataset in content["datasets"].values():
        dataset.setdefault("tokenizer", TOKENIZER)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, SCHEMA)


@pytest.mark.parametrize(("key", "value"), [("folds", 3), ("seeds", [2, 3])])
def test_a_teacher_of_masked_lm_has_no_further_ones(tmp_path: Path, key: str, value: object):
    given = changed(changed(COMPOSED, "teachers.bert.epochs", 1), f"teachers.bert.{key}", value)
    complaint = f"teachers.bert.{key}: 'corpus' is for masked-lm, which has no labels to learn by heart; remove {key}"
    assert complaint in refusal(tmp_path, given)


STUDENT = {"recipe": "divergence", "dataset": "web", "targets": "web", "init": {"from": "data/teachers/gpt", "depth": 2}}
DECODERS: dict[str, Any] = {
    "defaults": {"datasets": {"tokenizer": TOKENIZER}},
    "sources": {"web": {"path": "web.csv"}},
    "datasets": {"web": {"source": "web", "task": "causal-lm"}, "movies": {"source": "web"}},
    "teachers": {
        "gpt": {"dataset": "web", "checkpoint": {"hub": "gpt"}},
        "bert": {"dataset": "movies", "checkpoint": {"hub": "bert"}},
    },
    "targets": {"web": {"teacher": "gpt", "dataset": "web"}, "movies": {"teacher": "bert", "dataset": "movies"}},
    "students": {"small": STUDENT},
}
SEEN = "in causal-lm have seen nothing but themselves; take another"


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        (
            "targets.web.positions",
            "all",
            "targets.web.positions: causal-lm masks nothing; what is kept is of all tokens that are",
        ),
        ("targets.web.cls", [2], "targets.web.cls: in 'web' (causal-lm) a first token has seen nothing but itself; remove it"),
        ("teachers.gpt.seeds", [2, 3], "teachers.gpt.seeds: 'web' is for causal-lm, which has no labels to learn by heart"),
        ("students.small.targets", "web/logits", "students.small.targets: logits of causal-lm are replayed, 'web/logits' lacks"),
        ("students.small.recipe", "pkd", f"students.small.recipe: pkd compares first tokens, which {SEEN}"),
        (
            "students.small",
            {**STUDENT, "dataset": "movies", "targets": "movies"},
            "students.small.recipe: divergence is for causal-lm, 'movies' is for sequence-classification; take another",
        ),
        (
            "targets.movies.logits_as",
            "top-k",
            "targets.movies.logits_as: is of causal-lm, 'movies' is for sequence-classification",
        ),
        ("targets.web.top_k", 8, "targets.web: top_k: is of logits_as: top-k, this is replay; set that, or remove top_k"),
        ("students.small.skew", 0.2, "students.small: skew: not of divergence forward-kl, which takes soft_weight"),
        ("students.small.soft_weight", 0, "students.small: soft_weight, hard_weight, cosine_weight: all are 0"),
        ("students.small.sample_weight", {"suspect": 0.5}, "students.small.sample_weight: weighs the loss against the labels"),
        (
            "students.small",
            {**STUDENT, "hard_weight": 1.0, "sample_weight": {"suspect": 0.5}},
            "students.small.sample_weight: the labels of causal-lm are the text itself, which no teacher can contradict",
        ),
    ],
)
def test_what_a_decoder_has_none_of_is_refused(tmp_path: Path, path: str, value: Any, complaint: str):
    assert load(tmp_path, DECODERS).students["small"].recipe == "divergence"
    assert [line for line in refusal(tmp_path, changed(DECODERS, path, value)) if line.startswith(complaint)]


PART = changed(DECODERS, "targets.web.logits_as", "top-k")


@pytest.mark.parametrize(
    ("settings", "complaint", "advice"),
    [
        ({"divergence": "reverse-kl"}, "divergence: reverse-kl asks for the whole distribution", {"divergence": "forward-kl"}),
        ({"temperature": 2.0}, "temperature: what is kept is of the temperature 1, got 2; set", {"temperature": 1}),
        ({"cosine_weight": 1.0}, "cosine_weight: compares last states, of which nothing is kept; set", {"cosine_weight": 0}),
        ({"recipe": "hinton"}, "recipe: hinton compares whole distributions; set", {"recipe": "divergence"}),
    ],
)
def test_what_asks_for_whole_distributions_is_refused_where_a_part_is_kept_and_both_advices_help(
    tmp_path: Path, settings: dict[str, Any], complaint: str, advice: dict[str, Any]
):
    (line,) = refusal(tmp_path, changed(PART, "students.small", {**STUDENT, **settings}))
    assert line.startswith(f"students.small.{complaint}")
    assert line.endswith("or logits_as: replay of targets.web, which keeps top-k")
    assert load(tmp_path, changed(PART, "students.small", {**STUDENT, **settings, **advice}))
    assert load(tmp_path, changed(DECODERS, "students.small", {**STUDENT, **settings}))


@pytest.mark.parametrize("settings", [{}, {"hard_weight": 2.0}, {"recipe": "supervised"}, {"soft_weight": 0, "hard_weight": 1}])
def test_the_forward_kl_at_temperature_1_and_labels_do_with_a_part(tmp_path: Path, settings: dict[str, Any]):
    assert load(tmp_path, changed(PART, "students.small", {**STUDENT, **settings}))
    assert load(tmp_path, changed(PART, "targets.web", {"teacher": "gpt", "dataset": "web", "logits_as": "draws", "draws": 3}))


TALKS: dict[str, Any] = changed(
    {
        **DECODERS,
        "given": {"api": {"table": "data/raw/web", "dataset": "talks", "columns": {"id": "id", "logprobs": "logprobs"}}},
        "students": {"small": {**STUDENT, "dataset": "talks", "targets": "api"}},
    },
    "datasets.talks",
    {"source": "web", "task": "causal-lm", "columns": {"messages": "messages", "id": "id"}},
)


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        ("given.api.dataset", "movies", "given.api.columns.logprobs: are of conversations of causal-lm, 'movies' is for"),
        ("given.api.dataset", "web", "given.api.dataset: the rows of 'web' are blocks of texts, which no server answers"),
        ("given.api.columns", {"id": "id", "label": "x"}, "given.api.columns.label: causal-lm takes logprobs of responses"),
        ("given.api.columns", {"text": "t", "logprobs": "x"}, "given.api.columns.id: answers are found by the rows' own ids"),
        ("given.api.missing", "skip", "given.api: missing: of logprobs every training row needs its answer"),
        ("students.small.temperature", 2.0, "students.small.temperature: what is kept is of the temperature 1, got 2"),
    ],
)
def test_logprobs_are_of_conversations_with_ids_and_do_for_the_forward_kl(tmp_path: Path, path: str, value: Any, complaint: str):
    assert load(tmp_path, TALKS).given["api"].columns.form == "logprobs"
    assert [line for line in refusal(tmp_path, changed(TALKS, path, value)) if line.startswith(complaint)]


KIT_COLUMNS = {"input_ids": "tokens", "compressed_logprobs": "logs", "bytepacked_indices": "ids"}
COMPRESSION: dict[str, Any] = {"d": 50257, "k": 50, "exact_k": 1, "polynomial_terms": [0, 1, "sqrt"], "residual_bins": []}
KIT: dict[str, Any] = changed(
    {
        **DECODERS,
        "given": {
            "kit": {"table": "data/raw/web", "dataset": "rows", "columns": KIT_COLUMNS, "compression": COMPRESSION},
        },
        "students": {"small": {**STUDENT, "dataset": "rows", "targets": "kit"}},
    },
    "datasets.rows",
    {"source": "web", "task": "causal-lm", "columns": {"input_ids": "tokens"}},
)


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        ("given.kit.dataset", "movies", "given.kit.columns.compressed_logprobs: are of tokenized rows of causal-lm, 'movies' is"),
        (
            "given.kit.dataset",
            "web",
            "given.kit.dataset: the rows of 'web' are not those of the table; give them by columns.input",
        ),
        ("given.kit.columns", {"input_ids": "t", "label": "x"}, "given.kit.columns: input_ids, compressed_logprobs, bytepacked_"),
        ("given.kit.columns", {**KIT_COLUMNS, "id": "id"}, "given.kit.columns: expected one column of whose answers these are"),
        (
            "given.kit.columns.bytepacked_indices",
            None,
            "given.kit.columns: input_ids, compressed_logprobs, bytepacked_indices go",
        ),
        ("given.kit.compression", None, "given.kit: compression: is missing; copy it from the compression_config.yaml"),
        (
            "given.kit.missing",
            "skip",
            "given.kit: missing: of compressed_logprobs every training row needs its answer; remove it",
        ),
        ("given.kit.temperature", 2.0, "given.kit: temperature: is of labels, the answers are logprobs of tokens; remove it"),
        ("given.kit.labels", ["a", "b"], "given.kit: labels: is of labels, the answers are logprobs of tokens; remove it"),
        ("given.kit.votes", {"prior": 1.0}, "given.kit: votes: smooths votes and labels, the answers are compressed_logprobs"),
        ("given.kit.compression.depth", 3, "given.kit.compression.depth: unknown key"),
        ("given.kit.compression.d", None, "given.kit.compression.d: expected "),
        ("given.kit.compression.exact_k", 51, "given.kit.compression: expected exact_k <= k <= d, got 51, 50, 50257"),
        ("given.kit.compression.polynomial_terms", None, "given.kit.compression: says nothing of 49 of 50 values; give poly"),
        (
            "given.kit.compression.polynomial_terms",
            ["log"],
            "given.kit.compression.polynomial_terms.0: expected a power from 0 on, sqrt or",
        ),
        (
            "given.kit.compression.residual_bins",
            [{"scale_dtype": "float16", "element_bits": 4, "num_elements": 50}],
            "given.kit.compression: residual_bins: hold 50 values, expected at most k - exact_k, 49",
        ),
        (
            "given.kit.compression.residual_bins",
            [{"scale_dtype": "float16", "element_bits": 65, "num_elements": 5}],
            "given.kit.compression.residual_bins.0.element_bits: expected less than or equal to 64, got 65",
        ),
        ("given.kit.compression.exact_dtype", "float8", "given.kit.compression.exact_dtype: expected 'float16', 'bfloat16'"),
        ("students.small.temperature", 2.0, "students.small.temperature: what is kept is of the temperature 1, got 2"),
    ],
)
def test_compressed_log_probabilities_are_of_tokenized_rows_with_the_settings_they_were_written_with(
    tmp_path: Path, path: str, value: Any, complaint: str
):
    assert load(tmp_path, KIT).given["kit"].compression is not None
    assert [line for line in refusal(tmp_path, changed(KIT, path, value)) if line.startswith(complaint)]


def test_other_tables_are_refused_for_tokenized_rows(tmp_path: Path):
    """Those of a server need conversations, those of labels have none here."""
    for columns, complaint in (
        (
            {"id": "id", "logprobs": "x"},
            "columns.logprobs: are of conversations, the rows of 'rows' are tokens; give compressed_",
        ),
        (
            {"id": "id", "label": "x"},
            "columns.label: causal-lm takes compressed_logprobs of such rows; give these, or let a teacher",
        ),
    ):
        given = {"table": "data/raw/web", "dataset": "rows", "columns": columns}
        assert [line for line in refusal(tmp_path, changed(KIT, "given.kit", given)) if line.startswith(f"given.kit.{complaint}")]
    only = {"id": "id", "label": "x"}
    movies = changed(
        KIT, "given.kit", {"table": "data/raw/web", "dataset": "movies", "columns": only, "compression": COMPRESSION}
    )
    assert [line for line in refusal(tmp_path, movies) if "compression: is of compressed_logprobs, the answers are label" in line]
