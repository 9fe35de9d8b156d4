"""A model is refused where it does not fit the data: labels, tokenizer, vocabulary, length, or what lies in its folder."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from distill.core.errors import UserError
from distill.data.dataset import Dataset
from distill.data.tokenizers import tokenizer_fingerprint
from distill.models.fit import require_positions, require_vocabulary
from distill.models.loading import config_fingerprint, load_for, load_model, save_model, set_labels, weights_fingerprint
from distill.tasks.registry import task_of
from tests import tiny
from tests.families import FAMILIES, tiny_config

SEQUENCE = task_of("sequence-classification")
LABELS = {
    "sequence-classification": ("a", "b"),
    "multi-label": ("a", "b"),
    "regression": ("score",),
    "token-classification": ("O", "B-x"),
    "masked-lm": (),
}
LABELS["question-answering"] = ("start", "end")
LABELS["ranking"] = ("relevance",)


def test_a_saved_model_is_the_same_when_it_is_loaded(tmp_path, dataset, tokenizer):
    model = tiny.bert()
    save_model(tmp_path, model, tokenizer, dataset)
    loaded, own = load_for(tmp_path, dataset)
    assert own.model_max_length == dataset.max_length
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}


def test_two_saves_write_the_same_bytes(tmp_path, tokenizer, dataset):
    for name in ("a", "b"):
        save_model(tmp_path / name, tiny.bert(), tokenizer, dataset)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


@pytest.mark.parametrize("columns", [{}, {"text_pair": "text_pair"}])
def test_a_saved_model_says_whether_it_has_learnt_from_pairs(tmp_path, columns, tokenizer):
    rows = pa.table({"text": ["w1", "w2"], "text_pair": ["w3", "w4"], "label": ["cat", "dog"]})
    entry = tiny.settings(columns=columns)
    made = tiny.make_rows(dict.fromkeys(("train", "validation", "test"), rows), "tiny", entry)
    (tmp_path / "rows").mkdir()
    tiny.write_dataset(tmp_path / "rows", *made, entry, tokenizer)
    save_model(tmp_path / "model", tiny.bert(), tokenizer, Dataset.open(tmp_path / "rows"))
    config = json.loads((tmp_path / "model/config.json").read_text())
    assert config.pop("reads_pairs") == bool(columns)
    before = config_fingerprint(tmp_path / "model")
    (tmp_path / "model/config.json").write_text(json.dumps(config))
    assert config_fingerprint(tmp_path / "model") == before


def test_another_order_or_number_of_labels_is_refused(teacher, dataset):
    for labels, message in (
        (("dog", "cat", "fish"), r"labels are \['cat', 'dog', 'fish'\], the data set's are \['dog', 'cat', 'fish'\]"),
        (("cat", "dog"), "has no sequence-classification head for 2 labels .*; fine-tune it: epochs ≥ 1"),
    ):
        with pytest.raises(UserError, match=message):
            load_for(teacher, Dataset(**{**vars(dataset), "labels": labels}))


@pytest.mark.filterwarnings("ignore")  # of transformers' own families
@pytest.mark.parametrize("family", FAMILIES)
def test_a_head_for_the_same_labels_in_another_order_gives_each_the_logit_that_it_had(tmp_path, family):
    torch.manual_seed(0)
    labels = ("b", "e", "a", "d", "c")
    given = AutoModelForSequenceClassification.from_config(tiny_config(family, num_labels=5)).eval()
    set_labels(given.config, labels)
    given.save_pretrained(tmp_path)
    found = load_model(tmp_path, SEQUENCE, sorted(labels), new_head=True).eval()
    assert list(found.config.id2label.values()) == sorted(labels)
    batch = {"input_ids": torch.arange(5, 13)[None].repeat(2, 1), "attention_mask": torch.ones(2, 8, dtype=torch.int64)}
    expected, logits = (model(**batch).logits for model in (given, found))
    torch.testing.assert_close(logits, expected[:, np.argsort(labels)])


def test_a_checkpoint_without_a_head_is_refused_unless_a_new_head_is_wanted(tmp_path):
    tiny.bert().bert.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="has no sequence-classification head for 3 labels"):
        load_model(tmp_path, SEQUENCE, tiny.LABELS, new_head=False)
    fresh = load_model(tmp_path, SEQUENCE, ("a", "b"), new_head=True)
    assert (fresh.config.num_labels, fresh.config.id2label) == (2, {0: "a", 1: "b"})


@pytest.mark.parametrize(("made", "asked"), [("multi-label", SEQUENCE), ("sequence-classification", task_of("multi-label"))])
def test_a_head_for_one_label_a_row_is_refused_for_several_and_gets_no_thresholds_of_others(tmp_path, made, asked):
    model = tiny.bert()
    model.config.problem_type = task_of(made).spec.problem_type or "single_label_classification"
    model.config.thresholds = [0.1, 0.2, 0.3]
    model.save_pretrained(tmp_path)
    with pytest.raises(
        UserError, match=f"its head is for {model.config.problem_type}, the task is {asked.name}; change the task"
    ):
        load_model(tmp_path, asked, tiny.LABELS, new_head=False)
    fresh = load_model(tmp_path, asked, tiny.LABELS, new_head=True)
    assert fresh.config.problem_type == asked.spec.problem_type
    assert not hasattr(fresh.config, "thresholds")


@pytest.mark.parametrize("task", tiny.TASKS)
@pytest.mark.parametrize("family", [*tiny.FAMILIES, "modernbert"])
def test_a_trunk_takes_any_tasks_head_which_is_there_when_it_is_loaded_again(tmp_path, family, task):
    tiny.family(family).base_model.save_pretrained(tmp_path / "trunk")
    made = load_model(tmp_path / "trunk", task_of(task), LABELS[task], new_head=True)
    made.save_pretrained(tmp_path / "whole")
    again = load_model(tmp_path / "whole", task_of(task), LABELS[task], new_head=False)
    for name, tensor in made.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
    assert task_of(task).raw(again(**tiny.padded([4, 3]))).shape[0] == 2
    other = "masked-lm" if task == "question-answering" else "question-answering"
    with pytest.raises(UserError, match=f"whole: has no {other} head"):
        load_model(tmp_path / "whole", task_of(other), LABELS[other], new_head=False)


def test_another_tokenizer_is_refused_with_both_fingerprints(tmp_path, dataset):
    other = tiny.tokenizer([f"x{i}" for i in range(40)])
    folder = tiny.save(tiny.bert(), tmp_path / "other", other)
    own = tokenizer_fingerprint(other)
    with pytest.raises(UserError, match=f"its tokenizer is {own[:12]}, the rows of .* were made with {dataset.tokenizer[:12]}"):
        load_for(folder, dataset)


def test_a_tokenizers_fingerprint_does_not_depend_on_how_it_was_last_used():
    fresh, used = tiny.tokenizer(), tiny.tokenizer()
    used(["w1 w2", "w3"], padding=True, truncation=True, max_length=3)
    assert tokenizer_fingerprint(fresh) == tokenizer_fingerprint(used)
    assert tokenizer_fingerprint(fresh) != tokenizer_fingerprint(tiny.tokenizer(["other"]))


def test_a_larger_vocabulary_or_longer_rows_than_are_embedded_are_refused():
    with pytest.raises(UserError, match="here: embeds 44 tokens, the data set's tokenizer has 45"):
        require_vocabulary(tiny.bert(), 45, "here")
    require_vocabulary(tiny.bert(), 44, "here")
    with pytest.raises(UserError, match="here: takes 32 tokens, the data set's max_length is 33; lower it"):
        require_positions(tiny.bert(), 33, "here")
    with pytest.raises(UserError, match="here: takes 31 tokens"):
        require_positions(tiny.bert(model_type="roberta"), 32, "here")


@pytest.mark.parametrize(
    ("file", "kept", "message"),
    [
        ("model.safetensors", None, "model"),
        ("config.json", None, "no model"),
        *((file, 100, "broken: ") for file in ("model.safetensors", "config.json", "tokenizer.json")),
    ],
)
def test_a_missing_or_truncated_file_is_one_clear_line(tmp_path, teacher, dataset, file, kept, message):
    path = shutil.copytree(teacher, tmp_path / "broken") / file
    content = path.read_bytes()
    path.unlink()
    if kept:
        path.write_bytes(content[:kept])
    with pytest.raises(UserError, match=message) as caught:
        load_for(tmp_path / "broken", dataset)
    assert len(str(caught.value).splitlines()) == 1


def test_fingerprints_tell_weights_and_configs_apart(tmp_path, tokenizer):
    folders = [tiny.save(tiny.bert(seed=seed), tmp_path / str(seed), tokenizer) for seed in (0, 1)]
    same = tiny.save(tiny.bert(seed=0), tmp_path / "again", tokenizer)
    assert weights_fingerprint(folders[0]) == weights_fingerprint(same) != weights_fingerprint(folders[1])
    assert config_fingerprint(folders[0]) == config_fingerprint(same)
    with pytest.raises(UserError, match="no model.safetensors"):
        weights_fingerprint(tmp_path)


def test_what_a_config_says_of_another_task_is_forgotten(tmp_path, dataset, tokenizer):
    model = tiny.bert()
    model.config.update({"word_splitter": "whitespace", "reads_turns": True, "window_stride": 3})
    save_model(tmp_path / "model", model, tokenizer, dataset)
    said = json.loads((tmp_path / "model/config.json").read_text(encoding="utf-8"))
    assert said.keys().isdisjoint({"word_splitter", "reads_turns", "window_stride"})
    assert said["reads_pairs"] is False
    said |= {"calibration_temperature": 2.0, "thresholds": [0.3], "architectures": ["BertModel"]}
    (tmp_path / "model/config.json").write_text(json.dumps(said), encoding="utf-8")
    encoder = load_model(tmp_path / "model", task_of("sentence-embedding"), (), new_head=False, pooling="mean")
    assert not hasattr(encoder.config, "calibration_temperature")
    assert not hasattr(encoder.config, "thresholds")
