"""`python -m distill schema`: params.yaml as a JSON Schema for editors, or as docs/params.md."""

import ast
import functools
import inspect
import json
import sys
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any, Union

import click
from pydantic import BaseModel, Field, TypeAdapter, create_model
from pydantic.json_schema import GenerateJsonSchema

from distill.core.console import command
from distill.core.settings import SECTIONS
from distill.core.validation import Strict

Schema = Mapping[str, Any]
HEAD = """\
# params.yaml

Every key, generated from the schema: `python -m distill schema --markdown > docs/params.md`. The sections are
{sections}.
Each maps the names of entries (letters, digits, `-`, `_`) to their settings; what is empty is left out. `defaults` holds for each
section what its entries inherit: any key but those that are required *in each entry*. An entry's own setting wins.
`python -m distill check` says what is wrong before anything runs. After an edit of `defaults` or of a local file, `dvc status`
and `dvc repro --dry` know what is to run only once `dvc repro check` has run; `dvc repro` runs it each time.
"""
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
TYPES = {"string": "text", "integer": "whole number", "number": "number", "object": "mapping", "boolean": "`true`, `false`"}


@command
@click.option("--markdown", is_flag=True, help="Print a reference for people, docs/params.md, instead.")
def main(markdown: bool) -> None:
    """Print the JSON Schema of params.yaml."""
    from distill.core.files import to_json

    schema = json_schema()
    click.echo(reference(schema) if markdown else to_json(schema), nl=False)


def json_schema() -> dict[str, Any]:
    """A JSON Schema (draft 2020-12) of params.yaml, for editors."""
    from distill.pipeline.project import INTERPOLATED, MODELS
    from distill.recipes.registry import RECIPES

    student = Union[tuple(RECIPES.values())]  # type: ignore[valid-type]  # noqa: UP007
    defaults: dict[str, Any] = {
        section: (create_partial(model, INTERPOLATED.get(section, ())), {}) for section, model in MODELS.items()
    }
    fields: dict[str, Any] = {section: (dict[str, model], {}) for section, model in MODELS.items()}  # type: ignore[valid-type]
    fields["students"] = (dict[str, student], {})  # type: ignore[valid-type]
    fields["defaults"] = (create_model("Defaults", __base__=Strict, **defaults), {})
    params = TypeAdapter(create_model("Params", __base__=Strict, **fields))
    schema: dict[str, Any] = params.json_schema(by_alias=True, schema_generator=Described)
    for section, keys in INTERPOLATED.items():
        for model in RECIPES.values() if section == "students" else (MODELS[section],):
            entry = schema["$defs"][model.__name__]
            entry["required"] = [key for key in entry["required"] if key in keys]  # the others may be inherited
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


class Described(GenerateJsonSchema):
    """Keys with their docstrings: pydantic would read them when a model is made, which every command had to wait for."""

    def model_schema(self, schema: Any) -> dict[str, Any]:
        """The schema of a model."""
        described = super().model_schema(schema)
        for name, text in docstrings(schema["cls"]).items():
            described["properties"][schema["cls"].model_fields[name].alias or name]["description"] = text
        return described


def docstrings(model: type[BaseModel]) -> dict[str, str]:
    """What stands below the fields of a model, or of its bases, last below which: Python keeps it in the source alone."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        for pair in pairwise(class_body(base.__module__, base.__name__)):
            match pair:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    found[name] = inspect.cleandoc(text)
    return {name: text for name, text in found.items() if name in model.model_fields}


@functools.cache
def class_body(module: str, name: str) -> Sequence[ast.AST]:
    """The lines of a class of a module of this program, with a last one that is nothing; none of what is no such class."""
    if not module.startswith("distill."):
        return ()
    classes = [node for node in module_body(module) if isinstance(node, ast.ClassDef) and node.name == name]
    return [line for node in classes for line in (*node.body, ast.Pass())]


@functools.cache
def module_body(module: str) -> Sequence[ast.AST]:
    """The lines of a module."""
    return ast.parse(inspect.getsource(sys.modules[module])).body


def create_partial(model: type[Strict], without: Collection[str]) -> type[Strict]:
    """The model with every key optional, and those in `without` gone: what `defaults` may give."""
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if name not in without:
            default = None if field.is_required() else field.get_default()
            fields[name] = (field.annotation, Field(default=default, description=docstrings(model).get(name)))
    return create_model(f"{model.__name__}Defaults", __base__=Strict, **fields)


def reference(schema: Schema) -> str:
    """The page of docs/params.md: a table for each section, recipe and group of keys."""
    definitions, parts, groups = schema["$defs"], [HEAD.format(sections=", ".join(f"`{name}`" for name in SECTIONS))], set()
    for section in SECTIONS:
        models = [definitions[name] for name in references(schema["properties"][section]["additionalProperties"])]
        groups |= nested([model["properties"] for model in models], definitions)
        parts += [f"## {section}\n", described(models[0]) if len(models) == 1 else recipes(models)]
    return "\n".join([*parts, *(f"## {name}\n\n{described({**definitions[name], 'required': []})}" for name in sorted(groups))])


def nested(keys: Sequence[Schema], definitions: Schema) -> set[str]:
    """The groups of keys that keys are of, and those that these have."""
    found: set[str] = set()
    waiting = {name for each in keys for name in references(each)}
    while waiting:
        found |= waiting
        waiting = {name for group in waiting for name in references(definitions[group].get("properties", {}))} - found
    return found


def recipes(models: Sequence[Schema]) -> str:
    """What all recipes share, then what each adds or has otherwise."""
    first = models[0]["properties"]
    common = {key: value for key, value in first.items() if all(model["properties"][key] == value for model in models)}
    names = [model["properties"]["recipe"]["const"] for model in models]
    kinds = {"enum": names, "description": "Each has keys of its own, below."}
    parts = [table({"recipe": kinds, **common}, models[0]["required"])]
    for name, model in zip(names, models, strict=True):
        rest = {key: value for key, value in model["properties"].items() if key not in {"recipe", *common}}
        parts.append(f"### recipe {name}\n\n{described({**model, 'properties': rest})}")
    return "\n".join(parts)


def described(model: Schema) -> str:
    """A model's description and the table of its keys."""
    rows = [table(model["properties"], model.get("required", ()))] if model["properties"] else []
    return "\n".join([f"{model['description']}\n", *rows])


def table(keys: Mapping[str, Schema], required: Sequence[str]) -> str:
    """A row a key: its name, what it takes, its default, what it means."""
    rows = ["| key | takes | default | meaning |", "|---|---|---|---|"]
    for key, value in keys.items():
        default = "required *in each entry*" if key in required else default_text(value)
        rows.append(f"| `{key}` | {taken(value)} | {default} | {' '.join(value.get('description', '').split())} |")
    return "\n".join(rows) + "\n"


def default_text(key: Schema) -> str:
    """What stands where a key is not given."""
    if "default" not in key:
        return "required"
    default = key["default"]
    return "–" if default in (None, {}) else "see there" if isinstance(default, dict) else f"`{json.dumps(default)}`"


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
    return " ".join([TYPES[key["type"]], ", ".join(bounds)]).rstrip()


def references(schema: object) -> list[str]:
    """The names of all definitions that a part of the schema refers to, in order."""
    if isinstance(schema, Mapping):
        here = [schema["$ref"].rpartition("/")[2]] if "$ref" in schema else []
        return here + [name for value in schema.values() for name in references(value)]
    return [name for value in schema for name in references(value)] if isinstance(schema, list) else []
