"""Usual names of columns of texts, pairs, words and conversations, the likeliest first."""

from distill.preparation.label_columns import LABELS, SPANS, TAGS

TEXTS = (
    "text", "sentence", "review", "content", "body", "document", "utterance", "message", "comment", "tweet", "description",
    "abstract", "title",
)  # fmt: skip
PAIRS = (
    ("text", "text_pair"), ("sentence1", "sentence2"), ("question1", "question2"), ("premise", "hypothesis"),
    ("text_a", "text_b"), ("text1", "text2"), ("query", "passage"), ("query", "document"), ("question", "sentence"),
    ("sentence_a", "sentence_b"), ("s1", "s2"), ("context", "hypothesis"), ("query", "text"), ("query", "product_title"),
    ("question", "context"), ("question", "passage"), ("question", "answer"),
)  # fmt: skip
DIALOGUES = (("prompt", "response"), ("prompt", "completion"), ("instruction", "output"), ("instruction", "response"))
TOKENS = ("tokens", "words")

USUAL_NAMES = {*TEXTS, *LABELS, *TOKENS, *TAGS, *SPANS, *(name for pair in (*PAIRS, *DIALOGUES) for name in pair)}
OF_PAIRS = {name for pair in PAIRS for name in pair}
