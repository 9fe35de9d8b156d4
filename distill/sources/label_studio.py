"""Label Studio's own JSON export, tasks with annotations inside: a row an annotation, a column a control."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from distill.core.errors import UserError

KEYS = {"id", "data", "annotations"}
"""What every task of an export has."""
SPANS = "labels"
"""The type of results that are spans of a text's characters; an answer is the whole of their value."""
ANSWERS = {"choices": "choices", "rating": "rating", "number": "number", "textarea": "text", "pairwise": "selected"}
"""By the types of other results that are read: the key of their value that is the answer."""
UNSAID = ("relation",)
"""Types of results that are about other results."""


@dataclass
class Asked:
    """What the tasks of a file ask, by the names of controls, and what is to be said of them."""

    several: dict[str, bool] = field(default_factory=dict)
    """Whether each control takes several answers: spans, or choices of which some annotation has more than one."""
    given: set[str] = field(default_factory=set)
    """The columns of the tasks' own data."""
    differing: int = 0
    """Tasks whose annotations differ."""

    def add(self, task: Any) -> None:
        """Take a task into account; a UserError says what is none."""
        if not is_task(task):
            raise UserError(
                f"got {task!r:.60}, expected a task as the first value is: {{id: …, data: {{…}}, annotations: […], …}}"
            )
        found = [_results(annotation) for annotation in _valid(task)]
        for name, (kind, values) in ((name, answer) for each in found for name, answer in each.items()):
            self.ask(name, kind == SPANS or len(values) > 1)
        self.given |= task["data"].keys()
        self.differing += any(each != found[0] for each in found)

    def ask(self, name: str, several: bool) -> None:
        """Take a control into account, which takes several answers if it does anywhere."""
        self.several[name] = self.several.get(name, False) or several

    def like(self, other: "Asked") -> None:
        """Let the controls of these files take several answers where those of other splits do, so that all have one type."""
        self.several = {name: several or other.several.get(name, False) for name, several in self.several.items()}

    def notes(self) -> Iterator[str]:
        """What people should know of how the file is read."""
        for name in sorted(self.given & self.several.keys()):
            yield f"data.{name} is not read: annotations have answers of that name"
        if self.differing:
            yield f"{self.differing} tasks have annotations that differ; each is a row"


def is_task(value: Any) -> bool:
    """Whether a JSON value is one task of an export, and no row."""
    return (
        isinstance(value, dict)
        and value.keys() >= KEYS
        and isinstance(value["data"], dict)
        and isinstance(value["annotations"], list)
        and all(isinstance(each, dict) and isinstance(each.get("result"), list) for each in value["annotations"])
    )


def joined(files: Iterable[Asked | None]) -> Asked:
    """What is asked in several files of a split, whose columns are the same."""
    found = Asked()
    for each in files:
        if each is not None:
            found.given, found.differing = found.given | each.given, found.differing + each.differing
            for name, several in each.several.items():
                found.ask(name, several)
    return found


def task_rows(task: dict[str, Any], own: Asked, asked: Asked) -> Iterator[dict[str, Any]]:
    """A task's data with the answers of each annotation; without answers where there is none, or all were cancelled.

    `own` is what the task's file asks, `asked` what all files of the split do. Where several answers may stand, an annotation
    without any has an empty list: somebody has looked, and found nothing. What its file does not ask has no answer.
    """
    data = {key: value for key, value in task["data"].items() if key not in asked.several}
    annotations = _valid(task)
    if not annotations:
        yield data
    for annotation in annotations:
        results = _results(annotation)
        answers = {name: results.get(name, ("", []))[1] for name in own.several}
        yield data | {name: each if asked.several[name] else next(iter(each), None) for name, each in answers.items()}


def _valid(task: dict[str, Any]) -> list[dict[str, Any]]:
    """The annotations that count: those that were not cancelled, or of these the one that is marked as the truth."""
    kept = [each for each in task["annotations"] if not each.get("was_cancelled")]
    return [each for each in kept if each.get("ground_truth")] or kept


def _results(annotation: dict[str, Any]) -> dict[str, tuple[str, list[Any]]]:
    """The type and the answers of each control."""
    found: dict[str, tuple[str, list[Any]]] = {}
    for result in annotation["result"]:
        kind, value = (result.get("type"), result.get("value")) if isinstance(result, dict) else (None, None)
        if kind in UNSAID:
            continue
        if not isinstance(kind, str) or not isinstance(value, dict) or not isinstance(result.get("from_name"), str):
            raise UserError(f"got the result {result!r:.60}, expected {{from_name: …, type: …, value: {{…}}}}")
        key = ANSWERS.get(kind)
        if kind != SPANS and (key is None or key not in value or "start" in value):
            raise UserError(
                f"the control '{result['from_name']}' has a result that is not read ({kind} of {', '.join(sorted(value))}); "
                f"expected spans ({SPANS}), or of a whole text {', '.join(ANSWERS)}; remove its results from the file"
            )
        answer = value if key is None else value[key]
        found.setdefault(result["from_name"], (kind, []))[1].extend(answer if isinstance(answer, list) else [answer])
    return found
