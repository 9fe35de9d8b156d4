"""Every text encoder of transformers, as a tiny random model, from teacher to export; docs/families.md says how it went.

python -m tests.families          # writes docs/families.md
"""

import inspect
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import transformers
from transformers import CONFIG_MAPPING, MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING, PretrainedConfig, PreTrainedModel
from transformers.models.auto import modeling_auto as auto

from distill.core.errors import UserError
from distill.data.batching import Collator
from distill.data.dataset import Dataset
from distill.data.tokenizers import load_tokenizer
from distill.evaluation.evaluate import measure_student
from distill.export.onnx_graph import export_model
from distill.export.session import FP32, open_session
from distill.models.loading import load_for, load_model, save_model
from distill.models.probing import require_trainable
from distill.params.inits import InitSettings
from distill.params.training import TeacherSettings
from distill.recipes.tinybert import TinyBert
from distill.store.target_set import TargetStore
from distill.students.distill import distill_student
from distill.students.initialize import init_student
from distill.targets.materialization.forward import open_teacher
from distill.targets.materialization.materialize import Materializer
from distill.tasks.base import EvaluationSplit
from distill.tasks.registry import task_of
from distill.training.objective import supervised
from distill.training.trainer import train
from tests import tiny
from tests.target_specs import target_spec

PAGE = Path("docs/families.md")
WIDTH, DEPTH = 24, 4
SIZES = {
    "vocab_size": 45,
    "hidden_size": WIDTH,
    "embedding_size": WIDTH,
    "num_hidden_layers": DEPTH,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
    "max_2d_position_embeddings": 16,
    "initializer_range": 0.2,
    "init_std": 0.2,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "cls_token_id": 2,
    "eos_token_id": 3,
    "sep_token_id": 3,
}
"""Settings that most configs have."""
OWN: dict[str, dict[str, Any]] = {
    "canine": {"num_hash_buckets": 64, "local_transformer_stride": 4},
    "cohere_compass_text": {"layer_types": ["full_attention"] * DEPTH},
    "deberta": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "max_relative_positions": 16},
    "deberta-v2": {
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_buckets": 8,
        "share_att_key": True,
        "norm_rel_ebd": "layer_norm",
        "position_biased_input": False,
    },
    "distilbert": {"hidden_dim": 32},
    "funnel": {"block_sizes": [2, 2], "d_head": 6, "d_inner": 32},
    "lilt": {"channel_shrink_ratio": 2},
    "longformer": {"attention_window": [4, 4, 8, 8]},
    "luke": {"entity_vocab_size": 8, "entity_emb_size": 8},
    "markuplm": {"xpath_unit_hidden_size": 4, "max_xpath_tag_unit_embeddings": 218, "max_depth": 4},
    "mobilebert": {"embedding_size": 8, "intra_bottleneck_size": 16},
    "modernbert": {"local_attention": 4},
    "mpnet": {"pad_token_id": 1},
    "perceiver": {"d_latents": WIDTH, "d_model": WIDTH, "num_latents": 8, "num_self_attends_per_block": DEPTH, "num_blocks": 1},
    "reformer": {
        "attn_layers": ["local", "lsh"] * 2,
        "attention_head_size": 6,
        "axial_pos_embds_dim": (8, 16),
        "axial_pos_shape": (5, 8),
        "feed_forward_size": 32,
        "is_decoder": False,
        "num_buckets": 4,
    },
    "roc_bert": dict.fromkeys(("pronunciation_vocab_size", "shape_vocab_size"), 45),
    "xmod": {"default_language": "en_XX"},
}
"""What else a family needs to be tiny, or to be what its checkpoints are."""
BEYOND_TEXT = {"pixel_values", "image", "bbox", "xpath_tags_seq"}
"""Inputs of families that read pages and pictures."""


def is_text_encoder(model_type: str) -> bool:
    """Whether a family that transformers maps for sequence classification is here the subject: the rule of docs/families.md."""
    decodes = {*auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, *auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES}
    if model_type in decodes and model_type not in auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        return False
    config = CONFIG_MAPPING[model_type]
    reads = inspect.signature(MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[config].forward).parameters
    return not config().is_encoder_decoder and not BEYOND_TEXT & {*reads}


FAMILIES = [name for name in auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES if is_text_encoder(name)]


def tiny_config(model_type: str, **more: Any) -> PretrainedConfig:
    """A family's config, as small as it gets."""
    kind = CONFIG_MAPPING[model_type]
    known = {*kind().to_dict(), *kind().attribute_map}
    settings = {key: value for key, value in SIZES.items() if key in known} | OWN.get(model_type, {}) | more
    return kind(**{key: value for key, value in settings.items() if value is not None})


@dataclass(frozen=True)
class Row:
    """How a family fares."""

    family: str
    embeddings: str = ""
    attention: str = ""
    refused: str = ""
    """By which stage, in its words."""
    exported: float | None = None
    """The largest difference between torch's logits and ONNX Runtime's."""

    def __str__(self) -> str:
        """A line of the table."""
        why = self.refused.partition(" distilled: ")[2].rpartition("; choose")[0]
        if self.refused and not self.embeddings:
            return f"| {self.family} | no | – | – | – | {why} |"
        how = ("as teacher", "no") if self.refused else ("yes", "yes")
        return f"| {self.family} | {how[0]} | {self.embeddings} | {self.attention} | {how[1]} | {why} |".replace("|  |", "| |")


class Walk:
    """The shared data set and tokenizer, and the stages."""

    def __init__(self, folder: Path) -> None:
        """Prepare the data."""
        self.folder, self.tokenizer = folder, tiny.masking_tokenizer()
        self.dataset = Dataset.open(tiny.prepare(folder / "data", self.tokenizer, (16, 8, 8)))
        self.how: dict[str, Any] = {"dataset": "tiny", "epochs": 1, "batch_size": 8, "learning_rate": 1e-3, "precision": "fp32"}

    def walk(self, model_type: str) -> Row:
        """One family through all stages; whatever but a refusal before training is raised."""
        folder = self.folder / model_type
        torch.manual_seed(0)
        transformers.AutoModelForSequenceClassification.from_config(tiny_config(model_type)).save_pretrained(
            folder / "checkpoint"
        )
        self.tokenizer.save_pretrained(folder / "checkpoint")
        try:
            task = task_of(self.dataset.task)
            teacher = load_model(folder / "checkpoint", task, self.dataset.labels, new_head=True)
            require_trainable(teacher, self.dataset, model_type)
        except UserError as error:
            return Row(model_type, refused=str(error))
        self.train_teacher(teacher, folder)
        made, store = self.targets(folder, hidden=(0, 2, 4))
        assert store is not None
        embeddings = "stored" if "hidden-00" in made.outputs.stored else "replay"
        attention = self.attention(folder)
        settings = InitSettings.model_validate({"from": "data/teachers/tiny", "depth": 2})
        try:
            initial = init_student(settings.model_copy(update={"source": str(folder / "teacher")}), self.dataset)
        except UserError as error:
            return Row(model_type, embeddings, attention, refused=str(error))
        save_model(folder / "init", initial, self.tokenizer, self.dataset)
        recipe = {"recipe": "tinybert", "stage": "intermediate", "attention_weight": 0, "targets": "tiny", "init": settings}
        student = TinyBert.model_validate({**recipe, **self.how})
        places = (folder / "student", folder / "scratch")
        distill_student(folder / "init", self.dataset, store, student, *places, "")
        with patch("distill.core.numeric.RESAMPLES", 2):
            scores, *_ = measure_student(folder / "student", self.dataset, store, student.seeds)
        assert 0 <= scores[self.dataset.metric] <= 1
        return Row(model_type, embeddings, attention, exported=self.export(folder))

    def train_teacher(self, teacher: PreTrainedModel, folder: Path) -> None:
        """What the teacher stage does."""
        settings = TeacherSettings.model_validate({**self.how, "checkpoint": {"path": "tiny"}})
        rows, validation = (
            Collator(self.dataset.rows("train"), labelled_only=True),
            EvaluationSplit.from_dataset(self.dataset, "validation"),
        )
        named = {"seed": 1, "metric": self.dataset.metric, "scratch": folder / "scratch", "title": ""}
        train(teacher, rows, validation, settings, supervised(task_of(self.dataset.task)), **named)
        save_model(folder / "teacher", teacher, load_tokenizer(folder / "checkpoint"), self.dataset)

    def targets(self, folder: Path, **asked: Any) -> tuple[Materializer, TargetStore]:
        """What the targets stage does."""
        made = Materializer(open_teacher(folder / "teacher", self.dataset), self.dataset, target_spec(**asked), folder / "units")
        made.run()
        (folder / "targets").mkdir()
        made.assemble(folder / "targets")
        return made, TargetStore.open(folder / "targets")

    def attention(self, folder: Path) -> str:
        """How attention can be kept: the targets stage refuses before the teacher runs."""
        teacher = open_teacher(folder / "teacher", self.dataset)
        for attention_as, name in (("replay", "replay"), ("scores-fp16", "stored")):
            try:
                Materializer(teacher, self.dataset, target_spec(attention=(2, 4), attention_as=attention_as), folder / "units")
            except UserError:
                continue
            return name
        return "no"

    def export(self, folder: Path) -> float:
        """What the export stage does, at sizes that were not traced."""
        model, _ = load_for(folder / "student", self.dataset)
        export_model(model, folder / FP32)
        session, worst = open_session(folder / FP32, threads=1), 0.0
        for lengths in ([1], [9, 5], [10, 7, 8]):
            batch = tiny.padded(lengths)
            with torch.inference_mode():
                expected = model(**batch).logits.numpy()
            found = session({name: part.numpy() for name, part in batch.items()})
            worst = max(worst, float(np.abs(found - expected).max()))
        return worst


HEAD = """# Families of encoders

Which families of encoders in transformers can be teachers, and which can be cut to shallower students.
`python -m tests.families` writes this page. `make test` checks every line again, with a tiny random model of the family:

1. it is fine-tuned, and its logits and hidden states 0, 2 and 4 of 4 are stored;
2. a student with two of its layers learns from the store and is scored;
3. the student is exported to ONNX, whose logits are those of torch to 1e-4.

| column | value | meaning |
|---|---|---|
| distilled | yes | teachers and students of this family work |
| | as teacher | students of this family are refused for the reason in the last column; others (`architecture`) learn from it |
| | no | refused for the reason in the last column, before anything is trained |
| embeddings | replay | hidden state 0 is computed again from token ids and embedding tables, which takes no room |
| | stored | hidden state 0 is stored like any other; the targets stage tries on a row of the teacher which it is |
| attention | replay | scores are computed again from the hidden state below, or kept as maps |
| | no | terms that compare attention are refused before the teacher runs; students learn from logits and hidden states |

The page lists every family that transformers VERSION maps to `AutoModelForSequenceClassification` and that reads text in both
directions: it has a masked language model, or none that generates text; it is no encoder-decoder; and its forward pass takes
neither images nor page layouts. (XLNet, which predicts tokens in any order, is left out as one that generates.)

| `model_type` | distilled | embeddings | attention | ONNX | why not |
|---|---|---|---|---|---|
"""


def page(rows: list[Row]) -> str:
    """The page of docs."""
    return HEAD.replace("VERSION", transformers.__version__) + "".join(f"{row}\n" for row in rows)


def main() -> None:
    """Walk all families, and write the page."""
    warnings.simplefilter("ignore")
    transformers.utils.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as folder:
        walk = Walk(Path(folder))
        PAGE.write_text(page([walk.walk(family) for family in FAMILIES]), encoding="utf-8")


if __name__ == "__main__":
    main()
