"""Methods of several stages: general → task TinyBERT, and a masked-LM DistilBERT that is then fine-tuned."""

from pathlib import Path

import pyarrow.parquet
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForSequenceClassification

from tests import tiny
from tests.projects import edit_params, make_project, outdated, run_pipeline, stand_in

SHAPE = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
PARAMS = """\
defaults:
  datasets: {tokenizer: {path: ORIGIN/checkpoint}, max_length: 16}
  teachers: {batch_size: 8, learning_rate: 5e-3, precision: fp32}
  students: {epochs: 1, batch_size: 8, learning_rate: 5e-3, precision: fp32}
sources:
  corpus: {path: ORIGIN/corpus}
  task: {path: ORIGIN/task}
datasets:
  corpus: {source: corpus, task: masked-lm, maskings: 2}
  plain: {source: corpus, task: masked-lm, mask_probability: 0}
  task: {source: task}
teachers:
  bert: {dataset: corpus, checkpoint: {path: ORIGIN/checkpoint}, epochs: 0}
  task: {dataset: task, checkpoint: {path: ORIGIN/checkpoint}, epochs: 1}
targets:
  corpus: {teacher: bert, dataset: corpus, hidden: [4]}
  plain: {teacher: bert, dataset: plain, hidden: [0, 2, 4], attention: [2, 4]}
  task: {teacher: task, dataset: task, hidden: [0, 2, 4], attention: [2, 4]}
students:
  general:
    recipe: tinybert
    stage: intermediate
    dataset: plain
    targets: plain
    init:
      from: data/prepared/plain
      architecture: {hidden_size: 8, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 16}
  intermediate: {recipe: tinybert, stage: intermediate, dataset: task, targets: task, init: {from: data/students/general}}
  tinybert: {recipe: tinybert, stage: prediction, dataset: task, targets: task/logits, init: {from: data/students/intermediate}}
  distilbert: {recipe: distilbert, dataset: corpus, targets: corpus, init: {from: data/teachers/bert, depth: 2, as: distilbert}}
  classifier: {recipe: supervised, dataset: task, targets: task/logits, init: {from: data/students/distilbert}}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both chains have run: read only."""
    base = tmp_path_factory.mktemp("chains")
    for folder, task in {"corpus": "masked-lm", "task": "sequence-classification"}.items():
        (base / folder).mkdir()
        for seed, (split, count) in enumerate({"train": 40, "validation": 12, "test": 12}.items()):
            pyarrow.parquet.write_table(tiny.raw(task, count, seed), base / folder / f"{split}.parquet")
    tokenizer = tiny.masking_tokenizer()
    config = AutoConfig.for_model(
        "bert", vocab_size=len(tokenizer), num_hidden_layers=4, max_position_embeddings=32, pad_token_id=0, **SHAPE
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tiny.save(AutoModelForMaskedLM.from_config(config), base / "checkpoint", tokenizer)
    project = make_project(base / "project", base, PARAMS)
    run_pipeline(project, "evaluate@tinybert", "evaluate@classifier")
    return project


def words(project: Path, folder: str) -> torch.Tensor:
    """A model's word embeddings, on disk."""
    weights = load_file(project / "data" / folder / "model.safetensors")
    (name,) = [name for name in weights if name.endswith("word_embeddings.weight")]
    return weights[name]


@pytest.mark.parametrize(
    ("parent", "child"), [("general", "intermediate"), ("distilbert", "classifier")], ids=["tinybert", "distilbert"]
)
def test_a_stage_begins_with_what_the_one_before_it_has_learnt(project: Path, parent: str, child: str) -> None:
    learnt = words(project, f"students/{parent}")
    assert torch.equal(words(project, f"inits/{child}"), learnt)
    assert not torch.equal(words(project, f"inits/{parent}"), learnt)
    assert not torch.equal(words(project, f"students/{child}"), learnt)


def test_the_masked_lm_student_is_a_plain_distilbert(project: Path) -> None:
    model, info = AutoModelForMaskedLM.from_pretrained(project / "data/students/distilbert", output_loading_info=True)
    assert type(model).__name__ == "DistilBertForMaskedLM"
    assert (model.config.n_layers, model.config.dim) == (2, 16)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))


@pytest.mark.parametrize(("name", "kind"), [("tinybert", "BertFor"), ("classifier", "DistilBertFor")])
def test_the_last_stage_is_a_classifier_with_the_labels_of_the_task(project: Path, name: str, kind: str) -> None:
    folder = project / "data/students" / name
    model, info = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    assert type(model).__name__ == f"{kind}SequenceClassification"
    assert tuple(model.config.id2label.values()) == tiny.LABELS
    assert not info["missing_keys"]
    assert (project / f"data/metrics/students/{name}.json").exists()


def test_an_edit_of_the_last_stage_reruns_it_alone(tmp_path: Path) -> None:
    edited = stand_in(tmp_path / "project", PARAMS)
    edit_params(edited, students={"tinybert": {"hard_weight": 0.5}})
    assert {stage for stage in outdated(edited) if stage.startswith(("init@", "student@", "teacher@", "targets@"))} == {
        "student@tinybert"
    }
