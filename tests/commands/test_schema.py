"""docs/params.md is what the schema says, and all of it."""

import re

import pytest
from click.testing import CliRunner

from distill.commands.schema import json_schema, main, reference, taken
from distill.core.settings import SECTIONS
from distill.recipes.registry import RECIPES
from tests.closures import ROOT

PAGE = reference(json_schema())


def section(title: str) -> str:
    """The text below a heading, up to the next one."""
    return re.split(r"^#+ ", PAGE.partition(f" {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def test_the_page_in_the_repository_is_current() -> None:
    written = (ROOT / "docs/params.md").read_text(encoding="utf-8")
    assert CliRunner().invoke(main, ["--markdown"]).stdout == written, (
        "run `python -m distill schema --markdown > docs/params.md`"
    )


def test_every_key_of_every_section_recipe_and_group_has_a_row() -> None:
    schema = json_schema()
    for name in SECTIONS:
        options = schema["properties"][name]["additionalProperties"]
        for option in options.get("anyOf", [options]):
            model = schema["$defs"][option["$ref"].rpartition("/")[2]]
            kind = model["properties"].get("recipe", {}).get("const")
            rows = section(name) + (section(f"recipe {kind}") if kind else "")
            assert [key for key in model["properties"] if f"\n| `{key}` |" not in rows] == []


def test_a_recipes_table_holds_its_own_keys_alone() -> None:
    assert re.findall(r"^\| `(\w+)`", section("recipe hinton"), re.MULTILINE) == ["alpha", "temperature"]
    assert "| key |" not in section("recipe supervised")
    assert f"### recipe {list(RECIPES)[-1]}\n" in PAGE


def test_what_is_required_inherited_or_given_is_told_apart() -> None:
    assert "| `source` | text | required *in each entry* |" in section("datasets")
    assert "| `tokenizer` | [Checkpoint](#checkpoint) | required |" in section("datasets")
    assert "| `max_length` | whole number ≥ 4 | `128` |" in section("datasets")
    assert "| `from` | text | required |" in section("InitSettings")


def test_links_lead_to_headings() -> None:
    headings = {heading.lower() for heading in re.findall(r"^## (\w+)$", PAGE, re.MULTILINE)}
    links = set(re.findall(r"\(#([\w-]+)\)", PAGE))
    assert {"checkpoint", "initsettings"} <= links <= headings


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ({"type": "integer", "minimum": 16, "maximum": 64}, "whole number ≥ 16, ≤ 64"),
        ({"anyOf": [{"type": "string"}, {"type": "number", "exclusiveMinimum": 0}, {"type": "null"}]}, "text or number > 0"),
        ({"type": "array", "items": {"enum": ["train", "test"], "type": "string"}}, "list: `train`, `test`"),
        ({"const": "hinton"}, "`hinton`"),
        ({"$ref": "#/$defs/Splits", "default": {}}, "[Splits](#splits)"),
    ],
)
def test_values_in_words(key: dict[str, object], text: str) -> None:
    assert taken(key) == text


def test_editors_are_told_what_keys_mean_also_where_defaults_are_given() -> None:
    definitions = json_schema()["$defs"]
    for name in ("TargetSettings", "TargetSettingsDefaults"):
        assert definitions[name]["properties"]["codec"]["description"].startswith("How hidden states are written")
