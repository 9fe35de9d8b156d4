"""dvc.yaml lists what the stages import, and imports point downwards."""

import graphlib
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from distill.commands.check import READ_WHOLE
from distill.params.base import SECTIONS
from tests.closures import ITS_RECIPE, ROOT, closure, imported, needed

PIPELINE: dict[str, Any] = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
FOREACH = {name: stage["foreach"] for name, stage in PIPELINE.items() if "foreach" in stage}
STAGES: dict[str, dict[str, Any]] = {name: stage.get("do", stage) for name, stage in PIPELINE.items()}
MODULES = sorted(file for file in (ROOT / "distill").rglob("*.py") if file.stat().st_size)
LAYERS = (
    ("errors", "checkpointing", "devices", "duplicates", "losses", "measures", "prefetching", "presets"),
    ("attention", "console", "files", "layers", "params", "places", "stacks"),
    ("arguments", "choosing", "encoders", "prepared", "processes", "progress", "progressive", "remote", "shapes", "sources"),
    ("tokenization",),
    ("alignment", "data", "labels", "masking", "padding", "tasks"),
    ("audit_lines", "batches", "conversion", "detail", "models", "objectives", "splits", "students", "windows"),
    ("birth", "evaluation", "learner", "preparers", "targets"),
    ("auditing", "augmentation", "exports", "jobs", "measuring", "preparation", "recipes", "training"),
    ("benchmark", "distillation", "params/whole"),
    ("params/needs", "report"),
    ("planning", "prediction"),
    ("commands",),
    ("__main__",),
)
"""The parts of distill/ from the ground up: a part imports from the layers below its own, and from itself. The modules of params/
that look at all sections together stand above the recipes, whose settings they check."""
PARTS = {name for layer in LAYERS for name in layer}


def script(command: str) -> Path:
    """The file that a stage's command runs."""
    name = re.match(r"exec python -m (\S+)", command)[1]
    file = ROOT / Path(*name.split(".")).with_suffix(".py")
    return file if file.exists() else ROOT / name / "__main__.py"


def paths(entries: list[Any]) -> list[str]:
    """Outs and deps without their options."""
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def module(file: Path) -> str:
    """`params/base` for distill/params/base.py."""
    return file.relative_to(ROOT / "distill").with_suffix("").as_posix()


def part(file: Path) -> str:
    """`params` for distill/params/base.py, `files` for distill/files.py; `params/whole` is a part of its own."""
    name = module(file)
    return name if name in PARTS else name.partition("/")[0]


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_the_library_files_that_it_imports_and_on_what_lies_beside_them(name: str) -> None:
    listed = [path for path in paths(STAGES[name]["deps"]) if path.startswith(("distill/", "stages/"))]
    code = needed(script(STAGES[name]["cmd"]))
    folders = {(ROOT / path).parent for path in code} - {ROOT / "stages", ROOT / "distill"}
    resources = {
        file.relative_to(ROOT).as_posix()
        for folder in folders
        for file in folder.iterdir()
        if file.is_file() and file.suffix not in {".py", ".pyc"}
    }
    assert sorted(listed) == sorted(code | resources)


def test_a_student_depends_on_no_recipe_but_its_own() -> None:
    recipes = [path for path in paths(STAGES["student"]["deps"]) if path.startswith("distill/recipes/")]
    assert sorted(recipes) == [ITS_RECIPE, *(f"distill/recipes/{name}.py" for name in ("base", "loading", "soft"))]


def test_every_script_in_stages_is_run_by_a_stage() -> None:
    assert {script(stage["cmd"]).name for stage in STAGES.values()} >= {file.name for file in (ROOT / "stages").glob("*.py")}


def test_stages_are_made_of_the_sections_of_params_yaml() -> None:
    assert set(FOREACH.values()) == {f"${{{section}}}" for section in SECTIONS if section != "exports"}


def test_all_outputs_and_all_inputs_but_the_code_stand_under_data() -> None:
    for stage in STAGES.values():
        outs = paths([*stage.get("outs", []), *stage.get("metrics", [])])
        deps = [path for path in paths(stage["deps"]) if not path.startswith(("distill/", "stages/"))]
        for path in [*outs, *deps]:
            assert path.startswith("data/") or path == "${item.init.from}"  # which params/students.py holds to data/


def test_no_output_persists_and_only_scores_and_times_are_kept_from_the_cache() -> None:
    for name, stage in STAGES.items():
        entries = [*stage.get("outs", []), *stage.get("metrics", [])]
        uncached = [next(iter(entry.values())) for entry in entries if isinstance(entry, dict)]
        assert uncached == ([{"cache": False}] if name.startswith(("evaluate", "benchmark")) else [])


def test_a_command_takes_the_place_of_its_shell_so_that_it_is_a_child_of_dvc_and_ends_with_it() -> None:
    assert all(stage["cmd"].startswith("exec ") for stage in STAGES.values())


def test_a_command_names_an_entry_and_no_setting_of_it() -> None:
    for name in FOREACH:
        assert re.findall(r"\$\{.*?\}", STAGES[name]["cmd"]) == ["${key}"]


def test_all_of_params_yaml_is_checked_before_data_is_touched() -> None:
    assert STAGES["check"]["params"] == ["defaults", *SECTIONS]
    stamp, jobs = STAGES["check"]["outs"]
    assert [name for name, stage in STAGES.items() if any(path.startswith(jobs) for path in paths(stage["deps"]))] == [
        "export-teacher",
        "export",
    ]
    assert [name for name, stage in STAGES.items() if stamp in stage["deps"]] == ["fetch", "prepare"]


def test_folders_that_stages_read_whole_are_made_by_the_first_stage_where_no_entry_fills_them() -> None:
    whole = {path for name in ("benchmark", "report") for path in paths(STAGES[name]["deps"]) if path.startswith("data/")}
    assert whole - {"data/metrics/benchmark.json"} == {path for places in READ_WHOLE.values() for path in places}


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    graph = {module(file): {module(other) for other in imported(file)} for file in MODULES}
    assert set(graphlib.TopologicalSorter(graph).static_order()) == set(graph)


def test_every_part_of_the_library_has_its_layer() -> None:
    assert len(PARTS) == sum(len(layer) for layer in LAYERS)
    assert {part(file) for file in MODULES} == PARTS


@pytest.mark.parametrize("file", MODULES, ids=module)
def test_imports_point_downwards(file: Path) -> None:
    height = {name: number for number, layer in enumerate(LAYERS) for name in layer}
    others = {part(other) for other in imported(file)} - {part(file)}
    assert {other for other in others if height[other] >= height[part(file)]} == set()


@pytest.mark.parametrize("file", [file for file in MODULES if part(file) == "losses"], ids=module)
def test_losses_import_nothing_of_the_project(file: Path) -> None:
    assert imported(file) == set()


@pytest.mark.parametrize("file", [file for file in MODULES if part(file) == "params"], ids=module)
def test_params_import_only_one_another_and_what_imports_nothing_heavy(file: Path) -> None:
    assert {part(other) for other in imported(file)} <= {"params", "errors", "layers", "presets"}


@pytest.mark.parametrize("file", [file for file in MODULES if part(file) == "targets"], ids=module)
def test_the_target_store_knows_nothing_of_students(file: Path) -> None:
    known = {part(ROOT / path) for path in closure(file)}
    assert known.isdisjoint({"recipes", "training", "students", "distillation", "birth", "params"})


def test_the_library_does_not_import_the_stages() -> None:
    for file in MODULES:
        assert not re.search(r"^\s*(from|import) stages\b", file.read_text(encoding="utf-8"), re.MULTILINE)


def test_package_files_are_empty() -> None:
    files = [*(ROOT / "distill").rglob("__init__.py"), *(ROOT / "stages").rglob("__init__.py")]
    assert [file for file in files if file.stat().st_size] == []
