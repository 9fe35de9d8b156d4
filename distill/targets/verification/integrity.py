"""Whether a target set on disk is what its manifests say. All problems are found, not just the first."""

import contextlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from distill.core import progress
from distill.core.arrays import Array
from distill.core.errors import UserError
from distill.data.row_index import RowIndex, row_keys
from distill.store.manifest import MANIFEST, File, Manifest, Shard, differences
from distill.store.origin import stage_of
from distill.store.output_names import LOGITS, REPLAY, TOKENS
from distill.store.readers import StoredOutput
from distill.store.target_set import TargetStore

_OpenShard = tuple[Shard, StoredOutput]

ADVICE = re.compile(r"; (run|delete|add) .*", re.DOTALL)
"""The advice at the end of an error."""


@dataclass(frozen=True)
class Problem:
    """Something that is not as it should be."""

    output: str
    """Empty for a file that belongs to no output."""
    file: str
    """Below the output's folder. A problem of manifest.json makes all of the output doubtful."""
    text: str
    """One line: which file, what was got, what was expected."""


@dataclass
class CheckResult:
    """What the check of a target set has found."""

    folder: Path
    manifests: Mapping[str, Manifest]
    """Those that can be read."""
    problems: list[Problem] = field(default_factory=list)

    @property
    def files(self) -> list[tuple[str, File]]:
        """Output and entry of every file that the manifests name."""
        return [(output, entry) for output, manifest in self.manifests.items() for entry in manifest.files]

    @property
    def bytes(self) -> int:
        """Of these files."""
        return sum(entry.bytes for _, entry in self.files)

    def broken(self, output: str) -> set[str]:
        """The files of an output that have a problem."""
        return {problem.file for problem in self.problems if problem.output == output}

    def add(self, output: str, file: str, error: object) -> None:
        """Note a problem, without advice: one line gives that for all."""
        if isinstance(error, OSError):
            error = f"{self.folder / output / file}: cannot be read ({error.strerror})"
        self.problems.append(Problem(output, file, " ".join(ADVICE.sub("", str(error)).split())))

    @contextlib.contextmanager
    def catch(self, output: str, file: str) -> Iterator[None]:
        """Note an error as a problem of a file."""
        try:
            yield
        except (UserError, OSError) as error:
            self.add(output, file, error)


def check(folder: Path, wanted: Mapping[str, Array] | None = None) -> CheckResult:
    """Check a target set, or one output of it (`data/targets/NAME/logits`).

    `wanted` are, by a split's fingerprint, the example ids that it should have, (rows, 16) uint8. An output may hold more, rows
    that the data set had once. Of a split that is not among them, all outputs must have the same rows.
    """
    checked = _read(folder)
    for output, manifest in checked.manifests.items():
        for file in sorted({*_files(checked.folder / output)} - {MANIFEST, *(entry.file for entry in manifest.files)}):
            checked.add(output, file, f"{checked.folder / output / file}: the manifest does not name it")
    _hash(checked)
    _compare_manifests(checked)
    parts = _open_shards(checked)
    _compare_rows(checked, parts, wanted)
    _open_outputs(checked)
    return checked


def _read(folder: Path) -> CheckResult:
    alone = (folder / MANIFEST).exists()
    manifests: dict[str, Manifest] = {}
    checked = CheckResult(folder.parent if alone else folder, manifests)
    entries = [folder] if alone else sorted(folder.iterdir()) if folder.is_dir() else []
    for path in entries:
        if not path.is_dir():
            checked.add("", path.name, f"{path}: no manifest names it; expected nothing but folders of outputs")
        elif (path / MANIFEST).exists() or _files(path):
            with checked.catch(path.name, MANIFEST):
                manifest = Manifest.read(path)
                if manifest.output != path.name:
                    raise UserError(f"{path / MANIFEST}: holds {manifest.output}, expected {path.name}: put in a foreign place")
                manifests[path.name] = manifest
    if not manifests and not checked.problems:
        raise UserError(f"{folder}: no target set; run `dvc repro {stage_of(folder)}`, or `dvc pull {folder}`")
    return checked


def _files(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()]


def _hash(checked: CheckResult) -> None:
    """Check size and SHA-256 of every file; hashing leaves Python's lock alone, so that threads share the cores."""
    store = TargetStore(checked.folder, dict(checked.manifests), verify=True)

    def problem_of(file: tuple[str, File]) -> UserError | OSError | None:
        try:
            store.file(*file)
        except (UserError, OSError) as error:
            return error
        return None

    title = f"verify {checked.folder.name}"
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        progress.bar(total=checked.bytes, title=title, unit="B", unit_scale=True, unit_divisor=1024) as bar,
    ):
        for (output, entry), error in zip(checked.files, pool.map(problem_of, checked.files), strict=True):
            bar.update(entry.bytes)
            if error is not None:
                checked.add(output, entry.file, error)


def _compare_manifests(checked: CheckResult) -> None:
    """All outputs of a set come from one teacher, one data set and one way to compute; the most common one is taken for right."""
    manifests = checked.manifests.items()
    prints = _most_common(manifest.fingerprints for _, manifest in manifests)
    ways = _most_common((manifest.teacher_layers, manifest.precision) for _, manifest in manifests)
    datasets = {
        split: _most_common(manifest.splits[split].dataset for _, manifest in manifests if split in manifest.splits)
        for split in sorted({split for _, manifest in manifests for split in manifest.splits})
    }
    for output, manifest in manifests:
        place = checked.folder / output / MANIFEST
        wrong = [line.replace("the store was made with", "here it is") for line in differences(prints, manifest.fingerprints)]
        found = (manifest.teacher_layers, manifest.precision)
        if found != ways:
            wrong.append(f"layers and precision are {ways}, here they are {found}")
        for split, part in manifest.splits.items():
            if part.dataset != datasets[split]:
                wrong.append(f"the rows of {split} are {datasets[split][:12]}, here they are {part.dataset[:12]}")
        if wrong:
            checked.add(output, MANIFEST, f"{place}: differs from the other outputs': {'; '.join(wrong)}")
        if manifest.source is None or checked.broken(manifest.source):
            continue
        source = checked.manifests.get(manifest.source)
        if source is None or not set(manifest.splits) <= set(source.splits):
            got = "it is not there" if source is None else f"it has {', '.join(source.splits)}"
            text = f"{place}: {', '.join(manifest.splits)} are replayed from {manifest.source}, {got}"
            checked.add(manifest.source, MANIFEST, text)


def _most_common(values: Iterable[Any]) -> Any:
    counted = Counter(values).most_common(1)
    return counted[0][0] if counted else None


def _open_shards(checked: CheckResult) -> dict[tuple[str, str], list[_OpenShard]]:
    """Map the shards whose bytes are right; (split, output) → rows, of those whose shards are all right."""
    store = TargetStore(checked.folder, dict(checked.manifests), verify=False)
    found: dict[tuple[str, str], list[_OpenShard]] = {}
    for output, manifest in checked.manifests.items():
        broken = checked.broken(output)
        for split, shards in ((split, part.shards) for split, part in manifest.splits.items() if manifest.codec != REPLAY):
            parts = []
            for entry in shards:
                if entry.file not in broken:
                    with checked.catch(output, entry.file):
                        parts.append((entry, store.part(output, entry)))
            if len(parts) == len(shards):
                found[split, output] = parts
    return found


def _compare_rows(
    checked: CheckResult, parts: Mapping[tuple[str, str], list[_OpenShard]], wanted: Mapping[str, Array] | None
) -> None:
    """All outputs of a split have the same rows, and the same tokens a row."""
    for split in sorted({split for split, _ in parts}):
        of_split = {output: shards for (other, output), shards in parts.items() if other == split}
        reference = next((output for output in (TOKENS, LOGITS) if output in of_split), next(iter(of_split)))
        ids = {output: row_keys(np.concatenate([part.ids for _, part in shards])) for output, shards in of_split.items()}
        known = (wanted or {}).get(checked.manifests[reference].splits[split].dataset)
        expected, whose = (ids[reference], reference) if known is None else (row_keys(known), "the data set")
        for output, found in ids.items():
            given = checked.manifests[output].splits[split].lacking > 0  # by choice
            lacking = 0 if given and known is not None else int((~np.isin(expected, found)).sum())
            surplus = 0 if known is not None else int((~np.isin(found, expected)).sum())
            if lacking or surplus:
                text = f"{split} lacks {lacking} rows that {whose} has, and has {surplus} that it lacks"
                checked.add(output, MANIFEST, f"{checked.folder / output / MANIFEST}: {text}")
        if checked.manifests[reference].per == "token":
            _compare_lengths(checked, of_split, reference)


def _compare_lengths(checked: CheckResult, of_split: Mapping[str, list[_OpenShard]], reference: str) -> None:
    index = RowIndex(np.concatenate([part.ids for _, part in of_split[reference]]))
    lengths = np.concatenate([part.lengths for _, part in of_split[reference]])
    for output, shards in of_split.items():
        for entry, part in shards:
            places = index.find(part.ids)
            known, expected = places >= 0, lengths[places]
            per = checked.manifests[output].per
            wrong = expected != part.lengths if per == "token" else expected < part.lengths
            if differ := int(wrong[known].sum()):
                how = "other numbers of tokens than in" if per == "token" else "more vectors than tokens in"
                checked.add(output, entry.file, f"{checked.folder / output / entry.file}: {differ} rows have {how} {reference}")
            elif known.all() and expected.sum() != entry.tokens:
                text = f"has {expected.sum()} tokens, its manifest says {entry.tokens}"
                checked.add(output, entry.file, f"{checked.folder / output / entry.file}: {text}")


def _open_outputs(checked: CheckResult) -> None:
    """Open each output as a recipe does and read two rows: its shards have the same statistics, its heads fit its source."""
    for output, manifest in checked.manifests.items():
        store = TargetStore(checked.folder, dict(checked.manifests), verify=False)  # a store keeps open what it has opened
        one_shard = manifest.codec != REPLAY and all(len(part.shards) == 1 for part in manifest.splits.values())
        if one_shard or any(checked.broken(each) for each in _chain(checked.manifests, output)):
            continue
        for split in manifest.splits:
            with checked.catch(output, MANIFEST if manifest.heads is None else manifest.heads.file):
                reader = store.output(output, split)
                reader.gather(np.arange(min(2, len(reader))))


def _chain(manifests: Mapping[str, Manifest], output: str | None) -> Iterator[str]:
    """An output, what it is replayed from, and so on."""
    while output is not None:
        yield output
        output = manifests[output].source if output in manifests else None
