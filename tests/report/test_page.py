"""The report's files: no network, the same bytes every time, nothing of the data taken for markup."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from distill.pipeline.project import load_params
from distill.pipeline.resolve import resolve
from distill.report.page import IN_MARKDOWN, SEVERAL, section, write_page
from distill.report.parts import Chart, Collapsible, Grid, Part
from distill.report.records import DataSet
from distill.report.tables import Table, tables_in
from tests.reports import PARAMS, write_report

ANSWER = {"sets": [], "lines": ["ship soft"], "machine": "", "picture": {}}


class Page(HTMLParser):
    """What the tests look at in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}
        self.specs: list[dict[str, Any]] = []
        self.open, self.in_chart = "", False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open = dict(attrs).get("id") or tag
        self.in_chart = dict(attrs) == {"type": "application/json"}

    def handle_endtag(self, tag: str) -> None:
        self.in_chart = False

    def handle_data(self, data: str) -> None:
        self.text[self.open] = self.text.get(self.open, "") + data
        if self.in_chart and data.strip():
            self.specs.append(json.loads(data))

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def written(content: DataSet, folder: Path) -> tuple[str, str]:
    write_page((content,), folder, ANSWER)
    return (folder / "index.html").read_text(encoding="utf-8"), (folder / "results.md").read_text(encoding="utf-8")


def every(parts: tuple[Part, ...], kind: type) -> list[Part]:
    """The parts of a kind, in grids and folds too."""
    found = [part for part in parts if isinstance(part, kind)]
    return found + [own for part in parts if isinstance(part, Grid | Collapsible) for own in every(part.parts, kind)]


def shown(content: DataSet, kind: type) -> list[Part]:
    return [part for block in section(content).blocks for part in every(block.parts, kind)]


@pytest.fixture
def page(news: DataSet, tmp_path: Path) -> Page:
    return Page(written(news, tmp_path)[0])


def test_needs_no_network(page: Page) -> None:
    assert not page.all("link")
    for _, attributes in page.tags:
        assert not {"src", "srcset", "data", "action"} & attributes.keys()
        assert (attributes.get("href") or "#").startswith("#")
        assert "url(" not in (attributes.get("style") or "")
    assert not re.search(r"url\(|@import", page.text["style"])
    assert "default-src 'none'" in str(page.all("meta")[1]["content"])


def test_same_bytes(news: DataSet, tmp_path: Path) -> None:
    assert written(news, tmp_path / "a") == written(news, tmp_path / "b")
    assert str(tmp_path) not in "".join(written(news, tmp_path / "a"))


def test_names_labels_and_texts_are_escaped(news: DataSet, tmp_path: Path) -> None:
    name = "</script><b>x"
    detail = news.students[0].detail
    examples = (replace(detail.examples[0], text="<img src=x>"), *detail.examples[1:])
    students = (replace(news.students[0], name=name, detail=replace(detail, examples=examples)), *news.students[1:])
    text, markdown = written(replace(news, labels=("<i>sport", "a & b"), students=students), tmp_path)
    page = Page(text)
    assert not [tag for tag, _ in page.tags if tag in ("b", "i", "img")]
    assert "&lt;i&gt;sport, a &amp; b" in text
    assert "&lt;img src=x&gt;" in text
    assert name in {row["model"] for spec in page.specs for rows in spec["datasets"].values() for row in rows if "model" in row}
    assert "<b>" not in markdown


def test_is_accessible_its_contents_lead_to_every_heading_and_every_block_shows_something(page: Page, news: DataSet) -> None:
    assert page.all("html")[0]["lang"] == "en"
    assert page.text["title"].strip() == "Distillation results"
    headings = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert headings[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(headings))
    assert len(page.all("caption")) == len(page.all("table")) == len([own for own in shown(news, Table) if own.cells])
    assert {cell["scope"] for cell in page.all("th")} == {"col", "row"}
    assert len(page.all("figcaption")) == len(page.all("figure")) == len(page.specs) == len(shown(news, Chart)) == 8
    scrolling = [own for own in page.all("div") if own.get("class") == "scroll"]
    assert all(own["tabindex"] == "0" and own["aria-label"] for own in scrolling)
    places = [str(own["id"]) for tag, own in page.tags if tag in ("h2", "h3") and "id" in own]
    assert [str(own["href"])[1:] for own in page.all("a")] == places
    assert len(set(places)) == len(places)
    assert [block.title for block in section(news).blocks] == [
        *("Scores", "Classes", "Calibration", "Against the teacher", "Speed and size", "Beside the papers"),
        *("Training", "Cost comparison", "Store", "Labels the teacher contradicts", "Data", "Reproduce"),
    ]


def test_warns_of_duplicates(news: DataSet, tmp_path: Path) -> None:
    clean = written(news, tmp_path)
    found = written(replace(news, duplicates=(replace(news.duplicates[0], near=1),)), tmp_path)
    assert not any("flatter" in before for before in clean)
    assert all("Rows of one split stand in another too: they flatter the scores above." in after for after in found)


def test_what_is_of_one_seed_alone_is_said(news: DataSet, tmp_path: Path) -> None:
    def of(seeds: int) -> str:
        students = tuple(replace(student, runs=student.runs[:1] * seeds) for student in news.students)
        return written(replace(news, students=students), tmp_path)[0]

    assert [SEVERAL in of(seeds) for seeds in (1, 2)] == [False, True]


def test_markdown_begins_with_the_answer_and_has_the_main_tables(news: DataSet, tmp_path: Path) -> None:
    markdown = written(news, tmp_path)[1]
    assert markdown.startswith("ship soft\n\n# Distillation results\n\n")
    tables = [own for block in section(news).blocks if block.title in IN_MARKDOWN for own in tables_in(block.parts)]
    assert markdown.count("\n| ---") == len(tables) == 7
    assert all(f"| {model.name} " in markdown for model in news.models)


def test_a_student_can_be_made_again(page: Page, news: DataSet) -> None:
    code = page.text["code"]
    for student in news.students:
        assert f"dvc repro --pull --allow-missing evaluate@{student.name}" in code
        assert f"  {student.name}:\n    recipe: {student.recipe}\n" in code


def test_the_settings_that_make_a_student_again_are_those_that_params_yaml_takes(news: DataSet, tmp_path: Path) -> None:
    written = tmp_path / "params.yaml"
    before, _, _ = PARAMS.partition("\nstudents:")
    entries = "".join(text.removeprefix("students:\n") for text in news.entries.values())
    written.write_text(f"{before}\nstudents:\n{entries}", encoding="utf-8")
    again = resolve(load_params(written))
    assert {student.name: student.settings for student in again.students} == news.entries
    assert "from: data/teachers/big" in news.entries["plain"]


def test_the_whole_page(tmp_path: Path) -> None:
    write_report(tmp_path)
    text = (tmp_path / "index.html").read_text()
    assert len(text) < 3e6
    assert "Well-known shapes" in text
    assert (tmp_path / "results.md").read_text().startswith("ship soft (onnx-int8): accuracy")
    write_page((), tmp_path, {**ANSWER, "lines": []})
    assert Page((tmp_path / "index.html").read_text()).all("h1")
