"""`python -m distill predict`: a model's answers to new texts, as they come."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from distill.core.console import command, print_result
from distill.core.errors import UserError
from distill.params.task_specs import TASK_SPECS

if TYPE_CHECKING:
    from distill.prediction.model import Model
    from distill.prediction.rows import Row


AS_TURNS = 'give {"messages": [{"role": "user", "content": "…"}]}, or {"prompt": "…"}, to have it answered'


@command
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--column", multiple=True, metavar="NAME=COLUMN", help="Which column is read as NAME, such as text=body.")
@click.option("--batch-size", type=click.IntRange(min=1), default=32, show_default=True, help="Rows that are answered at once.")
@click.option("--threads", type=click.IntRange(min=1), help="By default one a core.")
def main(model: Path, file: Path | None, column: tuple[str, ...], batch_size: int, threads: int | None) -> None:
    """Answer FILE, or stdin, with MODEL: a JSON line for each line or row, in order.

    MODEL is data/students/NAME, data/exports/students/NAME (model.onnx), or an .onnx file in it. FILE has a text a line, of which
    one that begins with { is JSON; or rows of the task's columns, as .jsonl, .ndjson, .json, .csv, .tsv, .xlsx, .parquet or
    .conll. Text may be compressed (.gz, .zst, .bz2, .xz, .zip).

    A bad line is answered with its `error`, which stands on stderr too; the exit code is then 1.
    """
    from distill.prediction.model import open_model
    from distill.prediction.rows import parsed, read_rows, readable, renamed, row_of

    opened, where, bad = open_model(model, threads), str(file or "stdin"), 0
    read, told = readable(opened.task), False
    names = _columns(column, read)
    waiting: list[Row | UserError] = []
    if opened.turns:
        print_result(f"{model}: has learnt from conversations, and goes on with texts as they stand; {AS_TURNS}")
    for place, content in read_rows(file):
        try:
            row = renamed(parsed(content), names)
            waiting.append(_checked(row_of(row, opened.task), opened))
            told = told or _tell_unread(row, read, where)
        except UserError as error:
            bad += 1
            waiting.append(error)
            click.echo(f"error: {where}: {place}: {error}", err=True)
        if len(waiting) == batch_size:
            flush(opened, waiting)
            waiting = []
    flush(opened, waiting)
    if bad:
        raise UserError(f"{where}: {bad} bad line{'s' if bad > 1 else ''}, answered with `error`")


def flush(model: "Model", waiting: "list[Row | UserError]") -> None:
    """Print the answers to some rows, with errors in their places."""
    import json

    from distill.prediction.answers import answers

    rows = [row for row in waiting if not isinstance(row, UserError)]
    found = iter(answers(model, rows) if rows else [])
    for row in waiting:
        click.echo(json.dumps({"error": str(row)} if isinstance(row, UserError) else next(found), ensure_ascii=False))


def _columns(given: tuple[str, ...], read: list[str]) -> dict[str, str]:
    """The name in the rows of each column that is read under another one."""
    names = dict(pair.partition("=")[::2] for pair in given)
    for name, column in names.items():
        if name not in read or not column:
            expected = f"NAME=COLUMN, where NAME is one of {', '.join(read)}, such as {read[0]}=body"
            raise UserError(f"--column {name}{f'={column}' if column else ''}: expected {expected}")
    return names


def _tell_unread(row: "Row", read: list[str], where: str) -> bool:
    """Say which columns a row has beside those that are read, if any: the texts may be in another one."""
    if others := [name for name in row if name not in read]:
        own = [name for name in row if name in read]
        lists = (", ".join(f"'{name}'" for name in names) for names in (own, others))
        print_result("{}: reads {}, and does not read {}; --column {}=NAME takes another column".format(where, *lists, own[0]))
    return bool(others)


def _checked(row: "Row", model: "Model") -> "Row":
    """Refuse a text without a mask where masks are to be filled, whose words the model cannot tell, or that lacks its pair."""
    if "tokens" in TASK_SPECS[model.task].columns and "tokens" not in row and model.splitter is None:
        raise UserError('text: how the model\'s training data splits texts into words is not known; give {"tokens": ["…", "…"]}')
    if model.pairs and row["text_pair"] is None:
        raise UserError('text_pair: is missing; the model has learnt from pairs of texts: {"text": "…", "text_pair": "…"}')
    if model.pairs is False and row["text_pair"] is not None:
        raise UserError(f"text_pair: got {row['text_pair']!r:.60}; the model has learnt from single texts: leave text_pair out")
    if "turns" in row:
        from distill.prediction.conversations import prompt_row

        return prompt_row(row, model.folder)
    mask = model.encoder.mask_token
    if model.task == "masked-lm" and mask not in row["text"]:
        raise UserError(f"text: got {row['text']!r:.60}, expected a text with {mask}")
    return row
