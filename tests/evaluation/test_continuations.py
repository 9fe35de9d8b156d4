"""What a report shows of how decoders go on: the same rows and tokens of all models, the same text for the same model."""

from distill.data.dataset import Dataset
from distill.data.tokenizers import load_tokenizer
from distill.evaluation.continuations import ROWS, continuations
from distill.evaluation.details import Detail, read_detail
from distill.models.generation import continue_greedily
from distill.tasks.base import EvaluationSplit
from tests import tiny
from tests.decoders import conversations, decoder, tokenizer


def test_a_conversation_is_continued_from_its_last_response_on(tmp_path):
    dataset = Dataset.open(conversations(tmp_path / "talks", sizes=(4, 4, 20)))
    split, words = EvaluationSplit.from_dataset(dataset, "test"), load_tokenizer(dataset.folder / "tokenizer")
    found = continuations(decoder(seed=3), words, split, dataset.max_length)
    assert len(found) == ROWS
    for line in found:
        question = line.before.removeprefix("<user>").removesuffix("<end> <assistant>").strip()
        assert line.before == f"<user> {question} <end> <assistant>"
        assert line.text == question
        said = continue_greedily(decoder(seed=3), words(line.before)["input_ids"], dataset.max_length // 2, 0)
        assert line.said == words.decode(said, skip_special_tokens=True)
    assert any(line.said for line in found)
    assert found == continuations(decoder(seed=3), words, split, dataset.max_length)
    assert [line.before for line in found] == [
        line.before for line in continuations(decoder("llama"), words, split, dataset.max_length)
    ]


def test_a_block_of_texts_is_continued_from_its_middle_on_and_the_record_is_read_again(tmp_path):
    dataset = Dataset.open(tiny.prepare_task(tmp_path / "tiny", "causal-lm", tokenizer(), sizes=(4, 4, 8)))
    split = EvaluationSplit.from_dataset(dataset, "test")
    words = load_tokenizer(dataset.folder / "tokenizer")
    found = continuations(decoder(), words, split, dataset.max_length)
    first = split.rows.tokens[: split.rows.offsets[1]].tolist()
    assert found[0].before == words.decode(first[: len(first) // 2])
    assert found[0].text == words.decode(first[len(first) // 2 :], skip_special_tokens=True)
    detail = Detail("causal-lm", continuations=found)
    (tmp_path / "detail.json").write_text(detail.to_json(), encoding="utf-8")
    assert read_detail(tmp_path / "detail.json", "evaluate@tiny") == detail
