"""Questions on contexts, and their answers as SQuAD has them: each has to stand where it is said to."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from distill.core.console import print_result
from distill.core.errors import UserError
from distill.data.rows import Answers, Rows
from distill.params.datasets import DatasetSettings
from distill.preparation.bad_rows import BadRows
from distill.preparation.column_names import same_name
from distill.preparation.columns import IMPOSSIBLE, column_of, good_rows, map_ids, optional_column, text_column
from distill.preparation.nested import as_text

SAYS = {"true": True, "yes": True, "1": True, "1.0": True, "false": False, "no": False, "0": False, "0.0": False}
"""What a row says of whether its context has no answer, as text in small letters; pandas writes 1.0 where there are gaps."""


def map_questions(table: pa.Table, where: str, settings: DatasetSettings) -> Rows:
    """Questions with their contexts, and (rows,) Answers, or None."""
    columns, bad = settings.columns, BadRows(where, settings.bad_rows == "drop")
    questions, contexts = (text_column(table, where, getattr(columns, part), part, bad) for part in ("question", "context"))
    answers = optional_column(table, where, columns.answers, "answers")
    known, empty = np.zeros(len(answers), bool), 0
    for row, (value, context, impossible) in enumerate(
        zip(answers, contexts, _impossible(table, where, columns.answers), strict=True)
    ):
        problem = None if value is None or row in bad.found else _broken(value, context)
        problem = problem or _contradiction(value, impossible)
        if problem is not None:
            bad.add(row, "broken answer", f"column '{columns.answers}'{problem}")
        known[row] = value is not None
        empty += value is not None and not any(value.values() if isinstance(value, dict) else [value])
    if empty and empty == known.sum():
        print_result(
            f"{where}: the lists of all its {empty} answers are empty, which says that no context has an answer; if they are "
            "withheld, take the split out, or name another in `splits`"
        )
    made = answers.where(known).map(lambda value: Answers(tuple(value["text"]), tuple(map(int, value["answer_start"]))))
    return good_rows(questions, contexts, made, bad, map_ids(table, where, columns.id))


def _impossible(table: pa.Table, where: str, answers: str) -> Iterator[bool | None]:
    """Of each row whether it says that its context has no answer; None where nothing is said, or nothing is answered."""
    name = next((each for each in table.column_names if same_name(each) == IMPOSSIBLE), None)
    if name is None or answers not in table.column_names:
        yield from [None] * table.num_rows
        return
    for row, value in enumerate(column_of(table, where, name, "answers")):
        text = "" if value is None else str(value).strip().lower()
        if text and text not in SAYS:
            raise UserError(f"{where}: row {row}: column '{name}' holds {value!r:.40}, expected true or false, or null")
        yield SAYS.get(text)


def _contradiction(value: Any, impossible: bool | None) -> str | None:
    """What is wrong with answers where the row says whether there are any: SQuAD 2.0 has plausible ones, which are wrong."""
    if impossible is None or (value is None and not impossible):
        return None
    count = len(value["text"]) if isinstance(value, dict) and isinstance(value.get("text"), list) else 0
    if value is not None and impossible == (count == 0):
        return None
    told = f" holds {value!r:.60}" if value is None or count else " has no answer"
    advice = "write {text: [], answer_start: []}" if impossible else "mend one of them"
    return f"{told} and '{IMPOSSIBLE}' is {str(impossible).lower()}; {advice}"


def _broken(value: Any, context: str) -> str | None:
    """What is wrong with the answers to a question."""
    parts: Sequence[Any] = [value.get(key) for key in ("text", "answer_start")] if isinstance(value, dict) else [None]
    if not all(isinstance(part, list) for part in parts) or len(parts[0]) != len(parts[1]):
        return f" holds {value!r:.80}, expected {{text: [...], answer_start: [...]}} of one length, as in SQuAD{as_text(value)}"
    for text, start in zip(*parts, strict=True):
        whole = isinstance(start, int) or (isinstance(start, float) and start.is_integer())
        if not isinstance(text, str) or not text.strip() or not whole or start < 0:
            return f": the answer {text!r:.60} at {start!r:.20}, expected text and the character it begins at"
        begin = int(start)
        if (there := context[begin : begin + len(text)]) != text:
            return f": the answer {text!r:.60} is not at character {begin} of its context ({there!r:.60} is); mend it"
    return None
