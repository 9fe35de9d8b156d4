"""The JSON Schema of params.yaml as a page to read: a table of keys for each section, recipe and group of settings."""

import json
import types
from collections.abc import Mapping, Sequence
from typing import Any

from distill.params.base import SECTIONS

Schema = Mapping[str, Any]
HEAD = """\
# params.yaml

Every key, generated from the schema: `python -m distill schema --markdown > docs/params.md`. The sections are
{sections}.
Each maps the names of entries (letters, digits, `-`, `_`) to their settings; all are there, if only as `{{}}`. `defaults` holds
for each section what its entries inherit: any key but those that are required *in each entry*. An entry's own setting wins.
`python -m distill check` says what is wrong before anything runs.
"""
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
WORDS = {"string": "text", "integer": "whole number", "number": "number", "object": "mapping", "boolean": "`true`, `false`"}


def reference(schema: Schema) -> str:
    """The whole page.

    Args:
        schema: What `distill.params.whole.json_schema` returns.
    """
    definitions, parts, groups = schema["$defs"], [HEAD.format(sections=", ".join(f"`{name}`" for name in SECTIONS))], set()
    for section in SECTIONS:
        options = schema["properties"][section]["additionalProperties"]
        models = [definitions[name] for name in groups_of(options)]
        groups |= {name for model in models for name in groups_of(model["properties"])}
        parts += [f"## {section}\n", described(models[0]) if len(models) == 1 else recipes(models)]
    return "\n".join([*parts, *(f"## {name}\n\n{described({**definitions[name], 'required': []})}" for name in sorted(groups))])


def recipes(models: Sequence[Schema]) -> str:
    """What all kinds of an entry share, then what each adds or has otherwise; `recipe` tells them apart."""
    first = models[0]["properties"]
    common = {key: value for key, value in first.items() if all(model["properties"][key] == value for model in models)}
    names = [model["properties"]["recipe"]["const"] for model in models]
    kinds = {"enum": names, "description": "Each has keys of its own, below."}
    parts = [table({"recipe": kinds, **common}, models[0]["required"])]
    for name, model in zip(names, models, strict=True):
        own = {key: value for key, value in model["properties"].items() if key not in {"recipe", *common}}
        parts.append(f"### recipe {name}\n\n{described({**model, 'properties': own})}")
    return "\n".join(parts)


def described(model: Schema) -> str:
    """A model's description and the table of its keys."""
    rows = table(model["properties"], model.get("required", ())) if model["properties"] else ""
    return "\n".join(part for part in (f"{model['description']}\n", rows) if part)


def table(keys: Mapping[str, Schema], required: Sequence[str]) -> str:
    """A row a key: its name, what it takes, its default, what it means."""
    rows = ["| key | takes | default | meaning |", "|---|---|---|---|"]
    for key, value in keys.items():
        default = "required *in each entry*" if key in required else standard(value)
        rows.append(f"| `{key}` | {taken(value)} | {default} | {' '.join(value.get('description', '').split())} |")
    return "\n".join(rows) + "\n"


def standard(key: Schema) -> str:
    """What stands where a key is not given."""
    match key.get("default", ...):
        case types.EllipsisType():
            return "required"
        case None:
            return "–"
        case {}:
            return "see there"
        case value:
            return f"`{json.dumps(value)}`"


def taken(key: Schema) -> str:
    """The values that a key takes, in words."""
    if "$ref" in key:
        name = key["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in key:
        return " or ".join(taken(option) for option in key["anyOf"] if option.get("type") != "null")
    if "const" in key or "enum" in key:
        return ", ".join(f"`{value}`" for value in key.get("enum", [key.get("const")]))
    if key["type"] == "array":
        return f"list: {taken(key['items'])}"
    bounds = [f"{sign} {key[bound]}" for bound, sign in BOUNDS.items() if bound in key]
    return " ".join([WORDS[key["type"]], ", ".join(bounds)]).rstrip()


def groups_of(schema: object) -> list[str]:
    """The names of all definitions that a part of the schema refers to, in order."""
    if isinstance(schema, Mapping):
        own = [schema["$ref"].rpartition("/")[2]] if "$ref" in schema else []
        return own + [name for value in schema.values() for name in groups_of(value)]
    return [name for value in schema for name in groups_of(value)] if isinstance(schema, list) else []
