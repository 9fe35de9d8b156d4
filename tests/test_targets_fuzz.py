"""Whatever lies in a target set's folder: the right tensor, or one clear line. Never another exception, shape, or a crash."""

import hashlib
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distill.errors import UserError
from distill.files import sha256, to_json
from distill.prepared import Dataset
from distill.targets.outputs import Job
from distill.targets.reader import TargetStore
from distill.targets.schema import Manifest, kind_of
from distill.targets.verify import check
from tests import tiny
from tests.commands import ROOT, environment
from tests.stores import materialize, teacher_for

STORED = Job(hidden=(0, 2), cls=(1,), attention=(2,), attention_as="scores-u8", shard_bytes=2000)
REPLAYED = Job(hidden=(2,), cls=(1,), attention=(1, 3), codec="int4", shard_bytes=2000)
VOCABULARY = Job(relations=(2,), shard_bytes=2000)
"""Of a masked language model."""
NAMES = ("stored", "replayed", "vocabulary")
SOON = settings(deadline=2000, max_examples=60, suppress_health_check=list(HealthCheck), derandomize=True, database=None)

numbers = st.one_of(st.integers(), st.integers(10**18, 10**40), st.floats(), st.just(-1), st.just(0))
texts = st.one_of(
    st.text(max_size=8), st.sampled_from(["../../etc", "train/part-00000.arrow", "replay", "int8", "tokens", "hidden-01"])
)
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def sets(tmp_path_factory) -> dict[str, Path]:
    """Three sets, whole, and the folders that tests may spoil."""
    folder = tmp_path_factory.mktemp("fuzz")
    dataset = Dataset.open(tiny.prepare(folder / "prepared", tiny.tokenizer(), (12, 5, 5)))
    made = {}
    corpus = Dataset.open(tiny.prepare_task(folder / "corpus", "masked-lm", sizes=(12, 5, 5)))
    for name, job in zip(NAMES, (STORED, REPLAYED, VOCABULARY), strict=True):
        own = (tiny.bert(layers=4), dataset) if name != "vocabulary" else (teacher_for(corpus), corpus)
        made[name] = materialize(*own, folder / "whole" / name, job)
        made[f"{name}-copy"] = Path(shutil.copytree(made[name], folder / "targets" / name))
    return made


def write(path: Path, content: bytes) -> None:
    """Replace a file: maps of the former one stay as they are."""
    path.with_name("new").write_bytes(content)
    path.with_name("new").rename(path)


def body_of(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text())
    return {key: value for key, value in content.items() if key not in ("format", "version", "checksum")}


def with_checksum(body: Any) -> bytes:
    checksum = hashlib.sha256(to_json(body).encode()).hexdigest()
    return to_json({"format": "distill/targets", "version": 3, "checksum": checksum, **body}).encode()


def read_all(folder: Path, verify: bool) -> str | None:
    """Read every row of all outputs and check their shapes; what a `UserError` says."""
    try:
        store = TargetStore.open(folder, verify=verify)
    except UserError as error:
        return one_line(error)
    said = None
    for output, manifest in store.manifests.items():
        for split in manifest.splits:
            try:
                reader = store.output(output, split)
                rows = np.arange(len(reader))
                tensor = reader.gather(rows)
            except UserError as error:
                said = one_line(error)
                continue
            kind, lengths = kind_of(output)[0], reader.lengths
            longest, vectors = int(lengths.max()), int(lengths.sum())
            maps = (len(rows), manifest.width, longest, longest)
            assert tuple(tensor.shape) == (maps if kind == "attention" else (vectors, manifest.width))
            assert manifest.per != "row" or vectors == len(rows)
            assert tensor.dtype == (torch.int64 if kind == "tokens" else torch.float32)
    return said


def one_line(error: UserError) -> str:
    text = str(error)
    assert text
    assert "\n" not in text
    assert len(text) < 2000
    return text


def checked(folder: Path) -> list[str]:
    """What `verify` finds: lines, and nothing else."""
    try:
        found = [problem.text for problem in check(folder).problems]
    except UserError as error:
        found = [str(error)]
    assert all(text and "\n" not in text for text in found)
    return found


def spoil(sets: dict[str, Path], name: str, file: str, content: bytes, verify: bool = True) -> str | None:
    """Read a set of which one file has another content; then put it back."""
    path = sets[f"{name}-copy"] / file
    write(path, content)
    try:
        said = read_all(sets[f"{name}-copy"], verify)
        found = checked(sets[f"{name}-copy"])
        assert found or said is None
        return said or (found[0] if found else None)
    finally:
        write(path, (sets[name] / file).read_bytes())


@SOON
@given(content=st.one_of(anything.map(lambda value: json.dumps(value).encode(errors="replace")), st.binary(max_size=200)))
def test_any_json_or_bytes_for_a_manifest_is_refused(sets, content):
    said = spoil(sets, "stored", "logits/manifest.json", content)
    assert said is not None
    assert "logits/manifest.json" in said


@SOON
@given(body=st.dictionaries(st.sampled_from(["output", "codec", "width", "source", "heads", "splits"]), anything))
def test_anything_with_a_right_checksum_is_refused(sets, body):
    said = spoil(sets, "stored", "logits/manifest.json", with_checksum(_json(body)))
    assert said is not None


@st.composite
def mutations(draw: st.DrawFn) -> tuple[str, str, Callable[[Any], Any]]:
    """A set, an output of it, and something that happens to a random place of its manifest."""
    name = draw(st.sampled_from(NAMES))
    outputs = {"stored": ["logits", "tokens", "cls-01", "hidden-00", "hidden-02", "attention-02"]}
    outputs["replayed"] = ["logits", "tokens", "cls-01", "hidden-00", "hidden-02", "attention-01", "attention-03"]
    outputs["vocabulary"] = ["logits", "transform", "tokens", "hidden-01", "queries-02", "values-02"]
    output = draw(st.sampled_from(outputs[name]))
    value, seed = draw(anything), draw(st.integers(0, 10**6))
    how = draw(st.sampled_from(["replace", "delete", "add", "like"]))

    def change(body: Any) -> Any:
        dice = random.Random(seed)
        place = body
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                return body
            key = dice.choice(keys)
            if not isinstance(place[key], dict | list) or dice.random() < 0.15:
                break
            place = place[key]
        if how == "delete":
            del place[key]
        elif how == "add" and isinstance(place, dict):
            place[str(value)[:8]] = value
        elif how == "like":
            place[key] = like(place[key], dice)
        else:
            place[key] = value
        return body

    return name, output, change


def like(value: Any, dice: random.Random) -> Any:
    """Another value of the same type."""
    if isinstance(value, int):
        return dice.choice([value + 1, value - 1, 0, -value, value * 10**6, 2**63, 10**30])
    if isinstance(value, str):
        known = ["hidden-01", "hidden-02", "attention-01", "tokens", "logits", "replay", "int8", "fp32", "fp16", "bf16", "int4"]
        return dice.choice(
            [
                *known,
                "../../etc/passwd",
                value[::-1],
                value.replace("0", "1"),
                "scores-u8",
                "test/part-00000.arrow",
                "row",
                "token",
                "position",
            ]
        )
    return [value] if isinstance(value, dict) else value * 2 if isinstance(value, list) else "x"


def _json(value: Any) -> Any:
    """What JSON can hold of a value."""
    return json.loads(
        json.dumps(value, default=str, allow_nan=True).replace("NaN", "1").replace("Infinity", "2").replace("\\ud", "x")
    )


@settings(SOON, max_examples=150)
@given(mutation=mutations())
def test_a_changed_manifest_with_a_right_checksum_gives_a_line_or_the_right_shape(sets, mutation):
    name, output, change = mutation
    file = f"{output}/manifest.json"
    body = _json(change(body_of(sets[name] / file)))
    spoil(sets, name, file, with_checksum(body))


@pytest.mark.parametrize(
    ("output", "changes", "message"),
    [
        ("hidden-00", {"source": "attention-01"}, "hidden-00 is kept as replay and replayed from attention-01"),
        ("attention-01", {"source": "attention-01"}, "attention-01 is kept as replay and replayed from attention-01"),
        ("attention-01", {"source": None}, "attention-01 is kept as replay and replayed from None"),
        ("attention-01", {"heads": None}, "its heads are None"),
        ("attention-03", {"width": 3}, "does not fit hidden-02"),
        ("hidden-00", {"width": 3}, "does not fit tokens"),
        ("hidden-02", {"width": 3}, "expected int4 of width 3"),
        ("hidden-02", {"codec": "int9"}, "is kept as 'int4', expected int9"),
        ("hidden-02", {"codec": "replay"}, "hidden-02 is kept as replay and replayed from None"),
        ("hidden-02", {"splits": {}}, "splits"),
        ("logits", {"width": -3}, "width"),
        ("logits", {"width": "3"}, "width"),
        ("logits", {"output": "hidden-02", "per": "token"}, "holds hidden-02"),
        ("tokens", {"width": 2}, "is not what its manifest says"),
        ("attention-03", {"output": "attention-09"}, "attention-09 of a teacher with 4 layers"),
    ],
)
def test_what_contradicts_itself_is_named(sets, output, changes, message):
    file = f"{output}/manifest.json"
    said = spoil(sets, "replayed", file, with_checksum(body_of(sets["replayed"] / file) | changes))
    assert said is not None
    assert message in said


@pytest.mark.parametrize(
    "file", ["../../etc/passwd", "/etc/passwd", "train/../../x.arrow", "train/part-00000.arrow\n", "test/part-00000.arrow"]
)
def test_a_manifest_names_no_file_but_those_of_its_own_splits(sets, file):
    body = body_of(sets["stored"] / "hidden-02/manifest.json")
    body["splits"]["train"]["shards"][0]["file"] = file
    said = spoil(sets, "stored", "hidden-02/manifest.json", with_checksum(body))
    assert said is not None
    assert "hidden-02/manifest.json" in said


@settings(SOON, max_examples=60)
@given(seed=st.integers(0, 10**9))
def test_any_changed_byte_is_an_error(sets, seed):
    dice = random.Random(seed)
    name = dice.choice(NAMES)
    path = dice.choice(sorted(path for path in sets[name].rglob("*") if path.is_file()))
    content = bytearray(path.read_bytes())
    content[dice.randrange(len(content))] ^= dice.randrange(1, 256)
    assert spoil(sets, name, path.relative_to(sets[name]).as_posix(), bytes(content)) is not None


ADVERSARY = """
import random, sys, warnings
warnings.simplefilter("ignore")
from pathlib import Path
import torch
torch.set_num_threads(1)
from tests import test_targets_fuzz as fuzz
sets = {key: Path(value) for key, value in zip((n + c for n in fuzz.NAMES for c in ("", "-copy")), sys.argv[1:7])}
fuzz.attack(sets, int(sys.argv[7]), int(sys.argv[8]))
print("survived")
"""


def attack(sets: dict[str, Path], seed: int, rounds: int) -> None:
    """Spoil files and make size and checksum in the manifest fit."""
    dice = random.Random(seed)
    files = {name: sorted([*sets[name].rglob("*.arrow"), *sets[name].rglob("*.safetensors")]) for name in NAMES}
    for number in range(rounds):
        name = dice.choice(NAMES)
        path = dice.choice(files[name])
        content = mutated(path, [file for own in files.values() for file in own], dice, number)
        output, file = path.relative_to(sets[name]).parts[0], "/".join(path.relative_to(sets[name]).parts[1:])
        print(seed, number, name, output, file, flush=True)
        copy = sets[f"{name}-copy"]
        manifest = (copy / output / "manifest.json").read_bytes()
        try:
            write(copy / output / file, content)
            fit(copy / output, file)
            read_all(copy, verify=True)
            checked(copy)
        finally:
            write(copy / output / file, path.read_bytes())
            write(copy / output / "manifest.json", manifest)
    assert all(checked(sets[f"{name}-copy"]) == [] for name in files)


def mutated(path: Path, others: list[Path], dice: random.Random, number: int) -> bytes:
    """Random bytes, another file, a truncated one, or one with bytes changed, most often in its head or foot."""
    content = bytearray(path.read_bytes())
    kind = number % 10
    if kind == 0:
        return dice.randbytes(dice.randrange(3000))
    if kind == 1:
        return dice.choice(others).read_bytes()
    if kind == 2:
        return bytes(content[: dice.randrange(len(content))])
    for _ in range(dice.choice([1, 1, 2, 8])):
        near = dice.choice([len(content), 1500, 1500])
        place = dice.randrange(min(near, len(content)))
        place = len(content) - 1 - place if dice.random() < 0.5 else place
        content[place] = dice.choice([0, 1, 0xFF, content[place] ^ 1 << dice.randrange(8), dice.randrange(256)])
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


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_files_with_fitting_checksums_give_a_line_or_the_right_shape_and_never_a_crash(sets, tmp_path, seed):
    pairs = [(sets[name], shutil.copytree(sets[name], tmp_path / "targets" / name)) for name in NAMES]
    places = [place for pair in pairs for place in pair]
    done = subprocess.run(
        [sys.executable, "-c", ADVERSARY, *map(str, places), str(seed), "150"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout.splitlines()[-1:] + done.stderr.splitlines()[-15:]
    assert done.stdout.endswith("survived\n")
