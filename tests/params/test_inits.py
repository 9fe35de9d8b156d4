import json

import pytest
from pydantic import TypeAdapter

from distill.core.errors import UserError
from distill.core.validation import validate
from distill.params.inits import PRESETS, InitSettings

TEACHER, PREPARED = "data/teachers/t", "data/prepared/d"


def init(**settings: object) -> InitSettings:
    return validate(InitSettings, {"from": TEACHER, **settings}, "students.s.init")


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_written_out(name):
    assert init(architecture=name).architecture == init(architecture={"preset": name}).architecture == PRESETS[name]


def test_a_preset_is_varied():
    varied = init(architecture={"preset": "tinybert-4", "num_hidden_layers": 3}).architecture
    assert varied == {**PRESETS["tinybert-4"], "num_hidden_layers": 3}
    assert PRESETS["tinybert-4"]["num_hidden_layers"] == 4


def test_a_config_of_one_s_own_is_left_as_it_is():
    assert init(architecture={"hidden_size": 24}).architecture == {"hidden_size": 24}
    assert init(architecture={}).architecture == {}


def test_as_is_the_family_of_copied_layers():
    assert init(**{"as": "distilbert", "depth": 6}).family == "distilbert"


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"dept": 2}, "init.dept: unknown key; did you mean 'depth'?"),
        ({"layer": 2}, "init.layer: unknown key; did you mean 'layers'?"),
        ({"form": TEACHER}, "init.form: unknown key; did you mean 'from'?"),
        ({"depth": 2, "layers": [0]}, "init: expected one of: layers, depth, architecture"),
        ({"from": PREPARED}, "init: a prepared data set has no layers to copy"),
        ({"from": "teachers/t"}, "init.from: expected"),
        ({"layers": []}, "init.layers"),
        ({"depth": 0}, "init.depth: expected greater than 0, got 0"),
        ({"architecture": "tinybert4"}, "init.architecture: no preset 'tinybert4'; did you mean 'tinybert-4'?"),
        ({"architecture": {"preset": "mobile"}}, "no preset 'mobile'; did you mean 'mobilebert'?"),
        ({"architecture": {"preset": 4}}, "no preset 4; expected one of: bert-base"),
        ({"architecture": 3}, "init.architecture: "),
        (
            {"architecture": {"hidden_size": 127, "num_attention_heads": 2}},
            "architecture: hidden_size 127 is no multiple of num_attention_heads 2",
        ),
        ({"architecture": {"hidden_size": 64}}, "hidden_size 64 is no multiple of num_attention_heads 12; give both"),
        ({"architecture": {"num_attention_heads": 5}}, "hidden_size 768 is no multiple of num_attention_heads 5; give both"),
        ({"architecture": {"num_hidden_layers": 0}}, "architecture.num_hidden_layers: expected a whole number > 0, got 0"),
        ({"architecture": {"hidden_size": "64"}}, "architecture.hidden_size: expected a whole number > 0, got '64'"),
        ({"architecture": {}, "depth": 2}, "expected one of: layers, depth, architecture"),
        ({"as": "distilbert", "architecture": "distilbert"}, "`as` is for copied layers, architecture for a random student"),
        ({"as": "roberta"}, "init.as: expected 'distilbert', got 'roberta'"),
        ({"as": "distilbert", "from": PREPARED}, "a prepared data set has no layers to copy"),
        ({"copy_embeddings": True}, "copy_embeddings is for a random student; give architecture, or remove it"),
        (
            {"copy_embeddings": True, "architecture": "mobilebert", "from": PREPARED},
            "copy_embeddings: a prepared data set has no embeddings; give from: data/teachers/NAME",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(settings, complaint):
    with pytest.raises(UserError) as caught:
        init(**settings)
    assert complaint in str(caught.value)


def test_the_schema_offers_the_presets():
    schema = json.dumps(TypeAdapter(InitSettings).json_schema(by_alias=True)["properties"]["architecture"])
    assert all(f'"{name}"' in schema for name in PRESETS)
