"""Damage to files, done so that other names of them keep their content."""

import random
from pathlib import Path

from distill.targets.schema import Manifest
from distill.targets.verify import check


def damaged(content: bytes, dice: random.Random) -> bytes:
    """One bit flipped, or the end cut off."""
    place = dice.randrange(len(content))
    if dice.random() < 0.5:
        return content[:place]
    return content[:place] + bytes([content[place] ^ 1 << dice.randrange(8)]) + content[place + 1 :]


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
