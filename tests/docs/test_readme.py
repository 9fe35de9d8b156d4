"""What the README shows works as it stands there; its commands, links and code are looked at by test_docs.py."""

import re
from pathlib import Path

from distill.pipeline.project import load_params
from distill.recipes.registry import RECIPES
from tests.closures import ROOT
from tests.documents import PAGES, PIPELINE, blocks

PAGE = ROOT / "README.md"
README = PAGE.read_text(encoding="utf-8")


def test_its_entries_are_valid(tmp_path):
    (shown,) = blocks(PAGE, "yaml")
    (tmp_path / "params.yaml").write_text(shown, encoding="utf-8")
    params = load_params(tmp_path / "params.yaml")
    assert params.students["half"].reads_hidden


def test_it_begins_with_two_sentences_two_commands_and_a_picture_and_is_short():
    title, text, commands, _, picture, *_ = README.split("\n\n")
    assert title == "# distill"
    assert len(re.findall(r"[.](?:\s|$)", text)) == 2
    assert [line.split("#")[0].strip() for line in commands.splitlines()[1:-1]] == ["make demo", "make test"]
    assert {Path(name).name for name in re.findall(r'(?:src|srcset)="([^"]+)"', picture)} == {"report.png", "report-dark.png"}
    assert len(README.splitlines()) <= 150


def test_it_names_every_stage_and_every_page():
    stages = {name.partition("-")[0] for name in PIPELINE}
    described = README.partition("## How it works")[2]
    assert stages == set(re.findall(r"^\| `([a-z]+)` \|", described, re.MULTILINE))
    assert {page.name for page in PAGES if page.parent.name == "docs"} == set(
        re.findall(r"^\| \[([a-z]+\.md)\]", README, re.MULTILINE)
    )


def test_a_command_fills_its_figures():
    assert README.count("<!-- figures -->\n") == README.count("<!-- /figures -->\n") == 1


def test_it_names_every_recipe_and_counts_them():
    (number, named) = re.findall(r"\*\*(\w+) recipes\*\*(.+?)Students may", README, re.DOTALL)[0]
    assert {*re.findall(r"`(\w+)`", named)} == RECIPES.keys()
    assert number == {17: "Seventeen", 18: "Eighteen", 19: "Nineteen"}[len(RECIPES)]
