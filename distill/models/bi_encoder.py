"""A ranker that reads query and passage apart: the score is the dot product of their vectors.

It is trained, scored and exported on the rows of a cross-encoder, [CLS] query [SEP] passage [SEP], of which it makes the texts
[CLS] query [SEP] and [CLS] passage [SEP]. What is written is a folder of sentence-transformers, whose vectors have these scores.
"""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PretrainedConfig
from transformers.modeling_outputs import SequenceClassifierOutput

from distill.core.files import to_json, write_text
from distill.models.config_keys import READS_APART, SENTENCE_EMBEDDING
from distill.models.sentence_encoder import EmbeddingSettings, Ids, SentenceEncoder


class BiEncoder(SentenceEncoder):
    """An encoder of queries and passages alike, as a function of pairs."""

    @classmethod
    def of(cls, encoder: SentenceEncoder) -> "BiEncoder":
        """With the encoder's own weights; vectors keep their length, of which scores are made."""
        mark(encoder.config, encoder.settings)
        model = cls(encoder.config, encoder.encoder)
        model.dense = encoder.dense
        return model

    def forward(
        self, input_ids: Ids, attention_mask: Ids | None = None, token_type_ids: Ids | None = None, **more: Any
    ) -> SequenceClassifierOutput:
        """Scores, (batch, 1), and the hidden states of queries; the passage's tokens are those of type 1."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        of_passage = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids * mask
        asked = (mask - of_passage).sum(dim=1, keepdim=True)
        places = torch.arange(input_ids.shape[1], device=input_ids.device)[None]
        shifted = input_ids.gather(1, (places + asked - 1).clamp(max=input_ids.shape[1] - 1))
        passage = torch.where(places == 0, input_ids[:, :1], shifted)
        length = of_passage.sum(dim=1, keepdim=True) + 1
        query, states = self._vector(input_ids, places, asked, **more)
        vector = self._vector(passage, places, length)[0]
        return SequenceClassifierOutput(logits=(query * vector).sum(dim=1, keepdim=True), hidden_states=states)

    def _vector(self, ids: Tensor, places: Tensor, lengths: Tensor, **more: Any) -> tuple[Tensor, tuple[Tensor, ...] | None]:
        """Those of texts of so many tokens, (batch, 1); a graph that is exported has no width of its own, and reads padding."""
        width = ids.shape[1] if torch.onnx.is_in_onnx_export() else int(lengths.max())
        mask = (places < lengths).to(ids.dtype)
        outputs = super().forward(ids[:, :width], mask[:, :width], **more)
        assert outputs.sentence_embedding is not None
        return outputs.sentence_embedding, outputs.hidden_states

    def save_pretrained(self, save_directory: str | Path, **how: Any) -> None:
        """Write the folder of sentence-transformers, which compares by dot product."""
        super().save_pretrained(save_directory, **how)
        write_text(Path(save_directory, "config_sentence_transformers.json"), to_json({"similarity_fn_name": "dot"}))


def mark(config: PretrainedConfig, settings: EmbeddingSettings) -> None:
    """Make a config that of a bi-encoder, which pools as `settings` say."""
    setattr(config, SENTENCE_EMBEDDING, asdict(replace(settings, normalize=False)))
    setattr(config, READS_APART, True)


def reads_apart(config: PretrainedConfig) -> bool:
    """Whether a config is a bi-encoder's."""
    return bool(getattr(config, READS_APART, False))
