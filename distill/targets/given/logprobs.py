"""`logprobs` as OpenAI-compatible servers return them, put beside the response tokens of a data set of conversations.

Of each token of an answer a server gives the few likeliest, with natural log-probabilities: `content`, a list of {token, logprob,
bytes, top_logprobs: [{token, logprob, bytes}, …]}. What is left of 1 is the mass of all other words. For response tokens of which
nothing is given, such as the end mark that servers leave out, the text itself counts: its token has all of the mass.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from distill.core.arrays import Array
from distill.core.errors import UserError
from distill.data.dataset import UNLABELLED, Dataset
from distill.data.tokenizers import load_tokenizer
from distill.params.given import GivenSettings
from distill.preparation.columns import column_of, id_text
from distill.sources.streams import Stream
from distill.store.codecs.vocabulary import LOWEST
from distill.targets.given.ids import require_one_row_an_id, written_otherwise
from distill.targets.given.join import AnsweredSplit
from distill.targets.given.likeliest import SPLIT, top_k_values, unique_positions

TOLERANCE = 1e-2
"""How far above 1 probabilities may add up: servers round."""

BYTE = 255
"""The largest byte."""
BYTE_FALLBACK = re.compile(r"<0x[0-9A-Fa-f]{2}>")
"""How SentencePiece writes a byte that is no word's."""

Line = Mapping[int, float]
"""Of a token that is predicted: ids and log-probabilities."""


@dataclass(frozen=True)
class ServerAnswer:
    """An answer's tokens, as the server has them, and where the table has them, for messages."""

    content: Sequence[Mapping[str, Any]]
    place: str


def read_logprobs(tables: Mapping[str, Stream], where: str, settings: GivenSettings) -> dict[str, ServerAnswer]:
    """All answers of a table, by the id of the row; an answer that is null is none.

    Where splits number their rows anew, an id is that of SPLIT.
    """
    columns, found = settings.columns, dict[str, ServerAnswer]()
    assert columns.id is not None
    assert columns.logprobs is not None
    for split in sorted(tables, key=lambda name: name != SPLIT):
        table, before = tables[split].table([columns.id, columns.logprobs]), set(found)
        parts = ((columns.id, "id"), (columns.logprobs, "logprobs"))
        keys, values = (column_of(table, f"{where}: {split}", name, part).tolist() for name, part in parts)
        for number, (key, value) in enumerate(zip(keys, values, strict=True)):
            place, name = f"{where}: {split}: row {number}", id_text(key)
            if name in before or value is None or value == "":
                continue
            if name in found:
                raise UserError(f"{place}: the id {name!r:.60} is that of {found[name].place} too; drop one")
            found[name] = ServerAnswer(_content(value, f"{place}: column '{columns.logprobs}'"), place)
    return found


def _content(value: Any, where: str) -> Sequence[Mapping[str, Any]]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise UserError(f"{where} holds {value!r:.60}, expected JSON") from None
    content = value.get("content") if isinstance(value, dict) else value
    if not isinstance(content, list) or not content or not all(isinstance(token, dict) for token in content):
        raise UserError(
            f"{where} holds {content!r:.60}, expected `content`, a list of tokens with logprob and top_logprobs; ask the server "
            "with logprobs: true and top_logprobs, or drop the row"
        )
    return content


def join_logprobs(answers: Mapping[str, ServerAnswer], dataset: Dataset, where: str) -> tuple[AnsweredSplit, int, int]:
    """The training rows, each once, with what is given of their tokens as `TopK` keeps it; how many words of each, and strangers.

    Raises:
        UserError: a row has no answer, or an answer other tokens than its row. Names the row.
    """
    rows, names = dataset.rows(SPLIT), dataset.own_ids(SPLIT)
    if names is None:
        raise UserError(f"{dataset.folder}: its rows have no ids to find answers by; name their column in columns.id")
    require_one_row_an_id(names, rows, f"{dataset.folder}: {SPLIT}", "give each an id of its own")
    positions = unique_positions(rows)
    missing = [names[row] for row in positions.tolist() if names[row] not in answers]
    if missing:
        shown = ", ".join(f"{name!r:.40}" for name in missing[:3])
        few = f"{len(missing)} of {len(positions)} training rows have no answer: {shown}"
        hint = written_otherwise([(name,) for name in missing], [(name,) for name in answers])
        raise UserError(f"{where}: {few}{hint or '; add them, or drop these rows'}")
    words, lines = Vocabulary(load_tokenizer(dataset.folder / "tokenizer")), list[Line]()
    for row in positions.tolist():
        labels = rows.labels[rows.tokens_of(row)]
        lines += _lines(labels[labels != UNLABELLED].tolist(), _last_response(labels), answers[names[row]], words)
    k = max(map(len, lines))
    ids, logs = (np.array(part) for part in zip(*(_filled(line, k) for line in lines), strict=True))
    return (
        AnsweredSplit(positions, top_k_values(ids, logs)),
        k,
        len(answers.keys() - {names[row] for row in range(len(rows))}),
    )


def answered_rows(answers: Mapping[str, ServerAnswer], dataset: Dataset) -> int:
    """How many training rows, equal ones once, a table answers."""
    names = dataset.own_ids(SPLIT) or []
    return len({identity.tobytes() for identity, name in zip(dataset.rows(SPLIT).ids, names, strict=False) if name in answers})


def _last_response(labels: Array) -> int:
    """How many of the predicted tokens are of the last response."""
    places = np.flatnonzero(labels != UNLABELLED)
    return len(places) - int(np.flatnonzero(np.diff(places, prepend=-2) > 1)[-1])


def _lines(labels: Sequence[int], last: int, said: ServerAnswer, words: "Vocabulary") -> Iterator[Line]:
    """What is known of each predicted token of a row."""
    before = len(labels) - last
    for place, label in enumerate(labels):
        if not 0 <= place - before < len(said.content):
            yield {label: 0.0}
            continue
        token = said.content[place - before]
        line = _line(token, f"{said.place}: token {place - before}", words)
        if words.find(token) != label:
            raise UserError(
                f"{said.place}: token {place - before} of the answer is {token.get('token')!r:.40}, its row has "
                f"{words.tokenizer.decode([label])!r:.40} there; take the tokenizer of the model that answered, and its answers "
                "as the responses"
            )
        yield line


def _line(token: Mapping[str, Any], place: str, words: "Vocabulary") -> Line:
    """Ids and log-probabilities of the likeliest words and of the one that was said; what the tokenizer lacks is among others."""
    found: dict[int, float] = {}
    likeliest = token.get("top_logprobs") or ()
    if not isinstance(likeliest, list | tuple) or not all(isinstance(each, dict) for each in likeliest):
        raise UserError(
            f"{place} has the top_logprobs {likeliest!r:.40}, expected a list of {{token, logprob, bytes}}; drop the row"
        )
    for each in (*likeliest, token):
        try:
            logprob, identity = each.get("logprob"), words.find(each)
        except ValueError as error:
            raise UserError(f"{place} {error}; mend or drop the row") from None
        if not isinstance(logprob, int | float) or isinstance(logprob, bool) or not logprob <= 1e-6:
            raise UserError(f"{place} has the logprob {logprob!r:.40}, expected a number up to 0; drop the row")
        if identity is not None:
            found[identity] = max(min(float(logprob), 0.0), LOWEST)
    total = sum(map(math.exp, found.values()))
    if total > 1 + TOLERANCE:
        raise UserError(f"{place} has probabilities that add up to {total:.3f}, expected at most 1; drop the row")
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _filled(line: Line, k: int) -> tuple[list[int], list[float]]:
    """Ids and log-probabilities; where fewer than k words are known, the first of them again, of no mass."""
    ids, logs = list(line), list(line.values())
    fill = k - len(ids)
    return [*ids, *[ids[0]] * fill], [*logs, *[LOWEST] * fill]


class Vocabulary:
    """A tokenizer's words by the bytes that they stand for."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Read the whole vocabulary."""
        self.tokenizer = tokenizer
        pipeline = json.loads(tokenizer.backend_tokenizer.to_str())
        by_bytes = "ByteLevel" in json.dumps([pipeline["decoder"], pipeline["pre_tokenizer"]])
        letters = {letter: byte for byte, letter in _letters().items()} if by_bytes else {}
        added = set(tokenizer.get_added_vocab())
        self._known = set(tokenizer.get_vocab().values())
        self._ids: dict[bytes, int] = {}
        for word, identity in sorted(tokenizer.get_vocab().items(), key=lambda item: (_is_byte(item[0]), item[1])):
            self._ids.setdefault(_bytes(word, {} if word in added else letters), identity)

    def find(self, token: Mapping[str, Any]) -> int | None:
        """The id of a server's token: by its `bytes`, or by its text, which may be `token_id:ID`; None if there is no such.

        A ValueError if its `bytes` are none.
        """
        text, content = token.get("token"), token.get("bytes")
        if isinstance(text, str) and text.startswith("token_id:"):
            written = text.removeprefix("token_id:")
            return int(written) if written.isdecimal() and int(written) in self._known else None
        if isinstance(content, list):
            if not all(isinstance(each, int) and 0 <= each <= BYTE for each in content):
                raise ValueError(f"has the bytes {content!r:.40}, expected numbers from 0 to {BYTE}")
            return self._ids.get(bytes(content))
        return self._ids.get(text.encode()) if isinstance(text, str) else None


def _bytes(word: str, letters: Mapping[str, int]) -> bytes:
    """What an entry of a vocabulary stands for."""
    if letters and all(letter in letters for letter in word):
        return bytes(letters[letter] for letter in word)
    if _is_byte(word):
        return bytes([int(word[3:5], 16)])
    return word.replace("▁", " ").encode()


def _is_byte(word: str) -> bool:
    """Whether an entry stands for one byte, which a tokenizer writes where no other entry has it."""
    return BYTE_FALLBACK.fullmatch(word) is not None


def _letters() -> dict[int, str]:
    """The letter that byte-level tokenizers write for each byte: itself where it can be seen, else one from 256 on."""
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in seen]
    return {byte: chr(byte) for byte in seen} | {byte: chr(256 + place) for place, byte in enumerate(hidden)}
