"""Blocks of documents, and conversations of which the responses alone are learnt: every token is accounted for."""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import ByteLevelBPETokenizer
from transformers import PreTrainedTokenizerFast

from distill.core.errors import UserError
from distill.data.dataset import UNLABELLED, Dataset
from distill.data.tokenizers import Encoded
from distill.preparation.conversations import rendered
from distill.preparation.documents import encode_conversations, map_documents, packer_of
from tests import tiny
from tests.decoders import SPECIAL, TEMPLATE, tokenizer

EOS, FIRST = 1, len(SPECIAL)
USER, ASSISTANT, END = 3, 4, 5


def encoded(rows: list[dict[str, Any]], made: PreTrainedTokenizerFast | None = None, **how: Any) -> Encoded:
    """Documents are packed in one part, and in a part each, which makes no difference."""
    entry, made = tiny.settings("causal-lm", **{"max_length": 8, **how}), made or tokenizer()
    mapped = map_documents(pa.Table.from_pylist(rows), "raw", entry)
    if packer_of(made, entry) is None:
        return encode_conversations(made, mapped, entry, "train")
    packs = []
    for parts in ([np.arange(len(mapped))], np.arange(len(mapped))[:, None]):
        packer = packer_of(made, entry)
        packs.append([*(packer.add(mapped.take(part)) for part in parts), packer.finish()])
    whole, apart = (
        Encoded(
            {"input_ids": [row for part in pack for row in part.columns["input_ids"]]},
            np.concatenate([part.lengths for part in pack]),
            truncated_tokens=sum(part.truncated_tokens for part in pack),
            labels=[row for part in pack for row in part.labels],
            ids=[each for part in pack for each in part.ids],
            counts=dict(sum((Counter(part.counts) for part in pack), Counter())),
        )
        for pack in packs
    )
    assert (whole.ids, whole.counts, whole.truncated_tokens) == (apart.ids, apart.counts, apart.truncated_tokens)
    assert [row.tolist() for row in whole.labels] == [row.tolist() for row in apart.labels]
    return whole


def texts(*given: str) -> list[dict[str, Any]]:
    return [{"text": text} for text in given]


def ids(words: str) -> list[int]:
    return [FIRST + int(word[1:]) for word in words.split()]


def predicted(made: Encoded, row: int) -> list[tuple[int, int]]:
    """Each place that has a label, and the label."""
    return [(place, label) for place, label in enumerate(made.labels[row].tolist()) if label != UNLABELLED]


def test_documents_are_packed_into_blocks_and_no_first_token_is_predicted_from_the_document_before():
    made = encoded(texts("w0 w1 w2 w3 w4", "w5", "w6 w7 w8 w9"))
    stream = [*ids("w0 w1 w2 w3 w4"), EOS, *ids("w5"), EOS, *ids("w6 w7 w8 w9"), EOS]
    assert [row.tolist() for row in made.columns["input_ids"]] == [stream[:8], stream[8:]]
    assert predicted(made, 0) == [(0, FIRST + 1), (1, FIRST + 2), (2, FIRST + 3), (3, FIRST + 4), (4, EOS), (6, EOS)]
    assert predicted(made, 1) == [(0, FIRST + 7), (1, FIRST + 8), (2, FIRST + 9), (3, EOS)]
    assert made.counts == {"documents": 3, "blocks": 2, "predicted_tokens": 10, "bytes": len("w1w2w3w4w7w8w9") + 7}
    assert (made.truncated_rows, made.truncated_tokens) == (0, 0)


def test_the_first_token_of_a_block_is_predicted_by_the_last_of_the_one_before():
    made = encoded(texts("w0 w1 w2 w3 w4 w5 w6 w7 w8 w9 w10"), max_length=4)
    stream = [*ids("w0 w1 w2 w3 w4 w5 w6 w7 w8 w9 w10"), EOS]
    labels = [label for row in range(3) for _, label in predicted(made, row)]
    assert labels == stream[1:]
    assert [len(row) for row in made.columns["input_ids"]] == [4, 4, 4]


def test_a_last_block_of_an_end_alone_is_left_out_and_counted():
    made = encoded(texts("w0 w1 w2 w3"), max_length=4)
    assert [row.tolist() for row in made.columns["input_ids"]] == [ids("w0 w1 w2 w3")]
    assert predicted(made, 0)[-1] == (3, EOS)
    assert made.truncated_tokens == 1


def test_the_same_block_with_other_places_to_predict_is_another_example():
    joined, apart = encoded(texts("w0 w1")), encoded([{"prompt": "w0", "response": " w1"}], columns=PAIRS)
    assert joined.columns["input_ids"][0].tolist() == apart.columns["input_ids"][0].tolist()
    assert joined.ids == apart.ids
    other = encoded([{"prompt": "w0 w1", "response": " w1"}, {"prompt": "w0", "response": " w1 w1"}], columns=PAIRS)
    assert other.columns["input_ids"][0].tolist() == other.columns["input_ids"][1].tolist()
    assert other.ids[0] != other.ids[1]


@pytest.mark.parametrize("text", ["plain words", "naïve café – 漢字 🙂 end", " a  b\n\nc "])
def test_bytes_are_those_of_what_is_predicted(text):
    core = ByteLevelBPETokenizer()
    core.train_from_iterator([text, "other words"], vocab_size=300, show_progress=False)
    made = PreTrainedTokenizerFast(tokenizer_object=core._tokenizer, eos_token="<eos>")
    found = encoded(texts(text), made, max_length=64)
    first = made.decode(found.columns["input_ids"][0][:1])
    whole = len(text.encode())
    assert found.counts["bytes"] == whole - len(first.encode()) if "�" not in first else found.counts["bytes"] < whole


def test_a_token_that_begins_texts_is_there_and_the_first_word_is_predicted_from_it():
    from tokenizers.processors import TemplateProcessing

    made = tokenizer(bos_token="<user>")
    made.backend_tokenizer.post_processor = TemplateProcessing(single="<user> $A", special_tokens=[("<user>", USER)])
    found = encoded(texts("w0 w1", "w2"), made)
    assert found.columns["input_ids"][0].tolist() == [USER, *ids("w0 w1"), EOS, USER, *ids("w2"), EOS]
    assert [place for place, _ in predicted(found, 0)] == [0, 1, 2, 4, 5]
    assert found.counts["bytes"] == len("w0 w1") + len("w2")


PAIRS = {"prompt": "prompt", "response": "response"}
TURNS = {"messages": "messages"}


def turns(*said: str) -> dict[str, Any]:
    roles = ["user", "assistant"] * len(said)
    return {"messages": [{"role": role, "content": words} for role, words in zip(roles, said, strict=False)]}


def test_of_a_conversation_what_the_assistant_says_is_learnt_with_the_marks_behind_it():
    made = encoded([turns("w0 w1", "w2 w3", "w4", "w5")], tokenizer(chat_template=TEMPLATE), columns=TURNS, max_length=20)
    expected = [USER, *ids("w0 w1"), END, ASSISTANT, *ids("w2 w3"), END, USER, *ids("w4"), END, ASSISTANT, *ids("w5"), END]
    assert made.columns["input_ids"][0].tolist() == expected
    assert predicted(made, 0) == [(4, FIRST + 2), (5, FIRST + 3), (6, END), (11, FIRST + 5), (12, END)]
    assert made.counts["conversations"] == 1
    assert made.counts["predicted_tokens"] == 5


@pytest.mark.parametrize(("role", "content"), [("from", "value"), ("role", "content")])
@pytest.mark.parametrize("assistant", ["gpt", "chatgpt", "assistant", "model"])
def test_turns_of_sharegpt_and_other_names_are_turns_of_user_and_assistant(role, content, assistant):
    rows = [turns("w0 w1", "w2 w3"), turns("w4", "w5", "w6", "w7")]
    named = {"user": "human", "assistant": assistant}
    shared = [[{role: named[turn["role"]], content: turn["content"]} for turn in row["messages"]] for row in rows]
    made = tokenizer(chat_template=TEMPLATE)
    first, other = (encoded(each, made, columns=TURNS) for each in (rows, [{"messages": row} for row in shared]))
    assert [row.tolist() for row in first.columns["input_ids"]] == [row.tolist() for row in other.columns["input_ids"]]
    assert [predicted(first, row) for row in (0, 1)] == [predicted(other, row) for row in (0, 1)]


def test_prompt_and_response_take_the_chat_template_and_without_one_stand_as_they_are():
    row = {"prompt": "w0 w1", "response": " w2"}
    made = encoded([row], columns=PAIRS)
    assert made.columns["input_ids"][0].tolist() == [*ids("w0 w1 w2"), EOS]
    assert predicted(made, 0) == [(1, FIRST + 2), (2, EOS)]
    made = encoded([row], tokenizer(chat_template=TEMPLATE), columns=PAIRS)
    assert made.columns["input_ids"][0].tolist() == [USER, *ids("w0 w1"), END, ASSISTANT, *ids("w2"), END]


@pytest.mark.parametrize("trimmed", [True, False])
@pytest.mark.parametrize(("prompt", "response"), [("is it ? ", "yes"), ("is it ?", " yes"), ("is it ?", "yes")])
def test_the_blank_between_prompt_and_response_does_not_hide_the_first_word(prompt, response, trimmed):
    """Of some tokenizers the token of a word begins at the blank before it, which the prompt may end with."""
    core = ByteLevelBPETokenizer(trim_offsets=trimmed)
    core.train_from_iterator(["is it ? yes"] * 9, vocab_size=400, show_progress=False)
    made = PreTrainedTokenizerFast(tokenizer_object=core._tokenizer, eos_token="<eos>")
    found = encoded([{"prompt": prompt, "response": response}], made, columns=PAIRS, max_length=64)
    *first, _ = [label for _, label in predicted(found, 0)]
    assert made.decode(first).strip() == "yes"
    assert found.counts["bytes"] >= 3


@pytest.mark.parametrize(
    ("length", "kept", "lost"),
    [(9, "w0 w1 w2 w3 w4 w5 w6 w7", 0), (6, "w3 w4 w5 w6 w7", 3), (4, "w4 w5 w6 w7", 5)],
)
def test_long_conversations_lose_their_beginning_and_only_then_the_end_of_the_response(length, kept, lost):
    made = encoded([{"prompt": "w0 w1 w2 w3 w4", "response": " w5 w6 w7"}], columns=PAIRS, max_length=length)
    expected = [*ids(kept), EOS][:length]
    assert made.columns["input_ids"][0].tolist() == expected
    assert (made.truncated_rows, made.truncated_tokens) == (int(lost > 0), lost)
    assert len(predicted(made, 0)) == min(4, length - 1)


BROKEN = {
    "a list as text": (
        {"messages": '[{"role": "user"}]'},
        "of {role: …, content: …}; it is the text of one: CSV holds text alone",
    ),
    "another role": (
        {"messages": [{"role": "user", "content": "w0"}, {"role": "Bard", "content": "w1"}, *turns("w2", "w3")["messages"]]},
        "has a turn of 'Bard', expected user, assistant, system, developer, tool, function; rename the role",
    ),
    "no list": ({"messages": "hello"}, "holds 'hello', expected a list of"),
    "no content": ({"messages": [{"role": "user"}]}, "has the turn {'role': 'user'"),
    "no words": (turns("w0", " "), "has a turn of 'assistant' without words"),
    "no answer": (turns("w0", "w1", "w2"), "ends with a turn of 'user', expected one of 'assistant'"),
    "an answer first": ({"messages": turns("w0", "w1", "w2", "w3")["messages"][1:]}, "begins with a turn of"),
    "nothing asked": ({"messages": [{"role": "assistant", "content": "w1"}]}, "has one turn alone"),
    "nothing said": ({"messages": [{"from": "human", "value": None}]}, "has the turn {'role': 'user', 'content': None}"),
    "both forms": ({"messages": [{"from": "human", "role": "user", "content": "w0"}]}, "has a turn with 'from', expected role"),
    "a weight": ({"messages": [{"from": "human", "value": "w0", "weight": 1}]}, "has a turn with 'weight', expected role"),
    "a call": (
        {"messages": [{"role": "user", "content": "w0", "calls": "f"}, {"role": "assistant", "content": "w1", "calls": None}]},
        "has a turn with 'calls', expected role and content alone",
    ),
}


@pytest.mark.parametrize(("row", "complaint"), BROKEN.values(), ids=BROKEN)
def test_a_broken_conversation_is_refused_by_its_row_or_left_out(row, complaint):
    made = tokenizer(chat_template=TEMPLATE)
    with pytest.raises(UserError) as caught:
        encoded([row], made, columns=TURNS)
    assert complaint in str(caught.value)
    assert str(caught.value).startswith("raw: row 0: ")
    entry = tiny.settings("causal-lm", columns=TURNS, bad_rows="drop")
    assert len(map_documents(pa.Table.from_pylist([row]), "raw", entry)) == 0


def test_ids_are_those_of_conversations_and_of_texts_are_looked_at_alone():
    rows = [{"key": "a", "prompt": "w0", "response": " w1"}, {"key": "b", "prompt": "w2", "response": " w3"}]
    table = pa.Table.from_pylist([{**row, "text": "w0 w1"} for row in rows])
    assert map_documents(table, "raw", tiny.settings("causal-lm", columns={**PAIRS, "id": "key"})).ids == ["a", "b"]
    assert map_documents(table, "raw", tiny.settings("causal-lm", columns={"id": "key"})).ids is None
    with pytest.raises(UserError, match="ids must be unique"):
        map_documents(pa.concat_tables([table, table]), "raw", tiny.settings("causal-lm", columns={"id": "key"}))


def test_an_empty_text_is_refused_by_its_row():
    with pytest.raises(UserError, match="raw: row 1: column 'text' is empty; mend or drop the row .to leave out such rows"):
        encoded(texts("w0 w1", " "))
    assert encoded(texts("w0 w1", " "), bad_rows="drop").counts["documents"] == 1


def test_what_cannot_be_rendered_or_ended_is_refused_with_what_to_do():
    with pytest.raises(UserError, match="train: row 0: its tokenizer has no chat template; give prompt and response"):
        encoded([turns("w0", "w1", "w2", "w3")], columns=TURNS)
    forgetful = "{% for turn in messages[-2:] %}<{{ turn.role }}> {{ turn.content }} {% endfor %}"
    with pytest.raises(UserError, match="writes turn 1 in another way once later turns are there"):
        encoded([turns("w0", "w1", "w2", "w3")], tokenizer(chat_template=forgetful), columns=TURNS)
    deaf = TEMPLATE.replace("<{{", "{% if turn.role in ('user', 'assistant') %}<{{").replace("<end> ", "<end> {% endif %}")
    for role in ("system", "tool"):
        with_more = {"messages": [{"role": role, "content": "w9"}, *turns("w0", "w1")["messages"]]}
        with pytest.raises(
            UserError, match=f"train: row 0: the chat template leaves out turn 0, of '{role}'; put its words into"
        ):
            encoded([with_more], tokenizer(chat_template=deaf), columns=TURNS)
        assert encoded([with_more], tokenizer(chat_template=TEMPLATE), columns=TURNS)
    assert encoded([turns("w9 w0", "w1")], tokenizer(chat_template=deaf), columns=TURNS)
    strict = "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(UserError, match="train: row 0: the chat template refuses it: roles must alternate"):
        encoded([turns("w0", "w1")], tokenizer(chat_template=strict), columns=TURNS)
    wrong = "{{ messages[0].content + 1 }}"
    with pytest.raises(UserError, match="train: row 0: the chat template refuses it: can only concatenate str"):
        encoded([turns("w0", "w1")], tokenizer(chat_template=wrong), columns=TURNS)
    endless = tokenizer()
    endless.eos_token = None
    with pytest.raises(UserError, match="has no eos token to end a text with"):
        encoded(texts("w0"), endless)


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ({"prompt": "a"}, "columns.prompt and columns.response go together"),
        ({"prompt": "a", "response": "b", "messages": "c"}, "expected one of: messages, prompt and response"),
    ],
)
def test_columns_that_do_not_go_together_are_refused(columns, complaint):
    with pytest.raises(ValueError, match=complaint):
        tiny.settings("causal-lm", columns=columns)


def test_a_prepared_set_has_as_many_tokens_as_its_texts(tmp_path):
    dataset = Dataset.open(tiny.prepare_task(tmp_path / "x", "causal-lm", tokenizer(), sizes=(30, 8, 8)))
    rows, raw = dataset.rows("train"), tiny.raw("causal-lm", 30, 0)
    words = [text.split() for text in raw["text"].to_pylist()]
    assert len(rows.tokens) + dataset.splits["train"]["truncated_tokens"] == sum(map(len, words)) + len(words)
    assert (rows.labels != UNLABELLED).sum() == sum(map(len, words))
    assert rows.labels.dtype == np.int64
    assert dataset.classes == dataset.vocabulary


def test_a_template_that_writes_the_date_makes_the_same_rows_every_day():
    dated = "{% if strftime_now is defined %}w{{ strftime_now('%d') }} {{ strftime_now('%d %b %Y') }} {% endif %}" + TEMPLATE
    text, (span,) = rendered(tokenizer(chat_template=dated), turns("w0", "w1")["messages"])
    plain, (other,) = rendered(tokenizer(chat_template=TEMPLATE), turns("w0", "w1")["messages"])
    assert text == f"w26 26 Jul 2024 {plain}"
    assert text[slice(*span)] == plain[slice(*other)]
