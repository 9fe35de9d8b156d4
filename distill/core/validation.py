"""Values of params.yaml against models, and errors that name the path that stands there, what was got and what was expected."""

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from types import NoneType
from typing import Any, ClassVar, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from distill.core.errors import UserError


class Strict(BaseModel):
    """A frozen model that takes no unknown key and coerces no type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    REPLACED: ClassVar[Mapping[str, str]] = {}
    """Keys of earlier versions, and what to write in place of each."""


Model = TypeVar("Model", bound=Strict)


def nearest(word: str, choices: Iterable[str]) -> str:
    """A hint for a misspelt word: `; did you mean 'x'?`, or the choices if none is near."""
    options = sorted(choices)
    close = difflib.get_close_matches(word, options, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; expected one of: {', '.join(options)}" if options else "; there are none"


def validate(model: type[Model], values: dict[str, Any], where: str) -> Model:
    """Check values against a model, as JSON, so that lists and strings are what YAML can write."""
    content = _as_json(values, where)
    try:
        return model.model_validate_json(json.dumps(content), by_alias=True, by_name=False)
    except ValidationError as error:
        raise UserError("\n".join(_lines(model, where, content, error.errors(include_url=False)))) from None


def _as_json(value: Any, where: str) -> Any:
    """The same with keys of text; refused is what JSON has not, such as dates, and keys that are one there, as 1 and "1" are."""
    if isinstance(value, (list, tuple)):
        return [_as_json(item, f"{where}.{number}") for number, item in enumerate(value)]
    if not isinstance(value, dict):
        _require_quotes(value, where)
        return value
    found: dict[str, Any] = {}
    for key, item in value.items():
        _require_quotes(key, where)
        name = key if isinstance(key, str) else json.dumps(key)
        if name in found:
            raise UserError(f"{where}: {name:.60} is there twice, with quotes and without; write it once")
        found[name] = _as_json(item, f"{where}.{name}")
    return found


def _require_quotes(value: Any, where: str) -> None:
    if not isinstance(value, (str, int, float, NoneType)):
        raise UserError(f"{where}: YAML reads {value!s:.60} as a {type(value).__name__}; write it in quotes")


def _lines(model: type[Strict], where: str, content: Any, problems: Iterable[Any]) -> Iterator[str]:
    """A line a path; where one lies in another, what is wrong with the inner one tells more."""
    found: dict[str, dict[str, list[str]]] = {}
    for problem in problems:
        location = _location(problem, content)
        told, got = _told(model, location, problem)
        found.setdefault(".".join([where, *location]), {}).setdefault(got, []).append(told)
    for path, lines in found.items():
        if not any(other.startswith(f"{path}.") for other in found):
            for got, (first, *others) in lines.items():
                also = "".join(dict.fromkeys(f" or {told.removeprefix('expected ')}" for told in others))
                yield f"{path}: {first}{also}{got}"


def _location(problem: Any, content: Any) -> list[str]:
    """Where a problem is in the content, without the names that pydantic gives the members of a union."""
    path = []
    for part in problem["loc"]:
        inside = part in content if isinstance(content, dict) else isinstance(content, list) and isinstance(part, int)
        content = content[part] if inside else content
        path += [str(part)] if inside or problem["type"] == "missing" else []
    return path


def _told(model: type[Strict], location: list[str], problem: Any) -> tuple[str, str]:
    """What is wrong, and what was got."""
    match problem["type"]:
        case "extra_forbidden" if location[-1] in model.REPLACED:
            return model.REPLACED[location[-1]], ""
        case "extra_forbidden":
            return f"unknown key{nearest(location[-1], _keys(model, location[:-1]))}", ""
        case "missing":
            return "is missing; give it", ""
        case "value_error":
            return str(problem["ctx"]["error"]), ""
        case "dict_type" | "model_type":
            expected = "a mapping"
        case "string_pattern_mismatch":
            expected = f"text that matches {problem['ctx']['pattern']}"
        case "too_short":
            expected = f"at least {problem['ctx']['min_length']}"
        case _:
            expected = problem["msg"].removeprefix("Input should be ").removeprefix("a ")
    return f"expected {expected}", f", got {problem['input']!r:.60}"


def _keys(model: type[BaseModel], location: list[str]) -> list[str]:
    """The keys that the model nested at `location` takes."""
    for part in location:
        field = next((f for n, f in model.model_fields.items() if part in (n, f.alias)), None)
        options = [field.annotation, *get_args(field.annotation)] if field else []
        nested = next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), None)
        if nested is None:
            return []
        model = nested
    return [field.alias or name for name, field in model.model_fields.items()]
