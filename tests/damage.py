"""Damage to files, done so that other names of them keep their content."""

import random
from pathlib import Path

from distill.core.files import sha256
from distill.store.manifest import Manifest
from distill.targets.verification.integrity import check


def damaged(content: bytes, rng: random.Random) -> bytes:
    """One bit flipped, or the end cut off."""
    place = rng.randrange(len(content))
    if rng.random() < 0.5:
        return content[:place]
    return content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :]


def replace(path: Path, content: bytes) -> None:
    """Give a file another content; other names of it keep theirs."""
    path.with_name("new").write_bytes(content)
    path.with_name("new").rename(path)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    replace(path, bytes(content))


def texts(folder: Path, **wanted: object) -> list[str]:
    """What `check` finds."""
    return [problem.text for problem in check(folder, **wanted).problems]


def rewrite(folder: Path, **changed: object) -> None:
    """Change a manifest, and its checksum with it."""
    Manifest.read(folder).model_copy(update=changed).write(folder)


def mutated(path: Path, others: list[Path], rng: random.Random, number: int) -> bytes:
    """Random bytes, another file, a truncated one, or one with bytes changed, most often in its head or foot."""
    content = bytearray(path.read_bytes())
    kind = number % 10
    if kind == 0:
        return rng.randbytes(rng.randrange(3000))
    if kind == 1:
        return rng.choice(others).read_bytes()
    if kind == 2:
        return bytes(content[: rng.randrange(len(content))])
    for _ in range(rng.choice([1, 1, 2, 8])):
        near = rng.choice([len(content), 1500, 1500])
        place = rng.randrange(min(near, len(content)))
        place = len(content) - 1 - place if rng.random() < 0.5 else place
        content[place] = rng.choice([0, 1, 0xFF, content[place] ^ 1 << rng.randrange(8), rng.randrange(256)])
    return bytes(content)


def fit(folder: Path, file: str) -> None:
    """Make the manifest say of a file what it is."""
    manifest = Manifest.read(folder)
    changes = {"bytes": (folder / file).stat().st_size, "sha256": sha256(folder / file)}
    splits = {
        split: part.model_copy(
            update={"shards": tuple(s.model_copy(update=changes) if s.file == file else s for s in part.shards)}
        )
        for split, part in manifest.splits.items()
    }
    heads = manifest.heads.model_copy(update=changes) if manifest.heads is not None else None
    manifest.model_copy(update={"splits": splits, "heads": heads}).write(folder)
