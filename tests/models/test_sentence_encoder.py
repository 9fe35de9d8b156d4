"""Vectors of texts are what sentence-transformers, and formulas in float64, make of the same folder."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from transformers import AutoModel, AutoTokenizer

from distill.core.errors import UserError
from distill.models.config_keys import SENTENCE_EMBEDDING
from distill.models.loading import load_model, weights_fingerprint
from distill.models.sentence_encoder import EmbeddingSettings, SentenceEncoder, vector_size
from distill.students.initialize import copy_layers, embedding_settings
from distill.tasks.registry import task_of
from tests import tiny

FAMILIES = (*tiny.FAMILIES, "modernbert", "mpnet")
TEXTS = ["w1 w2 w3", "w4", "w5 w6 w7 w8 w9 w10"]
HOW = {"mean": {}, "cls": {"pooling": "cls", "normalize": False}, "last": {"pooling": "last", "size": 5}}


def encoder(family: str = "bert", **how: object) -> SentenceEncoder:
    config = tiny.family(family).config
    setattr(config, SENTENCE_EMBEDDING, how)
    torch.manual_seed(1)
    attention = {"attn_implementation": "eager"} if family == "mpnet" else {}
    return SentenceEncoder.from_config(config, **attention).eval()


def written(folder: Path, **how: object) -> Path:
    return tiny.save(encoder(**how), folder, tiny.masking_tokenizer())


def vectors(folder: Path) -> np.ndarray:
    """What our own class makes of the texts, in a padded batch."""
    batch = AutoTokenizer.from_pretrained(folder)(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        return SentenceEncoder.from_pretrained(folder)(batch["input_ids"], batch["attention_mask"]).sentence_embedding.numpy()


@pytest.mark.parametrize("how", HOW.values(), ids=HOW)
@pytest.mark.parametrize("family", FAMILIES)
def test_vectors_are_the_formula(family, how):
    model, batch = encoder(family, **how), tiny.padded([5, 9, 2])
    with torch.no_grad():
        found = model(**batch).sentence_embedding
        states = model.encoder(**batch).last_hidden_state.double()
        expected = []
        for row, length in zip(states, (5, 9, 2), strict=True):
            real = row[:length]
            vector = {"mean": real.mean(0), "cls": real[0], "last": real[-1]}[how.get("pooling", "mean")]
            if "size" in how:
                vector = model.dense.weight.double() @ vector + model.dense.bias.double()
            expected.append(vector / vector.norm() if how.get("normalize", True) else vector)
        alone = model(batch["input_ids"][:1, :5]).sentence_embedding
    torch.testing.assert_close(found.double(), torch.stack(expected), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(alone, found[:1], rtol=1e-4, atol=1e-5)
    assert vector_size(model) == found.shape[1] == how.get("size", 24)


@pytest.mark.parametrize("how", HOW.values(), ids=HOW)
def test_sentence_transformers_loads_the_folder_with_equal_vectors(tmp_path, how):
    folder = written(tmp_path / "model", **how)
    theirs = SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(vectors(folder), theirs, atol=1e-5)
    assert set(SentenceEncoder.from_pretrained(folder).state_dict()) == set(encoder(**how).state_dict())


def test_a_folder_of_sentence_transformers_is_a_teacher_that_pools_as_it_says(tmp_path):
    tiny.save(AutoModel.from_config(tiny.family("bert").config), tmp_path / "plain", tiny.masking_tokenizer())
    whole = Transformer(str(tmp_path / "plain"))
    SentenceTransformer(modules=[whole, Pooling(24, "cls"), Normalize()], device="cpu").save(str(tmp_path / "theirs"))
    model = load_model(tmp_path / "theirs", task_of("sentence-embedding"), (), new_head=False)
    assert model.settings == EmbeddingSettings("cls", normalize=True)
    expected = SentenceTransformer(str(tmp_path / "theirs"), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(vectors(tmp_path / "theirs"), expected, atol=1e-5)
    with pytest.raises(UserError, match=r"its own pooling is cls, got pooling: mean; leave pooling out"):
        load_model(tmp_path / "theirs", task_of("sentence-embedding"), (), new_head=False, pooling="mean")


def test_the_pooling_of_a_plain_encoder_is_that_of_params_else_the_mean(tmp_path):
    tiny.save(AutoModel.from_config(tiny.family("bert").config), tmp_path, tiny.masking_tokenizer())
    for given, expected in ((None, "mean"), ("last", "last")):
        model = load_model(tmp_path, task_of("sentence-embedding"), (), new_head=False, pooling=given)
        assert model.settings == EmbeddingSettings(expected)


def test_two_saves_write_the_same_bytes_which_read_as_the_same_model(tmp_path):
    for name in ("a", "b"):
        written(tmp_path / name, size=5)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert Path("2_Dense/model.safetensors") in files
    for path in files:
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes(), path
    first, again = encoder(size=5).state_dict(), SentenceEncoder.from_pretrained(tmp_path / "a").state_dict()
    assert all(torch.equal(first[name], tensor) for name, tensor in again.items())


def test_a_changed_linear_layer_is_another_model(tmp_path):
    folder = written(tmp_path / "a", size=5)
    before = weights_fingerprint(folder)
    model = SentenceEncoder.from_pretrained(folder)
    model.dense.weight.data += 1
    model.save_pretrained(folder)
    assert weights_fingerprint(folder) != before


@pytest.mark.parametrize(
    ("file", "content", "complaint"),
    [
        (
            "1_Pooling/config.json",
            {"pooling_mode_max_tokens": True},
            "1_Pooling: pools by pooling_mode_max_tokens; expected one of mean",
        ),
        ("1_Pooling/config.json", {}, "pools by nothing; expected one of mean, cls, last"),
        (
            "2_Dense/config.json",
            {"out_features": 5, "activation_function": "torch.nn.modules.activation.Tanh"},
            "2_Dense is a Dense with",
        ),
        (
            "2_Dense/config.json",
            {"out_features": 4, "activation_function": "torch.nn.modules.linear.Identity"},
            "missing or damaged",
        ),
        ("2_Dense/model.safetensors", "broken", "the weights of its linear layer are missing or damaged"),
        ("model.safetensors", None, "no usable model"),
        ("modules.json", "[", r"modules.json: is damaged .*; expected the modules of .*; get it again"),
    ],
)
def test_a_folder_that_is_not_understood_is_refused(tmp_path, file, content, complaint):
    folder = written(tmp_path / "model", size=5)
    path = folder / file
    path.unlink()
    if content is not None:
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError, match=complaint):
        load_model(folder, task_of("sentence-embedding"), (), new_head=False)


def test_modules_in_another_order_are_refused(tmp_path):
    folder = written(tmp_path / "model", size=5, normalize=True)
    path = folder / "modules.json"
    first, pooling, dense, normalize = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps([first, pooling, normalize, dense]), encoding="utf-8")
    with pytest.raises(UserError, match="2_Dense is a Dense with .*, in this order; choose another checkpoint"):
        load_model(folder, task_of("sentence-embedding"), (), new_head=False)


def test_a_checkpoint_that_lacks_a_layer_is_no_teacher(tmp_path):
    folder = tiny.save(AutoModel.from_config(tiny.family("bert").config), tmp_path / "a", tiny.masking_tokenizer())
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 4}), encoding="utf-8")
    with pytest.raises(UserError, match=r"is no encoder: it has no weights of encoder.layer.3"):
        load_model(folder, task_of("sentence-embedding"), (), new_head=False)


def test_copied_layers_keep_pooling_and_linear_layer():
    model = encoder(size=5, pooling="cls")
    student = copy_layers(model, (0, 2))
    assert student.settings == model.settings
    assert student.config.num_hidden_layers == 2
    assert torch.equal(student.dense.weight, model.dense.weight)
    assert len(student.encoder.encoder.layer) == 2


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"pooling": "max"}, "init.architecture.pooling: got 'max', expected one of mean, cls, last"),
        ({"normalize": 1}, "init.architecture.normalize: got 1, expected true or false"),
        ({"vector_size": 0}, "init.architecture.vector_size: got 0, expected how many numbers"),
    ],
)
def test_what_a_random_students_vectors_cannot_be_is_refused(given, complaint):
    with pytest.raises(UserError, match=complaint):
        embedding_settings(given)
