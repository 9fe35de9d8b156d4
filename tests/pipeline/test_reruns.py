"""What an edit of the code reruns, by DVC itself, is what the table of CONTRIBUTING.md says."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.closures import FLOORS, ROOT
from tests.projects import all_stages, copy, outdated, run, run_stages, stand_in

PARAMS = """\
defaults:
  datasets: {tokenizer: {path: ORIGIN/checkpoint}, max_length: 16}
  teachers: {checkpoint: {path: ORIGIN/checkpoint}}
  students: {}
sources: {rows: {path: ORIGIN/rows}, pool: {path: ORIGIN/rows}}
datasets: {rows: {source: rows}, taught: {source: rows, transfer: [pool]}, corpus: {source: rows, task: masked-lm}}
teachers: {first: {dataset: rows}, second: {dataset: rows}, words: {dataset: corpus, epochs: 0}}
augmentations: {more: {of: rows, teacher: words}}
targets: {one: {teacher: first, dataset: rows, hidden: [-1]}, two: {teacher: second, dataset: rows}}
given: {api: {table: data/raw/pool, dataset: rows, columns: {text: text, label: label}}}
annotators: {llm: {rows: data/prepared/rows, model: small}}
selections: {hard: {rows: data/annotations/llm, student: soft, count: 5}}
ensembles: {mean: {first: one, second: two, dataset: rows}}
students:
  soft: {recipe: hinton, dataset: rows, targets: mean, init: {from: data/teachers/first, depth: 2}}
  hidden: {recipe: distilbert, dataset: rows, targets: one, init: {from: data/teachers/first, depth: 2}}
"""
ROW = re.compile(r"^\| `distill/([\w/.]+)` \| (.+) \|$", re.MULTILINE)
EDITED = {"targets/materialization": "materialize.py", "targets/verification": "integrity.py", "pipeline": "project.py"}
"""The file that is edited of a package; any other's is its first."""


def table() -> dict[str, set[str]]:
    """The rows of the table: a package or a file, and the stages that an edit in it reruns."""
    rows = ROW.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    return {place: set() if stages == "nothing" else set(re.findall(r"[\w@-]+", stages)) for place, stages in rows}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with an entry in every section, of which DVC holds that all is done."""
    return stand_in(tmp_path_factory.mktemp("reruns") / "project", PARAMS)


@pytest.fixture(scope="module")
def stages(project: Path) -> dict[str, set[str]]:
    """Each stage as the table has it, and the names that DVC has for its entries."""
    groups: dict[str, set[str]] = {}
    for name in all_stages(project):
        groups.setdefault(name.partition("@")[0].removesuffix("-teacher"), set()).add(name)
    return groups


def reruns(project: Path, stages: dict[str, set[str]]) -> set[str]:
    """The stages that DVC would run: by entry where not all of a stage's rerun."""
    changed = outdated(project)
    whole = {stage for stage, names in stages.items() if names <= changed}
    return whole | changed - set().union(*(stages[stage] for stage in whole))


@pytest.fixture
def edited(project: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """The project with a comment more in one file of a package."""
    place = project / "distill" / request.param
    file = place if place.suffix else place / EDITED.get(request.param, sorted(f.name for f in place.glob("[a-z]*.py"))[0])
    before = file.read_bytes()
    file.write_bytes(before + b"# an edit\n")
    yield project
    file.write_bytes(before)


def test_nothing_reruns_without_an_edit_and_the_table_has_every_package(project: Path, stages: dict[str, set[str]]) -> None:
    assert reruns(project, stages) == set()
    assert {place.partition("/")[0] for place in table()} == {name for floor in FLOORS for name in floor}


@pytest.mark.parametrize(("edited", "told"), table().items(), ids=table(), indirect=["edited"])
def test_an_edit_reruns_what_the_table_says(edited: Path, stages: dict[str, set[str]], told: set[str]) -> None:
    assert reruns(edited, stages) == told


def test_a_changed_source_of_transfer_rows_reruns_the_data_sets_that_learn_from_it_alone(project: Path, tmp_path: Path) -> None:
    folder = copy(project, tmp_path / "project")
    transfers = [name for name in all_stages(folder) if name.startswith("transfer@")]
    run_stages(folder, *transfers)
    run(folder, "dvc commit --force")
    (folder / "data" / "raw" / "pool" / "more.csv").write_text("text\nnew\n", encoding="utf-8")
    assert outdated(folder) == {"fetch@pool", "given@api", *transfers}
    run_stages(folder, *transfers)
    assert outdated(folder) == {"fetch@pool", "given@api", *transfers, "prepare@taught"}
