"""The report's two files: index.html, which needs no network, and results.md, its main tables."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from distill.files import write_text
from distill.report.audits import audits
from distill.report.charts import loss_chart, retention_chart, validation_chart
from distill.report.content import DataSet
from distill.report.drawing import config, series
from distill.report.ledger import ledger
from distill.report.mistakes import agreement, calibration, classes
from distill.report.parts import Block, Code, Fold, Grid, Legend, Note, Part, Section, some, tables_in
from distill.report.published import published
from distill.report.speeds import speeds
from distill.report.store import store
from distill.report.tables import data, escape, results, to_markdown
from distill.report.verdict import verdict

DUPLICATED = "Rows of one split stand in another too: they flatter the scores above."
NAMELESS = ((), ("score",), ("start", "end"))
"""Labels of tasks that have no classes."""
READING = "Bold: the best student of the column. ±: the standard deviation over seeds. Calibration error: expected, 15 bins."
IN_MARKDOWN = ("Scores", "Speed and size", "Ledger", "Data")
"""The blocks whose tables results.md has."""


def write_page(content: Sequence[DataSet], folder: Path, answer: Mapping[str, Any], general: Block | None = None) -> None:
    """Write index.html and results.md, the same bytes for the same content.

    Args:
        content: What `distill.report.gathering.gather` gathered.
        folder: Where the files go.
        answer: What stands at the top; of `distill.report.answer.answer`.
        general: What is told of no data set.
    """
    sections = [section(data_set) for data_set in content]
    sections += [Section("In general", "", "general", some(general))] if general is not None else []
    write_text(folder / "index.html", _html(sections, answer))
    write_text(folder / "results.md", _markdown(sections, answer["lines"]))


def section(data_set: DataSet) -> Section:
    """All that is told of a data set."""
    blocks = some(
        scores(data_set),
        classes(data_set),
        calibration(data_set),
        agreement(data_set),
        speeds(data_set),
        published(data_set),
        training(data_set),
        ledger(data_set),
        store(data_set),
        audits(data_set),
        rows(data_set),
        again(data_set),
    )
    return Section(data_set.name, "Data set", f"data-{data_set.name}", blocks)


def scores(data_set: DataSet) -> Block:
    """How well everyone does."""
    chart = retention_chart(data_set)
    drawn: list[Part] = [] if chart is None else [chart]
    return Block("Scores", (Note(verdict(data_set)), *results(data_set), Note(READING, "quiet"), *drawn))


def training(data_set: DataSet) -> Block:
    """How everyone learnt."""
    drawn = tuple(chart for chart in (loss_chart(data_set), validation_chart(data_set)) if chart is not None)
    return Block("Training", (Legend(tuple(series(data_set))), Grid(drawn)) if drawn else ())


def rows(data_set: DataSet) -> Block:
    """What was learnt from."""
    warns = any(found.exact or found.near for found in data_set.duplicates)
    named = data_set.labels not in NAMELESS
    labels = (Note(f"{len(data_set.labels)} labels: {', '.join(data_set.labels)}", "quiet"),) if named else ()
    warning = (Note(DUPLICATED, "warning"),) if warns else ()
    return Block("Data", (*warning, Grid(tuple(data(data_set))), *labels))


def again(data_set: DataSet) -> Block:
    """How to make a student again: its settings, and the command."""
    about = Note(
        "In a clone of this page’s repository. What has not changed is not computed again; a student alone needs no teacher."
    )
    folds = [
        Fold(name, (Code(f"dvc repro --pull --allow-missing evaluate@{name}"), Code(text)))
        for name, text in data_set.entries.items()
    ]
    return Block("Reproduce", (about, Code("dvc pull\ndvc repro"), *folds))


def _html(sections: Sequence[Section], answer: Mapping[str, Any]) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    template = environment.get_template("page.html.jinja")
    return template.render(sections=sections, answer=answer, config=config(), vega=_vega())


@functools.cache
def _vega() -> str:
    """Vega, Vega-Lite and vega-embed as one script, from the installed package; it takes a second to make."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")


def _markdown(sections: Sequence[Section], lines: Sequence[str]) -> str:
    parts = [*map(escape, lines), "# Distillation results"]
    for own in sections:
        parts.append(f"## {escape(own.title)}")
        for block in own.blocks:
            if block.title in IN_MARKDOWN:
                parts += [f"**{escape(part.text)}**" for part in block.parts if isinstance(part, Note) and part.tone == "warning"]
                parts += [to_markdown(table) for table in tables_in(block.parts)]
    return "\n\n".join([*parts, "`dvc repro` makes all of this again."]) + "\n"
