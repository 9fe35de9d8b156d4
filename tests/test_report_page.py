"""The report's files: no network, the same bytes every time, nothing of the data taken for markup."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from distill.report.content import DataSet
from distill.report.page import write_page
from tests.test_report_content import news

__all__ = ["news"]


class Page(HTMLParser):
    """What the tests look at in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}
        self.open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open = dict(attrs).get("id") or tag

    def handle_data(self, data: str) -> None:
        self.text[self.open] = self.text.get(self.open, "") + data

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def written(content: DataSet, folder: Path) -> tuple[str, str]:
    write_page((content,), folder)
    return (folder / "index.html").read_text(encoding="utf-8"), (folder / "results.md").read_text(encoding="utf-8")


@pytest.fixture
def page(news: DataSet, tmp_path: Path) -> Page:
    return Page(written(news, tmp_path)[0])


def test_needs_no_network(page: Page) -> None:
    assert not page.all("link")
    for _, attributes in page.tags:
        assert not {"src", "href", "srcset", "data", "action"} & attributes.keys()
        assert "url(" not in (attributes.get("style") or "")
    assert not re.search(r"url\(|@import", page.text["style"])
    assert "default-src 'none'" in str(page.all("meta")[1]["content"])


def test_same_bytes(news: DataSet, tmp_path: Path) -> None:
    assert written(news, tmp_path / "a") == written(news, tmp_path / "b")
    assert str(tmp_path) not in "".join(written(news, tmp_path / "a"))


def test_names_and_labels_are_escaped(news: DataSet, tmp_path: Path) -> None:
    name = "</script><b>x"
    students = (replace(news.students[0], name=name), *news.students[1:])
    text, markdown = written(replace(news, labels=("<i>sport", "a & b"), students=students), tmp_path)
    page = Page(text)
    assert not page.all("b")
    assert not page.all("i")
    assert "&lt;i&gt;sport, a &amp; b" in text
    assert name in {
        row["model"]
        for spec in json.loads(page.text["specs"])
        for rows in spec["datasets"].values()
        for row in rows
        if "model" in row
    }
    assert "<b>" not in markdown


def test_is_accessible(page: Page) -> None:
    assert page.all("html")[0]["lang"] == "en"
    assert page.text["title"].strip() == "Distillation results"
    headings = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert headings[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(headings))
    assert len(page.all("caption")) == len(page.all("table")) == 7
    assert {cell["scope"] for cell in page.all("th")} == {"col", "row"}
    assert len(page.all("figcaption")) == len(page.all("figure")) == 4


def test_every_chart_has_its_place(page: Page) -> None:
    places = [attributes["id"] for attributes in page.all("div") if (attributes.get("id") or "").startswith("chart-")]
    assert places == [f"chart-{number}" for number in range(len(json.loads(page.text["specs"])))]


def test_warns_of_duplicates(news: DataSet, tmp_path: Path) -> None:
    clean = written(news, tmp_path)
    found = written(replace(news, duplicates=(replace(news.duplicates[0], near=1),)), tmp_path)
    for before, after in zip(clean, found, strict=True):
        assert "flatter" not in before
        assert "Rows of one split stand in another too: they flatter the scores above." in after


def test_markdown_has_all_tables(news: DataSet, tmp_path: Path) -> None:
    markdown = written(news, tmp_path)[1]
    assert markdown.startswith("# Distillation results\n\nOn news, the best student is soft")
    assert markdown.count("\n| ---") == 7
    assert all(f"| {model.name} " in markdown for model in news.models)


def test_no_data_at_all(tmp_path: Path) -> None:
    write_page((), tmp_path)
    assert Page((tmp_path / "index.html").read_text()).all("h1")
