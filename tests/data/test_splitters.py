"""The way in which a data set splits texts into words is found by its rows."""

import pytest
import regex

from distill.data.splitters import ENOUGH, split, splitter_of

ENGLISH = ["He said : \" I do n't care \" ( 3.5 % ) , John 's U.S. on Monday .", "Peter Blackburn", "EU rejects German calls ."]


@pytest.mark.parametrize(
    ("rows", "splitter", "text", "words"),
    [
        (map(list, ("我住在北京市。", "他用iPhone12打电话👍🏽")), "characters", "在 北京3.5", "在 北 京 3 . 5"),
        (
            [[*"我住在北京。"], ["用", "iPhone", "12", "打", "👍🏽"]],
            "punctuation",
            "我住在北京市👍🏽iPhone 3.5。",
            "我 住 在 北 京 市 👍🏽 iPhone 3 . 5 。",
        ),
        (map(str.split, ("मैं दिल्ली में रहता हूँ ।", "हाँ , 😀 !")), "punctuation", "दिल्ली, हाँ।😀", "दिल्ली , हाँ । 😀"),
        (map(regex.compile(r"\X").findall, ("ฉันรักเมืองไทย😀", "ไทย")), "graphemes", "เมืองไทย", "เ มื อ ง ไ ท ย"),
        (map(str.split, ENGLISH), "words", "John's don't 3.5% ☕.", "John's don't 3.5 % ☕ ."),
        (map(str.split, ("great news, everyone!", "so I'm (very) happy :-)")), "blanks", "ok, fine 👍🏽", "ok, fine 👍🏽"),
        (map(str.split, ("add hip hop to my playlist", "play jazz")), "punctuation", "play jazz, please", "play jazz , please"),
        ([["ฉัน", "รัก", "เมือง", "ไทย"], ["我", "住在", "北京市"]], None, "", ""),
    ],
    ids=[
        "Chinese characters",
        "Chinese and words",
        "Hindi",
        "Thai",
        "English",
        "blanks",
        "no punctuation",
        "words of a dictionary",
    ],
)
def test_the_splitter_that_finds_the_words_is_taken_the_finest_of_equals(rows, splitter, text, words):
    best, share = splitter_of(list(rows))
    assert (best if share >= ENOUGH else None) == splitter
    assert not splitter or [text[start:end] for start, end in split(text, splitter)] == words.split()
