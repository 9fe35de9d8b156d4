"""A model and its tokenizer, as a function of rows: a checkpoint in torch, or an export in ONNX Runtime without torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distill.core.arrays import Array
from distill.core.errors import UserError
from distill.core.files import read_json
from distill.core.numeric import length_batches
from distill.data.splitters import SPLITTERS
from distill.export.session import FP32, open_session
from distill.models.config_keys import (
    READS_APART,
    READS_PAIRS,
    READS_TURNS,
    SENTENCE_EMBEDDING,
    THRESHOLDS,
    WINDOW_STRIDE,
    WORD_SPLITTER,
)
from distill.models.families import CAUSAL_LM_HEADS, usable_positions
from distill.params.task_specs import RELEVANCE, TASK_SPECS
from distill.prediction.encoding import Encoder, Tokens, encoder_of, open_encoder

Run = Callable[[Mapping[str, Array], Array | None], Array]
"""Raw logits of a padded batch, float32; with a (batch, seq) bool array those of its tokens alone, (tokens, classes)."""
MOST_TOKENS = 512
"""Of a model that does not say how long its rows may be."""
BATCH_TOKENS = 1024


@dataclass(frozen=True)
class Model:
    """What answers are made with."""

    run: Run
    task: str
    encoder: Encoder
    labels: tuple[str, ...]
    thresholds: tuple[float, ...]
    """Multi-label: the probability from which on each label applies."""
    most: int
    """Tokens a row, special tokens included: longer texts are cut, or read in windows (question answering)."""
    splitter: str | None = None
    """How raw text becomes words that can be tagged, one of SPLITTERS; None if that is not known."""
    turns: bool = False
    """Whether the model has learnt from conversations, as a chat template writes them."""
    pairs: bool | None = None
    """Whether a row is a text and a `text_pair`, as those that the model has learnt from; None if that is not known."""
    stride: int | None = None
    """Question answering: by how many tokens the windows of a context overlap; None if that is not known."""
    folder: Path = Path()
    """Where its tokenizer is."""
    ends: frozenset[int] = frozenset()
    """The tokens that end a text."""

    def encode(self, texts: Sequence[str], pairs: Sequence[str | None]) -> list[Tokens]:
        """Tokenize texts, or pairs of texts, the longer one of a pair cut first."""
        return self.encoder.encode(texts, pairs, self.most)

    def logits(self, rows: Sequence[Tokens], keep: Callable[[Array], Array] = np.asarray) -> list[Array]:
        """Of each row its logits: (classes,), (tokens, classes) or (masks, vocabulary), as `keep` leaves them."""
        results = [np.empty(0)] * len(rows)
        lengths = np.array([len(row.ids) for row in rows], np.int64)
        if not lengths.all():
            raise UserError("a text becomes no token, and the model's tokenizer adds none; drop such texts")
        for chosen in length_batches(lengths, BATCH_TOKENS):
            batch = self._padded([rows[place] for place in chosen])
            masked = batch["input_ids"] == self.encoder.mask_id if self.task == "masked-lm" else None
            logits = self.run(batch, masked)
            parts: Sequence[Array] = list(logits)
            if masked is not None:
                parts = np.split(logits, np.cumsum(masked.sum(axis=1))[:-1])
            elif logits.ndim == 3:
                parts = [part[:length] for part, length in zip(logits, lengths[chosen], strict=True)]
            for place, part in zip(chosen, parts, strict=True):
                results[place] = keep(part)
        return results

    def _padded(self, rows: Sequence[Tokens]) -> dict[str, Array]:
        """`input_ids` and, where the rows have them, `token_type_ids`; `attention_mask` if anything is padded."""
        batch = {"input_ids": _filled([row.ids for row in rows], self.encoder.pad_id)}
        types = [row.types for row in rows if row.types is not None]
        if types:
            batch["token_type_ids"] = _filled(types, 0)
        if len({len(row.ids) for row in rows}) > 1:
            batch["attention_mask"] = _filled([np.ones_like(row.ids) for row in rows], 0)
        return batch


def _filled(rows: Sequence[Array], padding: int) -> Array:
    whole = np.full((len(rows), max(map(len, rows))), padding, np.int64)
    for line, row in zip(whole, rows, strict=True):
        line[: len(row)] = row
    return whole


def open_model(place: Path, threads: int | None = None) -> Model:
    """A model by its folder (data/students/NAME, data/exports/students/NAME: its fp32 file), or by its ONNX file."""
    file = place if place.suffix == ".onnx" else place / FP32
    folder = place.parent if place.suffix == ".onnx" else place
    if not (folder / "config.json").is_file():
        raise UserError(f"{place}: no model; expected data/students/NAME, data/exports/students/NAME, or a .onnx file in it")
    config = read_json(folder / "config.json", "a model's config, as transformers saves it")
    names = config.get("id2label") or {number: f"LABEL_{number}" for number in range(config.get("num_labels", 2))}
    labels = tuple(str(names[number]) for number in sorted(names, key=int))
    task, thresholds = task_name(config, labels, str(folder)), config.get(THRESHOLDS) or [0.5] * len(labels)
    if place == file or file.is_file():
        run, encoder = _onnx(file, threads), open_encoder(folder)
    else:
        run, encoder = _torch(folder, task, threads, apart=bool(config.get(READS_APART)))
    most, positions = encoder.most or MOST_TOKENS, usable_positions(config)
    splitter = config.get(WORD_SPLITTER)
    splitter = splitter if splitter in SPLITTERS else None
    return Model(
        run,
        task,
        encoder,
        labels,
        thresholds=tuple(thresholds),
        most=min(most, positions or most),
        splitter=splitter,
        turns=bool(config.get(READS_TURNS)),
        pairs=config.get(READS_PAIRS),
        stride=config.get(WINDOW_STRIDE),
        folder=folder,
        ends=_ends(folder, config, encoder),
    )


def _ends(folder: Path, config: Mapping[str, Any], encoder: Encoder) -> frozenset[int]:
    """The tokenizer's own token that ends a text, and those at which transformers stops: of a chat, where a turn ends."""
    path = folder / "generation_config.json"
    settings = read_json(path, "how a model generates, as transformers saves it") if path.is_file() else config
    found = settings.get("eos_token_id")
    return frozenset(each for each in (encoder.eos_id, *(found if isinstance(found, list) else [found])) if each is not None)


def task_name(config: Mapping[str, Any], labels: Sequence[str], where: str) -> str:
    """The task that a model's head is for."""
    if SENTENCE_EMBEDDING in config:
        return "ranking" if config.get(READS_APART) else "sentence-embedding"
    architecture = str(next(iter(config.get("architectures") or ("none",))))
    heads = {name: f"For{spec.head}" for name, spec in TASK_SPECS.items()}
    task = next((name for name, head in heads.items() if architecture.endswith(head)), None)
    if architecture.endswith(CAUSAL_LM_HEADS):
        task = "causal-lm"
    if task is None:
        raise UserError(f"{where}: is a {architecture}, expected a model {', '.join(dict.fromkeys(heads.values()))}")
    if task == "sequence-classification" and config.get("problem_type") == TASK_SPECS["multi-label"].problem_type:
        return "multi-label"
    if task == "sequence-classification" and len(labels) == 1:
        return "ranking" if tuple(labels) == RELEVANCE else "regression"
    return task


def _onnx(file: Path, threads: int | None) -> Run:
    session = open_session(file, threads)

    def run(batch: Mapping[str, Array], where: Array | None) -> Array:
        logits = session(batch)
        return logits if where is None else logits[where]

    return run


def _torch(folder: Path, task_name: str, threads: int | None, apart: bool) -> tuple[Run, Encoder]:
    import torch

    from distill.core.devices import best_device
    from distill.core.locations import load_or_explain
    from distill.data.tokenizers import load_tokenizer
    from distill.models.loading import model_class
    from distill.models.predict import forward_of
    from distill.tasks.registry import task_of

    task = task_of(task_name)
    load = model_class(task, apart=apart).from_pretrained
    model = load_or_explain(folder, "model", lambda: load(folder, dtype="float32"))
    torch.set_num_threads(threads or torch.get_num_threads())
    forward = forward_of(model.eval().to(best_device()), task)

    @torch.inference_mode()
    def run(batch: Mapping[str, Array], where: Array | None) -> Array:
        tensors = {name: torch.from_numpy(part) for name, part in batch.items()}
        logits: Array = forward(tensors, None if where is None else torch.from_numpy(where)).cpu().numpy()
        return logits

    return run, encoder_of(load_tokenizer(folder))
