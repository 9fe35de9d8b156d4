"""Label Studio's own export, tasks with annotations inside: a row an annotation, as its JSON-MIN has them."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from distill.core.errors import UserError

SPANS = "labels"
"""The type of results that are spans of characters."""


def is_task(value: Any) -> bool:
    """Whether a JSON value is one task of an export, and no row."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("data"), dict)
        and isinstance(value.get("annotations"), list)
        and all(isinstance(each, dict) and isinstance(each.get("result"), list) for each in value["annotations"])
    )


def controls_of(task: dict[str, Any]) -> dict[str, bool]:
    """What people were asked of a task, by the controls' names, and whether each takes several answers: spans, or choices."""
    found = [_results(annotation) for annotation in _valid(task)]
    return joined_controls({name: kind == SPANS or len(values) > 1 for name, (kind, values) in each.items()} for each in found)


def joined_controls(found: Iterable[Mapping[str, bool] | None]) -> dict[str, bool]:
    """The controls of several tasks, or files."""
    joined: dict[str, bool] = {}
    for name, several in (item for each in found for item in (each or {}).items()):
        joined[name] = joined.get(name, False) or several
    return joined


def task_rows(task: dict[str, Any], controls: Mapping[str, bool]) -> Iterator[dict[str, Any]]:
    """A task's data with the answers of each annotation that was not cancelled; without answers if there is none.

    Where several answers may stand, an annotation without any has an empty list: somebody has looked, and found nothing.
    """
    annotations = _valid(task)
    if not annotations:
        yield task["data"]
    for annotation in annotations:
        results = _results(annotation)
        answers = {name: results.get(name, ("", []))[1] for name in controls}
        yield task["data"] | {name: values if controls[name] else next(iter(values), None) for name, values in answers.items()}


def _valid(task: dict[str, Any]) -> list[dict[str, Any]]:
    if not is_task(task):
        raise UserError(f"got {task!r:.60}, expected a task as the first value is, {{data: {{…}}, annotations: […]}}")
    return [each for each in task["annotations"] if not each.get("was_cancelled")]


def _results(annotation: dict[str, Any]) -> dict[str, tuple[str, list[Any]]]:
    """The type and the answers of each control; relations between regions have none."""
    found: dict[str, tuple[str, list[Any]]] = {}
    for result in annotation["result"]:
        kind, value = (result.get("type"), result.get("value")) if isinstance(result, dict) else (None, None)
        if kind == "relation":
            continue
        if not isinstance(kind, str) or not isinstance(value, dict) or not isinstance(result.get("from_name"), str):
            raise UserError(f"got the result {result!r:.60}, expected {{from_name: …, type: …, value: {{…}}}}")
        answer = value if kind == SPANS else value.get("text" if kind == "textarea" else kind, value)
        found.setdefault(result["from_name"], (kind, []))[1].extend(answer if isinstance(answer, list) else [answer])
    return found
