"""How a target set lies on disk, and what its manifests say.

    data/targets/NAME/OUTPUT/manifest.json
    data/targets/NAME/OUTPUT/SPLIT/part-00000.arrow

OUTPUT is `logits` or `hidden-03` (hidden state 3; 0 is the embedding output). Each output describes itself, so that a student
that depends on `NAME/logits` alone neither downloads hidden states nor is rerun when they are added.
"""

import platform
import re
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from distill.errors import UserError
from distill.files import read_json, to_json, write_text

FORMAT = "distill/targets"
VERSION = 1
LOGITS = "logits"
ROWS_A_BATCH = 256
"""Rows of an Arrow record batch."""


@dataclass(frozen=True)
class Fingerprints:
    """What the numbers of a store depend on. Hashes are SHA-256, in hexadecimal."""

    teacher: str
    """Of the weights."""
    config: str
    tokenizer: str
    labels: tuple[str, ...]
    """The label names themselves, in the order of the logits."""
    max_length: int


@dataclass(frozen=True)
class Shard:
    """One Arrow file, by its path below the output's folder."""

    file: str
    rows: int
    tokens: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class SplitShards:
    """A split of an output, and the fingerprint of the prepared rows that it was computed from."""

    dataset: str
    shards: tuple[Shard, ...]


@dataclass(frozen=True)
class Manifest:
    """What an output's manifest.json says. No times and no absolute paths: two runs write the same bytes."""

    output: str
    codec: str
    width: int
    """Numbers a vector: classes of logits, or the hidden size."""
    teacher_layers: int
    """How many layers the teacher has: `hidden-NN` of this number is the last."""
    fingerprints: Fingerprints
    splits: dict[str, SplitShards]
    libraries: dict[str, str]

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Read an output's manifest.

        Raises:
            UserError: it is missing, damaged, or of another version.
        """
        path = folder / "manifest.json"
        content = read_json(path, "the manifest of a target set's output")
        if not isinstance(content, dict) or (content.get("format"), content.get("version")) != (FORMAT, VERSION):
            got = (content.get("format"), content.get("version")) if isinstance(content, dict) else type(content).__name__
            raise UserError(f"{path}: is {got}, expected {(FORMAT, VERSION)}; run `dvc repro targets@{folder.parent.name}`")
        try:
            return cls(
                **{key: content[key] for key in ("output", "codec", "width", "teacher_layers", "libraries")},
                fingerprints=_fingerprints(content["fingerprints"]),
                splits={split: _split(entry) for split, entry in content["splits"].items()},
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise UserError(f"{path}: is damaged ({error!r}); run `dvc repro targets@{folder.parent.name}`") from None

    def write(self, folder: Path) -> None:
        """Write manifest.json."""
        write_text(folder / "manifest.json", to_json({"format": FORMAT, "version": VERSION, **asdict(self)}))


def hidden_output(layer: int) -> str:
    """The name of a hidden state's output: `hidden-03`."""
    return f"hidden-{layer:02d}"


def layer_of(output: str) -> int | None:
    """The hidden state that an output holds; None for logits."""
    match = re.fullmatch(r"hidden-(\d+)", output)
    return int(match[1]) if match else None


def libraries() -> dict[str, str]:
    """Versions that may change the last bits of a number."""
    names = ("pyarrow", "torch", "transformers")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def differences(expected: Fingerprints, found: Fingerprints, parts: tuple[str, ...]) -> list[str]:
    """A phrase for each part that differs, with both fingerprints."""
    lines = []
    for part in parts:
        want, got = getattr(expected, part), getattr(found, part)
        if want != got:
            lines.append(f"{part} is {_short(want)}, the store was made with {_short(got)}")
    return lines


def _short(value: Any) -> str:
    return value[:12] if isinstance(value, str) else str(list(value) if isinstance(value, tuple) else value)


def _fingerprints(content: dict[str, Any]) -> Fingerprints:
    return Fingerprints(**{**content, "labels": tuple(content["labels"])})


def _split(content: dict[str, Any]) -> SplitShards:
    return SplitShards(content["dataset"], tuple(Shard(**shard) for shard in content["shards"]))
