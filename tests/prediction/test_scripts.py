"""Raw text in every script is answered as its words are."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
import regex
from transformers import PreTrainedTokenizerFast

from distill.data.dataset import Dataset
from distill.export.export import write_export
from distill.models.loading import load_for, save_model, set_labels
from distill.params.exports import ExportSettings
from distill.preparation.prepare import make_rows, write_dataset
from tests import tiny
from tests.prediction.test_prediction import predicted, require_near, run
from tests.scripts import TOKENIZERS, lower_case_pieces

TAGS = ["O", "B-place", "B-person"]


def tagger(folder: Path, words: list[list[str]], tokenizer: PreTrainedTokenizerFast) -> Path:
    """An eager random model, and its export, of a data set of these words; `export` and `model` in the folder."""
    table = pa.table({"tokens": words * 4, "tags": [[TAGS[i % 3] for i in range(len(row))] for row in words * 4]})
    settings = tiny.settings("token-classification", max_length=30)
    rows, labels = make_rows(dict.fromkeys(("train", "validation", "test"), table), "tiny", settings)
    (folder / "prepared").mkdir()
    write_dataset(folder / "prepared", rows, labels, settings, tokenizer)
    dataset = Dataset.open(folder / "prepared")
    model = tiny.family("bert", "TokenClassification", vocab_size=dataset.vocabulary, num_labels=len(labels))
    set_labels(model.config, labels)
    model.classifier.bias.data[labels.index("O")] -= 3
    save_model(folder / "model", model, tokenizer, dataset)
    (folder / "export").mkdir()
    write_export(folder / "export", *load_for(folder / "model", dataset), dataset, ExportSettings())
    return folder


@pytest.mark.parametrize("make", TOKENIZERS)
@pytest.mark.parametrize(
    ("words", "text"),
    [
        (list("我住在北京市👍🏽。"), "我住在北京市👍🏽。"),
        (["मैं", "दिल्ली", "में", "रहता", "हूँ", "!", "😀"], "मैं  दिल्ली में रहता हूँ! 😀"),
        (regex.findall(r"\X", "ฉันรักเมืองไทย👨\u200d👩\u200d👧"), "ฉันรักเมืองไทย👨\u200d👩\u200d👧"),
        (["We", "like", "(", "old", ")", "Paris", ",", "3.5", "times", "😀", "."], "We like (old) Paris, 3.5 times 😀."),
    ],
    ids=["Chinese", "Hindi", "Thai", "English"],
)
def test_raw_text_has_the_entities_of_its_words(
    make: Callable[[], PreTrainedTokenizerFast], words: list[str], text: str, tmp_path: Path
) -> None:
    folder = tagger(tmp_path, [words], make())
    for place in ("model", "export", "export/model-int8.onnx"):
        whole, raw = (
            predicted(folder / place, given=json.dumps(row))[0]["entities"] for row in ({"tokens": words}, {"text": text})
        )
        assert all(part["text"] == text[part["start"] : part["end"]] for part in raw)
        plain = [{"type": part["type"], "text": re.sub(r"\s", "", part["text"]), "p": part["probability"]} for part in whole]
        assert len(plain) > 1
        require_near(
            [{"type": part["type"], "text": re.sub(r"\s", "", part["text"]), "p": part["probability"]} for part in raw], plain
        )


def test_raw_text_is_refused_where_no_splitter_finds_the_words_and_tokens_are_answered(tmp_path: Path) -> None:
    words = ["ฉัน", "รัก", "เมือง", "ไทย"]
    place = tagger(tmp_path, [words], lower_case_pieces()) / "export"
    result = run(place, given="ฉันรักเมืองไทย")
    assert (result.exit_code, "error: stdin: line 1: text: how the model's training data splits" in result.stderr) == (1, True)
    advised = json.loads(result.stdout)["error"].partition("give ")[2].replace('"…", "…"', ", ".join(map(json.dumps, words)))
    assert len(predicted(place, given=advised)) == 1
