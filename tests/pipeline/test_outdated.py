"""What is told or published of results that params.yaml no longer asks for, of a project of which DVC holds that all is done."""

import shutil
from pathlib import Path

import pytest

from distill.commands import choose, publish
from distill.pipeline.jobs import outdated
from tests.command_line import invoke, refusal
from tests.projects import copy, stand_in
from tests.reports import write_json


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a teacher and two students."""
    return stand_in(tmp_path_factory.mktemp("outdated") / "project")


@pytest.fixture
def project(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to edit, the working folder."""
    monkeypatch.chdir(copy(base, tmp_path / "project"))
    return Path.cwd()


def replace(file: Path, old: str, new: str) -> None:
    """Edit a file, which may be a link into DVC's cache."""
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.unlink()
    file.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "stages"),
    [
        ("    temperature: 4", "    temperature: 3", ["student@hinton"]),
        ("  teachers: {epochs: 1", "  teachers: {epochs: 2", ["teacher@tiny"]),
        ("  tiny: {source: tiny, max_length: 16}", "  tiny: {source: tiny, max_length: 12}", ["prepare@tiny"]),
        ("defaults:", "# nothing that a stage reads\ndefaults:", []),
    ],
)
def test_an_edit_of_params_yaml_outdates_what_it_is_read_by(project: Path, old: str, new: str, stages: list[str]) -> None:
    assert outdated("export@hinton") == []
    replace(project / "params.yaml", old, new)
    found = outdated("export@hinton")
    assert set(stages) <= set(found) if stages else found == []


def test_an_edit_of_another_student_outdates_none_and_the_report(project: Path) -> None:
    replace(project / "params.yaml", "    batch_size: 4\n", "    batch_size: 8\n")
    assert outdated("export@hinton") == []
    assert {"student@distilbert", "report"} <= set(outdated("report"))
    for metrics in (project / "data/metrics").rglob("*.json"):
        metrics.unlink()
        write_json(metrics, {})
    write_json(project / "data/metrics/benchmark.json", {"students": {}, "teachers": {}})
    assert "of before an edit of params.yaml or of data: " in invoke(choose.main).stderr


def test_files_that_were_not_pulled_and_code_outdate_nothing(project: Path) -> None:
    (project / "data/teachers/tiny/stand-in").unlink()
    (project / "data/teachers/tiny").rmdir()
    shutil.rmtree(project / "data/jobs")
    replace(project / "distill/tasks/scoring.py", "import", "# edited\nimport")
    assert outdated("export@hinton") == []


@pytest.mark.parametrize("place", ["hf://datasets/me/tiny", "memory://targets/tiny"])
def test_a_target_set_is_not_published_with_a_card_of_other_settings_or_as_what_params_yaml_says(
    project: Path, place: str
) -> None:
    replace(project / "params.yaml", "dataset: tiny, hidden: [-1]}", "dataset: tiny, hidden: [-1], codec: fp16}")
    line = refusal(invoke(publish.main, "tiny", place))
    assert line == (
        "data/targets/tiny: is of before an edit of params.yaml or of data (targets@tiny); run `dvc repro targets@tiny`"
    )


def test_a_student_that_was_trained_again_is_not_published_with_its_old_export(project: Path) -> None:
    (project / "data/exports/students/hinton/README.md").write_text("---\n---\n", encoding="utf-8")
    replace(project / "data/students/hinton/stand-in", "hinton", "trained again")
    line = refusal(invoke(publish.main, "hinton", "--hub", "me/hinton"))
    assert line.startswith("data/exports/students/hinton: is of before an edit of params.yaml or of data (")
    assert "student@hinton" in line
    assert line.endswith("; run `dvc repro export@hinton`")
