"""How a target set lies on disk, and what its manifests say.

    data/targets/NAME/OUTPUT/manifest.json
    data/targets/NAME/OUTPUT/SPLIT/part-00000.arrow
    data/targets/NAME/OUTPUT/heads.safetensors      of a replayed output, which has no shards

OUTPUT is one of
- `logits`; `tokens` (what the teacher read); `transform` (what a language model multiplies with its output embedding);
- `likeliest`, `draws` (of the distributions of a decoder: the likeliest tokens with their log-probabilities, tokens drawn);
- `hidden-03` (hidden state 3; 0 is the embedding output); `cls-03` (the same at the first token alone);
- `attention-03`, `queries-03`, `keys-03`, `values-03` (scores and projections of layer 3, which reads hidden state 2).

Each output describes itself, so that a student that depends on `NAME/logits` alone neither downloads hidden states nor is rerun
when they are added. (Logits of a language model are replayed, so they need `NAME/transform` beside them.)
"""

import functools
import hashlib
import platform
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from distill.core.errors import UserError
from distill.core.files import read_json, to_json, write_text
from distill.params.task_specs import Per
from distill.store.origin import stage_of
from distill.store.output_names import HEADS, IN_PART, LOGITS, REPLAY, TOKENS, TRANSFORM, hidden_output, is_of_layer, kind_of

FORMAT = "distill/targets"
VERSION = 3
MANIFEST = "manifest.json"

ROWS_A_BATCH = 256
"""Rows of an Arrow record batch."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]
Some = Annotated[int, Field(gt=0)]


class Described(BaseModel):
    """A part of a manifest: nothing missing, nothing more, no type but its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Fingerprints(Described):
    """What the numbers of a store depend on. Hashes are SHA-256, in hexadecimal."""

    teacher: str
    """Of the weights."""
    config: str
    tokenizer: str
    labels: tuple[str, ...]
    """The label names themselves, in the order of the logits."""
    max_length: int
    folds: str | None = None
    """Of further teachers, each without a fold of the labelled rows, and of the folds: the logits are theirs."""
    seeds: str | None = None
    """Of further teachers, with other seeds: the logits are the mean of theirs and of the teacher's."""


class File(Described):
    """A file by its path below the output's folder."""

    file: Annotated[str, Field(pattern=r"^([a-z]+/part-\d{5,9}\.arrow|heads\.safetensors)$")]
    bytes: Count
    sha256: Sha256


class Shard(File):
    """One Arrow file."""

    rows: Some
    tokens: Some


class SplitShards(Described):
    """A split of an output, and the fingerprint of the prepared rows that it was computed from."""

    dataset: str
    shards: tuple[Shard, ...]
    lacking: Annotated[Count, Field(exclude_if=lambda count: count == 0)] = 0
    """How many vectors of these rows nobody gave: a given set may lack rows, and tokens that begin no word. 0 is not written."""


class Manifest(Described):
    """What an output's manifest.json says. No times and no absolute paths: two runs write the same bytes."""

    output: Annotated[
        str, Field(pattern=r"^(logits|tokens|transform|likeliest|draws|(hidden|cls|attention|queries|keys|values)-\d{2,4})$")
    ]
    codec: str
    per: Per
    width: Annotated[int, Field(gt=0, le=2**24)]
    """Classes of logits, the hidden size, the heads of an attention, a vocabulary's words; 1 for tokens, 2 with token types."""
    source: str | None
    """The output that this one is replayed from."""
    teacher_layers: Count
    """How many layers the teacher has: `hidden-NN` of this number is the last."""
    precision: str
    """Of the teacher's pass: fp32 or bf16."""
    fingerprints: Fingerprints
    heads: File | None
    """The frozen matrices of a replayed output."""
    splits: Annotated[dict[str, SplitShards], Field(min_length=1)]
    libraries: dict[str, str]

    @model_validator(mode="after")
    def _consistent(self) -> "Manifest":
        kind, layer = kind_of(self.output)
        if layer is not None and not is_of_layer(kind) <= layer <= self.teacher_layers:
            raise ValueError(f"{self.output} of a teacher with {self.teacher_layers} layers")
        if kind == TOKENS and (self.width > 2 or self.codec != TOKENS):
            raise ValueError(f"tokens are kept as {self.codec} of width {self.width}, expected {TOKENS} of width 1 or 2")
        replayed = self.codec == REPLAY
        source = {"hidden": TOKENS if layer == 0 else None, LOGITS: TRANSFORM}.get(kind)
        if is_of_layer(kind):
            source = hidden_output((layer or 1) - 1)
        if self.per not in _pers(kind, replayed):
            raise ValueError(f"{self.output}, kept as {self.codec}, has a vector a {self.per}")
        if self.source != (source if replayed else None) or replayed != (self.source is not None):
            raise ValueError(f"{self.output} is kept as {self.codec} and replayed from {self.source}")
        if (self.heads is not None and self.heads.file) != (replayed and HEADS):
            raise ValueError(f"{self.output} is kept as {self.codec}, its heads are {self.heads}")
        for split, part in self.splits.items():
            files = [shard.file for shard in part.shards]
            if len(set(files)) < len(files) or replayed != (not files) or {file.partition("/")[0] for file in files} - {split}:
                raise ValueError(f"the split {split!r} of {self.output}, kept as {self.codec}, has the shards {files[:3]}")
        return self

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Read an output's manifest; a single changed byte is found."""
        path = folder / MANIFEST
        again = f"run `dvc repro {stage_of(folder.parent)}`"
        content = read_json(path, "the manifest of a target set's output")
        found = (content.get("format"), content.get("version")) if isinstance(content, dict) else type(content).__name__
        if found != (FORMAT, VERSION):
            raise UserError(f"{path}: is {found}, expected {(FORMAT, VERSION)}; {again}")
        body = {key: value for key, value in content.items() if key not in ("format", "version", "checksum")}
        try:
            if path.read_bytes() != _text(body).encode():
                raise UserError(f"{path}: its content is not that of its checksum: damaged or edited; {again}")
            return cls.model_validate_json(to_json(body))
        except ValidationError as error:
            first = error.errors()[0]
            place = "".join(f"{part}: " for part in first["loc"])
            raise UserError(f"{path}: {place}{first['msg']}; {again}") from None
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}: is damaged ({error}); {again}") from None

    def write(self, folder: Path) -> None:
        """Write manifest.json."""
        write_text(folder / MANIFEST, _text(self.model_dump(mode="json")))

    @property
    def files(self) -> tuple[File, ...]:
        """All files of the output but the manifest itself."""
        shards = [shard for split in self.splits.values() for shard in split.shards]
        return (*shards, *([] if self.heads is None else [self.heads]))


def _pers(kind: str, replayed: bool) -> tuple[str, ...]:
    """What an output of a kind can have a vector of."""
    if kind == LOGITS:
        return ("position", "token") if replayed else ("row", "token")
    others = {"cls": ("row",), TRANSFORM: ("position", "token"), **dict.fromkeys(IN_PART, ("position",))}
    return others.get(kind, ("token",))


def _text(body: dict[str, Any]) -> str:
    """A manifest's only spelling: its body and the body's SHA-256."""
    checksum = hashlib.sha256(to_json(body).encode()).hexdigest()
    return to_json({"format": FORMAT, "version": VERSION, "checksum": checksum, **body})


@functools.cache
def libraries() -> dict[str, str]:
    """Versions that may change the last bits of a number."""
    names = ("pyarrow", "torch", "transformers")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def differences(expected: Fingerprints, found: Fingerprints, parts: Iterable[str] = Fingerprints.model_fields) -> list[str]:
    """A phrase for each part that differs, with both fingerprints."""
    lines = []
    for part in parts:
        want, got = getattr(expected, part), getattr(found, part)
        if want != got:
            lines.append(f"{part} is {_short(want)}, the store was made with {_short(got)}")
    return lines


def further_of(fingerprints: Fingerprints, output: str) -> tuple[str | None, str | None]:
    """The further teachers that an output depends on: logits alone do."""
    return (fingerprints.folds, fingerprints.seeds) if output == LOGITS else (None, None)


def _short(value: Any) -> str:
    if value is None:
        return "none"
    return value[:12] if isinstance(value, str) else str(list(value) if isinstance(value, tuple) else value)
