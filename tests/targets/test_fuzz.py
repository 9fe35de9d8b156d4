"""Whatever lies in a target set's folder: the right tensor, or one clear line. Never another exception, shape, or a crash."""

import hashlib
import json
import random
import shutil
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distill.core.errors import UserError
from distill.core.files import to_json
from distill.data.dataset import Dataset
from distill.store.output_names import kind_of
from distill.store.target_set import TargetStore
from distill.targets.verification.integrity import check
from tests import tiny
from tests.damage import fit, mutated, replace
from tests.stores import FORKS, materialize, teacher_for
from tests.target_specs import target_spec

JOBS = {
    "stored": target_spec(hidden=(0, 2), cls=(1,), attention=(2,), attention_as="scores-u8", shard_bytes=2000),
    "replayed": target_spec(hidden=(2,), cls=(1,), attention=(1, 3), codec="int4", shard_bytes=2000),
    "vocabulary": target_spec(relations=(2,), shard_bytes=2000),  # of a masked language model
}
EXAMPLES = settings(deadline=None, max_examples=30, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
SOON = 2
"""Seconds of the processor's: others may take its time meanwhile."""

numbers = st.one_of(st.integers(), st.integers(10**18, 10**40), st.floats(), st.just(-1), st.just(0))
texts = st.one_of(
    st.text(max_size=8), st.sampled_from(["../../etc", "train/part-00000.arrow", "replay", "int8", "tokens", "hidden-01"])
)
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)
Sets = dict[str, tuple[Path, Path]]


@pytest.fixture(scope="module")
def sets(tmp_path_factory, model) -> Sets:
    """Three sets, each whole and as a copy that tests may spoil."""
    folder = tmp_path_factory.mktemp("fuzz")
    dataset = Dataset.open(tiny.prepare(folder / "prepared", tiny.tokenizer(), (12, 5, 5)))
    corpus = Dataset.open(tiny.prepare_task(folder / "corpus", "masked-lm", sizes=(12, 5, 5)))
    made = {}
    for name, job in JOBS.items():
        rows = corpus if name == "vocabulary" else dataset
        whole = materialize(teacher_for(rows) if rows is corpus else model, rows, folder / "whole" / name, job)
        made[name] = (whole, shutil.copytree(whole, folder / "targets" / name))
    return made


def body_of(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text())
    return {key: value for key, value in content.items() if key not in ("format", "version", "checksum")}


def with_checksum(body: Any) -> bytes:
    checksum = hashlib.sha256(to_json(body).encode()).hexdigest()
    return to_json({"format": "distill/targets", "version": 3, "checksum": checksum, **body}).encode()


def read_all(folder: Path) -> str | None:
    """Read every row of all outputs and check their shapes; the line of a `UserError`."""
    try:
        store = TargetStore.open(folder)
    except UserError as error:
        return one_line(error)
    line = None
    for output, manifest in store.manifests.items():
        for split in manifest.splits:
            try:
                reader = store.output(output, split)
                rows = np.arange(len(reader))
                tensor = reader.gather(rows)
            except UserError as error:
                line = one_line(error)
                continue
            kind, lengths = kind_of(output)[0], reader.lengths
            longest, vectors = int(lengths.max()), int(lengths.sum())
            maps = (len(rows), manifest.width, longest, longest)
            assert tuple(tensor.shape) == (maps if kind == "attention" else (vectors, manifest.width))
            assert manifest.per != "row" or vectors == len(rows)
            assert tensor.dtype == (torch.int64 if kind == "tokens" else torch.float32)
    return line


def one_line(error: UserError) -> str:
    text = str(error)
    assert ("\n" in text, 0 < len(text) < 2000) == (False, True)
    return text


def checked(folder: Path) -> list[str]:
    """What `verify` finds: lines, and nothing else."""
    try:
        found = [problem.text for problem in check(folder).problems]
    except UserError as error:
        found = [str(error)]
    assert all(text and "\n" not in text for text in found)
    return found


def spoil(sets: Sets, name: str, file: str, content: bytes) -> str | None:
    """Read a set of which one file has another content, then put it back; the error, or a problem that `verify` finds."""
    whole, copy = sets[name]
    replace(copy / file, content)
    try:
        start = time.process_time()
        error, found = read_all(copy), checked(copy)
        assert time.process_time() - start < SOON
        assert found or error is None
        return error or (found[0] if found else None)
    finally:
        replace(copy / file, (whole / file).read_bytes())


@EXAMPLES
@given(
    content=st.one_of(
        anything.map(lambda value: json.dumps(value).encode(errors="replace")),
        st.binary(max_size=200),
        st.dictionaries(st.sampled_from(["output", "codec", "width", "source", "heads", "splits"]), anything).map(
            lambda body: with_checksum(_json(body))
        ),
    )
)
def test_anything_else_for_a_manifest_is_refused(sets, content):
    error = spoil(sets, "stored", "logits/manifest.json", content)
    assert error is not None
    assert "logits/manifest.json" in error


OUTPUTS = {
    "stored": ["logits", "tokens", "cls-01", "hidden-00", "hidden-02", "attention-02"],
    "replayed": ["logits", "tokens", "cls-01", "hidden-00", "hidden-02", "attention-01", "attention-03"],
    "vocabulary": ["logits", "transform", "tokens", "hidden-01", "queries-02", "values-02"],
}


@st.composite
def mutations(draw: st.DrawFn) -> tuple[str, str, Callable[[Any], Any]]:
    """A set, an output of it, and something that happens to a random place of its manifest."""
    name = draw(st.sampled_from(list(OUTPUTS)))
    output, value, seed = draw(st.sampled_from(OUTPUTS[name])), draw(anything), draw(st.integers(0, 10**6))
    how = draw(st.sampled_from(["replace", "delete", "add", "like"]))

    def change(body: Any) -> Any:
        rng, place = random.Random(seed), body
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                return body
            key = rng.choice(keys)
            if not isinstance(place[key], dict | list) or rng.random() < 0.15:
                break
            place = place[key]
        if how == "delete":
            del place[key]
        elif how == "add" and isinstance(place, dict):
            place[str(value)[:8]] = value
        else:
            place[key] = like(place[key], rng) if how == "like" else value
        return body

    return name, output, change


def like(value: Any, rng: random.Random) -> Any:
    """Another value of the same type."""
    if isinstance(value, int):
        return rng.choice([value + 1, value - 1, 0, -value, value * 10**6, 2**63, 10**30])
    if isinstance(value, str):
        known = "hidden-01 hidden-02 attention-01 tokens logits replay int8 fp32 fp16 bf16 int4 scores-u8 row token position"
        paths = ["../../etc/passwd", "test/part-00000.arrow"]
        return rng.choice([*known.split(), *paths, value[::-1], value.replace("0", "1")])
    return [value] if isinstance(value, dict) else value * 2 if isinstance(value, list) else "x"


def _json(value: Any) -> Any:
    """What JSON can hold of a value."""
    return json.loads(
        json.dumps(value, default=str, allow_nan=True).replace("NaN", "1").replace("Infinity", "2").replace("\\ud", "x")
    )


@settings(EXAMPLES, max_examples=75)
@given(mutation=mutations())
def test_a_changed_manifest_with_a_right_checksum_gives_a_line_or_the_right_shape(sets, mutation):
    name, output, change = mutation
    file = f"{output}/manifest.json"
    body = _json(change(body_of(sets[name][0] / file)))
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
    error = spoil(sets, "replayed", file, with_checksum(body_of(sets["replayed"][0] / file) | changes))
    assert error is not None
    assert message in error


@pytest.mark.parametrize(
    "file", ["../../etc/passwd", "/etc/passwd", "train/../../x.arrow", "train/part-00000.arrow\n", "test/part-00000.arrow"]
)
def test_a_manifest_names_no_file_but_those_of_its_own_splits(sets, file):
    body = body_of(sets["stored"][0] / "hidden-02/manifest.json")
    body["splits"]["train"]["shards"][0]["file"] = file
    error = spoil(sets, "stored", "hidden-02/manifest.json", with_checksum(body))
    assert error is not None
    assert "hidden-02/manifest.json" in error


@EXAMPLES
@given(seed=st.integers(0, 10**9))
def test_any_changed_byte_is_an_error(sets, seed):
    rng = random.Random(seed)
    name = rng.choice(list(JOBS))
    whole, _ = sets[name]
    path = rng.choice(sorted(path for path in whole.rglob("*") if path.is_file()))
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= rng.randrange(1, 256)
    assert spoil(sets, name, path.relative_to(whole).as_posix(), bytes(content)) is not None


def attack(sets: Sets, seed: int, rounds: int) -> None:
    """Spoil files and make size and checksum in the manifest fit."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    rng = random.Random(seed)
    files = {name: sorted([*whole.rglob("*.arrow"), *whole.rglob("*.safetensors")]) for name, (whole, _) in sets.items()}
    for number in range(rounds):
        name = rng.choice(list(sets))
        whole, copy = sets[name]
        path = rng.choice(files[name])
        content = mutated(path, [other for others in files.values() for other in others], rng, number)
        output, _, file = path.relative_to(whole).as_posix().partition("/")
        print(seed, number, name, output, file, flush=True)
        manifest = (copy / output / "manifest.json").read_bytes()
        try:
            replace(copy / output / file, content)
            fit(copy / output, file)
            read_all(copy)
            checked(copy)
        finally:
            replace(copy / output / file, path.read_bytes())
            replace(copy / output / "manifest.json", manifest)
    assert all(checked(copy) == [] for _, copy in sets.values())


@pytest.mark.slow
def test_files_with_fitting_checksums_give_a_line_or_the_right_shape_and_never_a_crash(sets):
    process = FORKS.Process(target=attack, args=(sets, 1, 150))  # of its own, which may crash
    process.start()
    process.join(600)
    process.kill()
    process.join()
    assert process.exitcode == 0
