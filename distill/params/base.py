"""What every section of params.yaml shares: strict models, inherited defaults, and errors that name the path."""

import difflib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from distill.errors import UserError

SECTIONS = ("sources", "datasets", "augmentations", "teachers", "targets", "ensembles", "students", "exports")
ENTRY_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")


class Strict(BaseModel):
    """A frozen model that takes no unknown key and coerces no type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True)


Model = TypeVar("Model", bound=Strict)


def nearest(word: str, choices: Iterable[str]) -> str:
    """A hint for a misspelt word: `; did you mean 'x'?`, or the choices if none is near."""
    options = sorted(choices)
    close = difflib.get_close_matches(word, options, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; expected one of: {', '.join(options)}" if options else "; there are none"


def read_yaml(path: Path) -> dict[str, Any]:
    """The content of params.yaml as DVC reads it (YAML 1.2: `3e-5` is a number).

    Raises:
        UserError: the file is missing, is not YAML, or is not a mapping.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); run from the folder that holds it") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a mapping with the sections {', '.join(SECTIONS)}, got {content!r:.60}")
    return content


def require_sections(content: dict[str, Any], where: str) -> None:
    """Refuse a file whose top level is not exactly `defaults` and the sections, each a mapping of entries.

    All must be present, if only as `{}`: DVC refuses to track a parameter that does not exist.

    Raises:
        UserError: a section is missing, unknown or no mapping; an entry's name or value is not usable.
    """
    expected = ("defaults", *SECTIONS)
    for key in content:
        if key not in expected:
            raise UserError(f"{where}: {key}: unknown section{nearest(str(key), expected)}")
    for key in expected:
        if not isinstance(content.get(key), dict):
            raise UserError(f"{where}: {key}: expected a mapping, got {content.get(key)!r:.60}; write `{key}: {{}}`")
    for key in content["defaults"]:
        if key not in SECTIONS:
            raise UserError(f"{where}: defaults.{key}: unknown section{nearest(str(key), SECTIONS)}")
    for key in SECTIONS:
        if not isinstance(content["defaults"].get(key), dict):
            raise UserError(f"{where}: defaults.{key}: expected a mapping; write `{key}: {{}}` under defaults")
        for name, entry in content[key].items():
            if not isinstance(name, str) or not ENTRY_NAME.fullmatch(name):
                raise UserError(
                    f"{where}: {key}.{name}: an entry's name is made of letters, digits, '-' and '_' "
                    "(DVC takes a dot or a slash for part of a path); rename it"
                )
            if not isinstance(entry, dict):
                raise UserError(f"{where}: {key}.{name}: expected a mapping of settings, got {entry!r:.60}")


def validate(model: type[Model], values: dict[str, Any], where: str) -> Model:
    """Check values against a model, as JSON, so that lists and strings are what YAML can write.

    Raises:
        UserError: a line for each thing that is wrong, each naming its path.
    """
    try:
        return model.model_validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        lines = [_line(model, where, problem) for problem in error.errors(include_url=False)]
        raise UserError("\n".join(dict.fromkeys(lines))) from None


def with_defaults(content: dict[str, Any], section: str, name: str) -> dict[str, Any]:
    """An entry's settings over what `defaults.SECTION` gives."""
    return {**content["defaults"][section], **content[section][name]}


def load_entry(path: Path, section: str, name: str, model: type[Model]) -> Model:
    """Read one entry of one section; the others are left to `python -m distill check`.

    Raises:
        UserError: the file, the entry or a setting is not usable.
    """
    content = read_yaml(path)
    require_sections(content, str(path))
    if name not in content[section]:
        raise UserError(f"{path}: {section}.{name}: no such entry{nearest(name, content[section])}")
    return validate(model, with_defaults(content, section, name), f"{path}: {section}.{name}")


def _line(model: type[Strict], where: str, problem: Any) -> str:
    location = [str(part) for part in problem["loc"]]
    path = ".".join([where, *location])
    match problem["type"]:
        case "extra_forbidden":
            return f"{path}: unknown key{nearest(location[-1], _keys(model, location[:-1]))}"
        case "missing":
            return f"{path}: is missing; give it"
        case "value_error":
            return f"{path}: {problem['ctx']['error']}"
    expected = problem["msg"].removeprefix("Input should be ").removeprefix("a ")
    return f"{path}: expected {expected}, got {problem['input']!r:.60}"


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
