"""Rankers that read query and passage apart: sentence-transformers has their scores, what runs cross-encoders runs them."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from distill.core.errors import UserError
from distill.data.batching import pad_batch
from distill.data.dataset import Dataset
from distill.export.onnx_graph import export_model
from distill.export.session import open_session
from distill.models.bi_encoder import BiEncoder
from distill.models.loading import load_for, save_model
from distill.models.predict import predict
from distill.params.inits import InitSettings
from distill.prediction.answers import answers
from distill.prediction.model import open_model
from distill.students.initialize import init_student
from distill.tasks.registry import task_of
from tests import tiny

RANKING = task_of("ranking")
FAMILIES = ("bert", "distilbert", "electra", "modernbert")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return Dataset.open(tiny.prepare_task(tmp_path_factory.mktemp("ranking") / "tiny", "ranking", sizes=(30, 12, 12)))


def made(folder: Path, dataset: Dataset, family: str, monkeypatch: pytest.MonkeyPatch, **init: object) -> Path:
    """A saved bi-encoder with layers of a tiny cross-encoder."""
    tokenizer = tiny.masking_tokenizer()
    model = tiny.family(family, vocab_size=dataset.vocabulary, num_labels=1)
    tiny.save(model, folder / "data/teachers/tiny", tokenizer)
    monkeypatch.chdir(folder)
    settings = InitSettings.model_validate({"from": "data/teachers/tiny", "bi_encoder": True, **init}, strict=False)
    save_model(folder / "model", init_student(settings, dataset), tokenizer, dataset)
    return folder / "model"


@pytest.mark.parametrize("family", FAMILIES)
def test_sentence_transformers_torch_onnx_and_predict_score_alike(
    family: str, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = made(tmp_path, dataset, family, monkeypatch, depth=2)
    model, _ = load_for(place, dataset)
    assert isinstance(model, BiEncoder)
    assert {"modules.json", "config_sentence_transformers.json"} <= {path.name for path in place.iterdir()}
    assert model.config.num_hidden_layers == 2
    rows, texts = dataset.rows("test"), dataset.texts("test")
    scores = predict(model, RANKING, rows, "")[:, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = SentenceTransformer(str(place), device="cpu")
        queries, passages = (theirs.encode(texts[name]) for name in ("text", "text_pair"))
        assert theirs.similarity(queries[:1], passages[:1]).item() == pytest.approx(scores[0], abs=1e-4)
    whole = rows.lengths < dataset.max_length
    assert whole.sum() > 3
    np.testing.assert_allclose((queries * passages).sum(axis=1)[whole], scores[whole], rtol=1e-5, atol=1e-5)
    export_model(model, tmp_path / "model.onnx")
    session = open_session(tmp_path / "model.onnx")
    batch = {name: part.numpy() for name, part in pad_batch(rows, np.arange(len(rows))).items()}
    np.testing.assert_allclose(session(batch)[:, 0], scores, rtol=1e-4, atol=1e-4)
    found = answers(open_model(place), [{"query": q, "passage": p} for q, p in zip(*texts.values(), strict=True)])
    np.testing.assert_allclose([each["score"] for each in found], scores, atol=1e-4)


def test_a_random_one_may_pool_otherwise_and_end_in_fewer_numbers(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    place = made(tmp_path, dataset, "bert", monkeypatch, architecture={**shape, "pooling": "cls", "vector_size": 4})
    model, _ = load_for(place, dataset)
    settings = model.settings
    assert (type(model), settings.pooling, settings.normalize, settings.size) == (BiEncoder, "cls", False, 4)


def test_gradients_reach_both_texts(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = load_for(made(tmp_path, dataset, "bert", monkeypatch), dataset)
    batch = pad_batch(dataset.rows("train"), np.array([0, 1]))
    (found,) = torch.autograd.grad(model(**batch).logits.sum(), model.get_input_embeddings().weight)
    real = batch.get("attention_mask", torch.ones_like(batch["input_ids"])).bool()
    used = {*batch["input_ids"][real].tolist()}
    assert {*found.abs().sum(dim=1).nonzero()[:, 0].tolist()} == used


def test_what_a_bi_encoder_cannot_be_is_refused(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="bi_encoder: its layers stay in their family; remove `as`"):
        InitSettings.model_validate({"from": "data/teachers/tiny", "bi_encoder": True, "as": "distilbert"}, strict=False)
    untyped = tiny.masking_tokenizer()
    untyped.model_input_names = ["input_ids", "attention_mask"]
    bare = Dataset.open(tiny.prepare_task(tmp_path / "bare", "ranking", untyped, sizes=(12, 8, 8)))
    with pytest.raises(UserError, match="init.bi_encoder: the rows of .*bare have no token types, which tell query from passage"):
        made(tmp_path, bare, "bert", monkeypatch)
