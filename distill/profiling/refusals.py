"""What `new` does not write down: columns that look like something else than what they were taken for."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import pyarrow as pa

from distill.core.errors import UserError
from distill.preparation.labels import SEVERAL, joined
from distill.preparation.multi_label import HOT, Marks
from distill.preparation.nested import as_text, not_one
from distill.profiling.columns import Columns
from distill.profiling.likeness import ACCEPTED, DECIDES, are_decisions, is_prose, most, numbers
from distill.profiling.usual_names import USUAL_NAMES
from distill.sources.streams import Stream

BY_HAND = "; if it is the name of a class, write another in the rows, or write params.yaml by hand (docs/quickstart.md)"
SHOWN_IN = "docs/formats.md shows how to make them of a table"
TAG = re.compile(r"O|[BIESLU]-[^\W\d_]\S*")
WRITTEN_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)*\s*%?")


def require_names(table: pa.Table, columns: Columns) -> None:
    """Refuse columns whose names are values of theirs: the first line is a row, which would be lost. So with a row of names."""
    read = (*columns.parts.values(), *columns.marks)
    first = [str(value).strip() for row in table.slice(0, 1).to_pylist() for value in row.values()]
    if len(first) > 1 and _usual(first):
        raise UserError(f"the first row, {', '.join(first)}, looks like the names of columns: remove `names`, or that row")
    for name in read if not _usual(read) else ():
        if name in table[name].to_pylist():
            names = ",".join(f"name{place}" for place in range(1, table.num_columns + 1))
            raise UserError(
                f"'{name:.60}' is the name of a column, and a value of it: the first line looks like a row; name the columns: "
                f"--source names={names} (such as text and label); if that is its name, rename the column"
            )


def _usual(names: Sequence[str]) -> bool:
    """Whether all are names that columns have, rather than values."""
    return all(name.lower() in USUAL_NAMES for name in names)


def require_accepted(splits: Mapping[str, Stream], columns: Columns) -> None:
    """Refuse rows that an annotator has rejected or passed over: their labels are wrong, and would be learnt."""
    for split, stream in splits.items():
        for name in (name for name in stream.schema.names if name.lower() == DECIDES and name not in columns.parts.values()):
            values = Counter[str]()
            for batch in stream.read([name]):
                values.update(str(value) for value in batch[name].to_pylist() if value is not None)
                if not are_decisions(name, values):
                    break
            if are_decisions(name, values) and (others := values.keys() - {ACCEPTED}):
                raise UserError(
                    f"{split}: column '{name}' says {', '.join(sorted(others))} of {values.total() - values[ACCEPTED]} of "
                    f"{values.total()} rows, whose labels the annotator did not accept; keep the rows with {name}: {ACCEPTED} "
                    f"alone, or say --label {name} if these are the labels"
                )


def require_plain(table: pa.Table, columns: Columns) -> None:
    """Refuse lists and records where `prepare` reads a label, or one label of several."""
    listed = columns.task in ("multi-label", "token-classification")
    for part in {"label", "tags"} & columns.parts.keys():
        name = columns.parts[part]
        values, marks = table[name].to_pylist(), Marks()
        for row, value in enumerate(values):
            if columns.task == "multi-label":
                marks.add(row, value)
            for each in value if listed and isinstance(value, list) else [value]:
                if why := not_one(each, "label" if part == "label" else "tag"):
                    advice = BY_HAND if isinstance(each, str) else ""
                    raise UserError(f"column '{name}': {why}{advice}")
        if marks.row is not None:
            raise UserError(f"column '{name}' holds {values[marks.row]!r:.60}, {HOT}")


def require_rows_of_texts(table: pa.Table) -> None:
    """Refuse tables of a word a row: their rows are parts of texts."""
    columns = {name: table[name].to_pylist() for name in table.column_names}
    texts = {name: [value for value in values if isinstance(value, str)] for name, values in columns.items()}
    if any(most(is_prose, values, len(table)) for values in texts.values()):
        return
    for name, values in texts.items():
        tag = next((value for value in values if value != "O"), None)
        if tag is not None and all(TAG.fullmatch(value) for value in values):
            raise UserError(
                f"column '{name}' holds a tag a row, such as {tag!r}: rows look like single words, expected a text each, "
                f"with lists `tokens` and `tags`; {SHOWN_IN}, or say the --task if rows are texts"
            )


def require_answers(table: pa.Table, columns: Columns) -> None:
    """Refuse questions whose answers are not as SQuAD has them, unless the task is said."""
    if columns.task != "question-answering":
        return
    name = columns.parts.get("answers") or next((each for each in table.column_names if "answer" in each.lower()), None)
    values = [] if name is None else [value for value in table[name].to_pylist() if value is not None]
    if name != columns.parts.get("answers") or not any(isinstance(value, dict) for value in values):
        got = f"column '{name}' holds {values[0]!r:.60}" if values else "no column holds answers"
        raise UserError(
            f"{got}, expected a column `answers` of {{text: [...], answer_start: [...]}}, as in SQuAD; {SHOWN_IN}, or say --task "
            "question-answering if the questions have no answers, or --label if rows have classes"
        )


def require_labels(table: pa.Table, columns: Columns) -> None:
    """Refuse rows without labels, unless the task is said."""
    if columns.task != "masked-lm":
        return
    cells = ((name, next((value for value in table[name].to_pylist() if value), None)) for name in table.column_names)
    written = next((f"; column '{name}' holds {value!r:.40}{as_text(value)}" for name, value in cells if as_text(value)), "")
    raise UserError(
        "no column has labels; name it with --label, or say --task sentence-embedding for vectors of the texts, or "
        f"--task masked-lm for a model of them{written}"
    )


def require_classes(table: pa.Table, columns: Columns) -> None:
    """Refuse a column that was taken for classes if its values hardly recur, are several, or numbers that nothing reads so."""
    if columns.task != "sequence-classification":
        return
    label = columns.parts["label"]
    values = [str(value) for value in table[label].to_pylist() if value is not None and value != ""]
    advice = "name the column with --label, or say --task sequence-classification if these are classes"
    if all(WRITTEN_NUMBER.fullmatch(value) for value in values) and numbers(values) is None:
        raise UserError(f"column '{label}' holds numbers such as {values[0]!r}; write them as 0.5 for regression; {advice}")
    if several := joined(values):
        raise UserError(f"column '{label}' holds {several[0]!r:.60}, which looks like several labels; {SEVERAL}; {advice}")
    if len(values) >= 10 and len(set(values)) > len(values) / 2:
        raise UserError(
            f"column '{label}' has {len(set(values))} values in {len(values)} rows, which are hardly classes; {advice}"
        )
