"""The report's two files: index.html, which needs no network, and results.md, its main tables."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from distill.core.files import write_text
from distill.core.markdown import escape
from distill.report.charts import loss_chart, retention_chart, validation_chart
from distill.report.parts import Block, Code, Collapsible, Grid, Legend, Note, Section
from distill.report.records import DataSet
from distill.report.sections.continuations import continued
from distill.report.sections.costs import cost_comparison
from distill.report.sections.error_analysis import agreement_block, calibration, classes
from distill.report.sections.label_audits import audits
from distill.report.sections.published import published
from distill.report.sections.speeds import speeds
from distill.report.sections.summary import one_answer, verdict
from distill.report.sections.target_sets import store
from distill.report.tables import data, results, tables_in, to_markdown
from distill.report.vega import config, script, series

DUPLICATED = "Rows of one split stand in another too: they flatter the scores above."
NAMELESS = ((), ("score",), ("start", "end"), ("relevance",))
"""Labels of tasks that have no classes."""
READING = "Bold: the best student of the column. ±: the standard deviation over seeds. Calibration error: expected, 15 bins."
SEVERAL = "Of a student of several seeds, the mean; what follows is of the seed that ships, the best on validation."
Make = Callable[[DataSet], Block | None]
IN_MARKDOWN = ("Scores", "Speed and size", "Cost comparison", "Data")
"""The blocks whose tables results.md has."""


def write_page(content: Sequence[DataSet], folder: Path, answer: Mapping[str, Any], general: Block | None = None) -> None:
    """Write index.html and results.md, the same bytes for the same content; `answer`, of budget_explorer.py, is at the top."""
    sections = [section(data_set) for data_set in content]
    sections += [Section("In general", "", "general", (general,))] if general is not None else []
    write_text(folder / "index.html", _html(sections, answer))
    write_text(folder / "results.md", _markdown(sections, answer["lines"]))


def section(data_set: DataSet) -> Section:
    """All that is told of a data set."""
    results: tuple[Make, ...] = (scores, classes, calibration, agreement_block, continued, speeds, published)
    origins: tuple[Make, ...] = (training, cost_comparison, store, audits, rows, reproduction)
    blocks = tuple(block for make in (*results, *origins) if (block := make(data_set)) is not None and block.parts)
    return Section(data_set.name, "Data set", f"data-{data_set.name}", blocks)


def scores(data_set: DataSet) -> Block:
    """How well the models do."""
    drawn = filter(None, [retention_chart(data_set)])
    same = one_answer(data_set)
    warning = (Note(same, "warning"),) if same else ()
    reading = f"{READING} {SEVERAL}" if any(len(student.runs) > 1 for student in data_set.students) else READING
    return Block("Scores", (Note(verdict(data_set)), *warning, *results(data_set), Note(reading, "quiet"), *drawn))


def training(data_set: DataSet) -> Block:
    """How the models were trained."""
    drawn = tuple(filter(None, (loss_chart(data_set), validation_chart(data_set))))
    return Block("Training", (Legend(tuple(series(data_set))), Grid(drawn)) if drawn else ())


def rows(data_set: DataSet) -> Block:
    """The rows of the data set."""
    warns = any(pair.exact or pair.near for pair in data_set.duplicates)
    named = data_set.labels not in NAMELESS
    labels = (Note(f"{len(data_set.labels)} labels: {', '.join(data_set.labels)}", "quiet"),) if named else ()
    warning = (Note(DUPLICATED, "warning"),) if warns else ()
    return Block("Data", (*warning, Grid(tuple(data(data_set))), *labels))


def reproduction(data_set: DataSet) -> Block:
    """How to make a student again: its settings, and the command."""
    about = "In a clone of this page’s repository. What has not changed is not computed again; a student alone needs no teacher."
    folds = [
        Collapsible(name, (Code(f"dvc repro --pull --allow-missing evaluate@{name}"), Code(text)))
        for name, text in data_set.entries.items()
    ]
    return Block("Reproduce", (Note(about), Code("dvc pull\ndvc repro"), *folds))


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
    return template.render(sections=sections, answer=answer, config=config(), vega=script())


def _markdown(sections: Sequence[Section], lines: Sequence[str]) -> str:
    parts = [*map(escape, lines), "# Distillation results"]
    for each in sections:
        parts.append(f"## {escape(each.title)}")
        for block in each.blocks:
            if block.title in IN_MARKDOWN:
                parts += [f"**{escape(part.text)}**" for part in block.parts if isinstance(part, Note) and part.tone == "warning"]
                parts += [to_markdown(table) for table in tables_in(block.parts)]
    return "\n\n".join([*parts, "`dvc repro` makes all of this again."]) + "\n"
