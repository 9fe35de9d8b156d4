import numpy as np
import pytest
import torch

from distill.data.dataset import UNLABELLED, Dataset
from distill.models.generation import continue_greedily
from distill.models.predict import predict
from distill.tasks.base import EvaluationSplit
from distill.tasks.registry import task_of
from tests import tiny
from tests.decoders import FAMILIES, conversations, decoder, tokenizer
from tests.evaluation_splits import split_of

TASK = task_of("causal-lm")


@pytest.fixture(scope="module")
def talks(tmp_path_factory) -> Dataset:
    return Dataset.open(conversations(tmp_path_factory.mktemp("talks") / "talks", sizes=(4, 4, 40)))


@pytest.mark.parametrize("conversation", [True, False])
def test_exact_match_is_the_share_of_conversations_all_of_whose_tokens_are_found_and_texts_have_none(conversation):
    logs = np.log(np.full(6, 0.5))
    kept = np.stack([logs, [7, 9, 5, 6, 3, 3], logs], axis=1).astype(np.float32)
    labels = [-100, 7, 9, -100, 5, 1, -100, 3, 3]
    split = split_of([3, 3, 3], labels)
    split = EvaluationSplit(split.rows, (), conversations=conversation)
    found = TASK.measures(kept, split)
    assert found.get("exact_match") == (pytest.approx(2 / 3) if conversation else None)
    assert found["accuracy"] == pytest.approx(5 / 6)


def test_a_prepared_data_set_says_whether_its_rows_are_conversations(talks, tmp_path):
    assert EvaluationSplit.from_dataset(talks, "test").conversations
    texts = Dataset.open(tiny.prepare_task(tmp_path / "tiny", "causal-lm", tokenizer(), sizes=(4, 4, 4)))
    assert not EvaluationSplit.from_dataset(texts, "test").conversations


def test_what_matches_exactly_is_what_greedy_decoding_writes(talks):
    """A decoder that has learnt a part of the answers: each row's response is generated, by transformers, and compared."""
    torch.manual_seed(0)
    model, split = decoder(layers=1, width=32, seed=2), EvaluationSplit.from_dataset(talks, "test")
    rows, optimizer = split.rows, torch.optim.Adam(model.parameters(), 1e-2)
    texts = [(rows.tokens[a:b], rows.labels[a:b]) for a, b in zip(rows.offsets[:-1], rows.offsets[1:], strict=True)]
    for _ in range(6):
        for tokens, labels in texts:
            logits = model(torch.from_numpy(tokens[None].astype(np.int64))).logits[0]
            torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels.astype(np.int64))).backward()
        optimizer.step()
        optimizer.zero_grad()
    right = []
    for tokens, labels in texts:
        places = np.flatnonzero(labels != UNLABELLED)
        expected = labels[places].tolist()
        said = continue_greedily(model, tokens[: places[0] + 1].tolist(), len(expected), rows.pad_token)
        right.append(said == expected)
    found = TASK.measures(predict(model, TASK, rows, "test"), split)["exact_match"]
    assert found == pytest.approx(np.mean(right))
    assert 0 < found < 1


@pytest.mark.parametrize("family", FAMILIES)
def test_a_continuation_is_the_likeliest_token_after_the_other_up_to_the_end(family):
    model = decoder(family, seed=4)
    model.generation_config.update(do_sample=True, temperature=5.0, repetition_penalty=9.0, eos_token_id=None)
    ids = [7, 8, 9]
    expected = list(ids)
    for _ in range(8):
        with torch.no_grad():
            expected.append(int(model(torch.tensor([expected])).logits[0, -1].argmax()))
    assert continue_greedily(model, ids, 8, 0) == expected[3:]
    model.generation_config.eos_token_id = expected[5]
    end = expected.index(expected[5], 3)
    assert continue_greedily(model, ids, 8, 0) == expected[3 : end + 1]
