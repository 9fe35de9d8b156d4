"""The report's two files: index.html, which needs no network, and results.md, its tables."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from distill.files import write_text
from distill.report.charts import Chart, Series, charts, config, series
from distill.report.content import DataSet
from distill.report.tables import Table, costs, data, escape, results, to_markdown
from distill.report.verdict import verdict

DUPLICATED = "Rows of one split stand in another too: they flatter the scores above."


@dataclass(frozen=True)
class Section:
    """What the page says of one data set."""

    name: str
    labels: tuple[str, ...]
    results: list[Table]
    series: list[Series]
    charts: list[Chart]
    costs: list[Table]
    data: list[Table]
    warning: str
    """What is wrong with the data; empty if nothing is."""


def write_page(content: Sequence[DataSet], folder: Path) -> None:
    """Write index.html and results.md, the same bytes for the same content.

    Args:
        content: What `distill.report.content.gather` gathered.
        folder: Where the files go.
    """
    sections = [_section(data_set) for data_set in content]
    verdicts = [verdict(data_set) for data_set in content]
    write_text(folder / "index.html", _html(sections, verdicts))
    write_text(folder / "results.md", _markdown(sections, verdicts))


def _section(data_set: DataSet) -> Section:
    return Section(
        data_set.name,
        data_set.labels,
        results(data_set),
        series(data_set),
        charts(data_set),
        costs(data_set),
        data(data_set),
        DUPLICATED if any(found.exact or found.near for found in data_set.duplicates) else "",
    )


def _html(sections: Sequence[Section], verdicts: Sequence[str]) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("page.html.jinja").render(
        sections=sections,
        verdicts=verdicts,
        config=config(),
        specs=[chart.spec for section in sections for chart in section.charts],
        vega=_vega(),
    )


@functools.cache
def _vega() -> str:
    """Vega, Vega-Lite and vega-embed as one script, from the installed package; it takes a second to make."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")


def _markdown(sections: Sequence[Section], verdicts: Sequence[str]) -> str:
    parts = ["# Distillation results", *map(escape, verdicts)]
    for section in sections:
        parts.append(f"## {escape(section.name)}")
        parts += [to_markdown(table) for table in (*section.results, *section.costs, *section.data) if table.cells]
        parts += [f"**{section.warning}**"] * bool(section.warning)
    return "\n\n".join([*parts, "`dvc repro` makes all of this again."]) + "\n"
