"""dvc.yaml names the code that each stage imports, as packages where a stage uses most of one, and imports point downwards."""

import graphlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.closures import FLOORS, ITS_RECIPE, ROOT, arrows, closure, imported, needed, package
from tests.house import JOBS, PICTURE, picture

PIPELINE: dict[str, Any] = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
STAGES: dict[str, dict[str, Any]] = {name: stage.get("do", stage) for name, stage in PIPELINE.items()}
MODULES = sorted(file for file in (ROOT / "distill").rglob("*.py") if file.stat().st_size)
ABOVE_THE_STORE = {"recipes", "training", "students", "pipeline", "report"}


def script(command: str) -> Path:
    """The file that a stage's command runs."""
    name = re.match(r"exec python -m (\S+)", command)[1]
    return ROOT / Path(*name.split(".")).with_suffix(".py")


def paths(entries: list[Any]) -> list[str]:
    """Outs and deps without their options."""
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def code(name: str) -> list[str]:
    """The files and folders of code that a stage depends on."""
    return [path for path in paths(STAGES[name].get("deps", [])) if path.startswith(("distill/", "stages/"))]


def holds(dep: str, path: str) -> bool:
    return path == dep or path.startswith(f"{dep}/")


def module(file: Path) -> str:
    """`params/targets` for distill/params/targets.py."""
    return file.relative_to(ROOT / "distill").with_suffix("").as_posix()


@pytest.mark.parametrize("name", sorted(STAGES.keys() - {"check"}))
def test_a_stage_depends_on_all_that_it_imports_as_files_where_it_needs_one_alone_and_on_nothing_else(name: str) -> None:
    files, listed = needed(script(STAGES[name]["cmd"])), code(name)
    assert {path for path in files if not any(holds(dep, path) for dep in listed)} == set()
    assert {dep for dep in listed if not any(holds(dep, path) for path in files)} == set()
    assert listed == sorted(listed)
    assert 2 <= len(listed) <= 18
    folders = {path for path in listed if not path.endswith(".py")}
    assert folders.isdisjoint({"distill/commands", "distill/targets", "distill"})
    assert "distill/params" not in folders


def test_a_student_depends_on_no_recipe_but_its_own() -> None:
    recipes = [path for path in code("student") if path.startswith("distill/recipes")]
    assert recipes == [ITS_RECIPE, "distill/recipes/loading.py", "distill/recipes/terms"]


def test_what_few_stages_need_reaches_them_alone() -> None:
    for folder in ("distill/losses", "distill/recipes"):
        assert {name for name in STAGES if any(path.startswith(folder) for path in code(name))} == {"student"}
    for folder, stages in {"export": {"export", "export-teacher"}, "benchmark": {"benchmark"}, "report": {"report"}}.items():
        assert {name for name in STAGES if f"distill/{folder}" in code(name)} == stages


def test_the_pipeline_is_readable_on_a_few_screens() -> None:
    assert len((ROOT / "dvc.yaml").read_text(encoding="utf-8").splitlines()) <= 400


def test_every_script_in_stages_is_run_by_a_stage() -> None:
    assert {script(stage["cmd"]).name for stage in STAGES.values()} >= {file.name for file in (ROOT / "stages").glob("*.py")}


@pytest.mark.parametrize("name", sorted(name for name, stage in STAGES.items() if "params" in stage and name != "audit"))
def test_a_stage_whose_entry_is_edited_while_it_runs_gives_its_output_no_name(name: str) -> None:
    """DVC reads params.yaml when a stage has ended. Of `audit`, the one key makes it depend on other rows too."""
    text = script(STAGES[name]["cmd"]).read_text(encoding="utf-8")
    (section,) = {key.split(".")[0] for key in STAGES[name]["params"]}
    inside = text[
        re.search(r"with (atomic_folder|written_once)\(Path\(|with (atomic_folder|written_once)\(out\)", text).start() :
    ]
    assert re.search(rf'^ {{8,}}require_unedited\(PARAMS, "{section}", name, ', inside, re.MULTILINE)


def test_a_script_hides_no_module_of_python_from_those_who_run_it_by_its_path() -> None:
    assert not {file.stem for file in (ROOT / "stages").glob("*.py")} & sys.stdlib_module_names
    script = [sys.executable, "stages/selection.py", "--help"]
    assert subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=True).stdout.startswith("Usage: selection.py")


def test_all_outputs_and_all_inputs_but_the_code_stand_under_data() -> None:
    for name, stage in STAGES.items():
        outs = paths([*stage.get("outs", []), *stage.get("metrics", [])])
        for path in [*outs, *sorted({*paths(stage.get("deps", []))} - {*code(name)})]:
            assert path.startswith("data/") or path in (
                "${item.init.from}",
                "${item.rows}",
                "${item.table}",
            )  # which params/ holds to data/


def test_check_runs_each_time_and_what_it_wrote_before_is_there_for_it_to_read() -> None:
    assert STAGES["check"].keys() == {"cmd", "always_changed", "outs"}
    assert STAGES["check"]["always_changed"] is True
    assert STAGES["check"]["outs"] == [{"data/jobs": {"persist": True}}]
    assert not any("always_changed" in stage for name, stage in STAGES.items() if name != "check")


def test_no_other_output_persists_and_only_scores_and_times_are_kept_from_the_cache() -> None:
    for name in STAGES.keys() - {"check"}:
        entries = [*STAGES[name].get("outs", []), *STAGES[name].get("metrics", [])]
        uncached = [next(iter(entry.values())) for entry in entries if isinstance(entry, dict)]
        assert uncached == ([{"cache": False}] if name.startswith(("evaluate", "benchmark")) else [])


def test_a_command_takes_the_place_of_its_shell_to_be_a_child_of_dvc_and_names_an_entry_and_no_setting_of_it() -> None:
    for name, stage in STAGES.items():
        assert stage["cmd"].startswith("exec ")
        assert re.findall(r"\$\{.*?\}", stage["cmd"]) == ["${key}"] * ("foreach" in PIPELINE[name])


def test_modules_and_packages_do_not_import_each_other_in_a_circle() -> None:
    graph = {module(file): {module(other) for other in imported(file)} for file in MODULES}
    assert set(graphlib.TopologicalSorter(graph).static_order()) == set(graph)
    assert set(graphlib.TopologicalSorter(arrows()).static_order()) == set(arrows())


def test_the_top_of_the_library_holds_packages_and_each_has_its_floor_and_its_job() -> None:
    assert {file.name for file in (ROOT / "distill").glob("*.py")} == {"__init__.py", "__main__.py"}
    packages = {package(file) for file in MODULES} - {"__main__"}
    assert sorted(name for floor in FLOORS for name in floor) == sorted(packages)
    assert set(JOBS) == packages


@pytest.mark.parametrize("name", arrows())
def test_imports_point_downwards(name: str) -> None:
    height = {each: number for number, floor in enumerate(FLOORS) for each in floor}
    assert {other for other in arrows()[name] if height[other] >= height[name]} == set()


@pytest.mark.parametrize("file", [file for file in MODULES if package(file) == "losses"], ids=module)
def test_losses_import_nothing_of_the_project(file: Path) -> None:
    assert imported(file) == set()


@pytest.mark.parametrize("file", [file for file in MODULES if package(file) in {"store", "targets"}], ids=module)
def test_the_target_store_knows_nothing_of_students(file: Path) -> None:
    assert {package(ROOT / path) for path in closure(file)}.isdisjoint(ABOVE_THE_STORE)


def test_the_library_does_not_import_the_stages() -> None:
    for file in MODULES:
        assert not re.search(r"^\s*(from|import) stages\b", file.read_text(encoding="utf-8"), re.MULTILINE)


def test_package_files_are_empty() -> None:
    files = [*(ROOT / "distill").rglob("__init__.py"), *(ROOT / "stages").rglob("__init__.py")]
    assert [file for file in files if file.stat().st_size] == []


def test_the_picture_of_the_packages_is_of_this_code() -> None:
    assert PICTURE.read_text(encoding="utf-8") == picture()
