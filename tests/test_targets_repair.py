"""What is broken of a target set gets its bytes back, and the teacher reads no more than it has to."""

import shutil
from pathlib import Path

import pytest

from distill.errors import UserError
from distill.prepared import Dataset
from distill.targets.layout import unique_rows
from distill.targets.live import compare
from distill.targets.outputs import Job
from distill.targets.reader import TargetStore
from distill.targets.repair import Repair
from distill.targets.teacher import Teacher
from distill.targets.verify import check
from tests import tiny
from tests.commands import contents
from tests.damage import flip, replace, texts
from tests.stores import fingerprints, materialize

REPLAYED = Job(hidden=(2, -1), cls=(1,), attention=(1, 3), shard_bytes=3000)


@pytest.fixture(scope="module")
def model():
    return tiny.bert(layers=4)


@pytest.fixture(scope="module")
def many(tmp_path_factory, model, dataset) -> Path:
    """A set of many shards: read only."""
    return materialize(model, dataset, tmp_path_factory.mktemp("many") / "targets" / "many", REPLAYED)


@pytest.fixture
def copy(tmp_path, many) -> Path:
    return Path(shutil.copytree(many, tmp_path / "targets" / "copy"))


def mended(folder: Path, model, dataset: Dataset, job: Job) -> tuple[Path, Repair, int]:
    """A repaired copy of a set, and how many tokens the teacher read for it."""
    made = Repair(Teacher(model, fingerprints(dataset)), dataset, job, folder.parent / "scratch", check(folder))
    computed = made.run().tokens_computed
    new = folder.parent / "new"
    new.mkdir()
    made.assemble(new)
    return new, made, computed


def tokens_of(folder: Path, *files: str) -> int:
    """The tokens of some shards, rows that are in several of them counted once; rows of the same place of a split."""
    found: dict[tuple[str, bytes], int] = {}
    store = TargetStore.open(folder)
    for file in files:
        output, split, _ = file.split("/")
        entry = next(e for e in store.manifest(output).splits[split].shards if f"{output}/{e.file}" == file)
        ids, tokens = store.part(output, entry).ids, store.output("tokens", split)
        lengths = tokens.lengths[tokens.locate(ids)].tolist()
        found |= {(split, bytes(each)): length for each, length in zip(ids, lengths, strict=True)}
    return sum(found.values())


@pytest.mark.parametrize(
    "broken",
    [
        ["hidden-02/train/part-00001.arrow"],
        ["hidden-02/train/part-00000.arrow", "hidden-02/train/part-00001.arrow", "hidden-04/train/part-00001.arrow"],
        ["logits/train/part-00001.arrow", "cls-01/train/part-00000.arrow", "hidden-04/train/part-00002.arrow"],
        ["logits/test/part-00000.arrow", "logits/validation/part-00000.arrow", "logits/train/part-00000.arrow"],
    ],
)
@pytest.mark.parametrize("how", ["flipped", "truncated", "deleted"])
def test_broken_shards_get_their_bytes_back_and_the_teacher_reads_their_rows_alone(many, copy, model, dataset, broken, how):
    for file in broken:
        if how == "flipped":
            flip(copy / file)
        elif how == "truncated":
            replace(copy / file, (copy / file).read_bytes()[:-7])
        else:
            (copy / file).unlink()
    new, made, computed = mended(copy, model, dataset, REPLAYED)
    assert made.same_units
    assert contents(new) == contents(many)
    assert computed == tokens_of(many, *broken)
    whole = [path for path in copy.rglob("*.arrow") if path.relative_to(copy).as_posix() not in broken]
    assert all(path.samefile(new / path.relative_to(copy)) for path in whole)


def test_tokens_heads_and_stray_files_need_no_teacher(many, copy, model, dataset):
    flip(copy / "tokens/train/part-00000.arrow")
    flip(copy / "attention-01/heads.safetensors")
    (copy / "hidden-02/notes.txt").write_text("x")
    (copy / "readme").write_text("x")
    new, _, computed = mended(copy, model, dataset, REPLAYED)
    assert computed == 0
    assert contents(new) == contents(many)


@pytest.mark.parametrize("output", ["logits", "tokens", "hidden-02", "attention-01"])
@pytest.mark.parametrize("how", ["flipped", "deleted", "folder"])
def test_an_output_with_a_broken_manifest_is_made_anew(many, copy, model, dataset, output, how):
    if how == "flipped":
        flip(copy / output / "manifest.json")
    elif how == "deleted":
        (copy / output / "manifest.json").unlink()
    else:
        shutil.rmtree(copy / output)
    new, _, computed = mended(copy, model, dataset, REPLAYED)
    assert contents(new) == contents(many)
    rows = {split: dataset.rows(split) for split in dataset.splits}
    tokens = {split: int(each.lengths[unique_rows(each)].sum()) for split, each in rows.items()}
    expected = {"logits": sum(tokens.values()), "hidden-02": tokens["train"]}
    assert computed == expected.get(output, 0)


def test_a_set_that_has_grown_is_whole_again_after_repair(tmp_path, model, dataset, tokenizer):
    texts_, labels = tiny.rows(60, 0)
    less = Dataset.open(tiny.prepare_rows(tmp_path / "less", tokenizer, texts_[:25], labels[:25]))
    first = materialize(model, less, tmp_path / "first", REPLAYED)
    grown = materialize(model, dataset, tmp_path / "targets" / "grown", REPLAYED, base=TargetStore.open(first))
    assert texts(grown) == []
    flip(grown / "hidden-02/train/part-00001.arrow")
    flip(grown / "cls-01/manifest.json")
    new, made, computed = mended(grown, model, dataset, REPLAYED)
    assert not made.same_units
    assert texts(new) == []
    assert 0 < computed < made.tokens
    assert all(found.worst <= 1 for found in compare(TargetStore.open(new), made.teacher, dataset, 1000))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"teacher": "x" * 64}, "teacher is xxxxxxxxxxxx, the store was made with tttttttttttt"),
        ({"codec": "fp16"}, r"params.yaml asks for cls-01 as \('fp16', 'row', 'fp32'\), the store has \('int8', 'row', 'fp32'\)"),
        ({"rows": 9}, "the rows of train are .*, here .*"),
    ],
)
def test_a_set_of_another_teacher_job_or_data_set_is_not_repaired(tmp_path, copy, model, dataset, tokenizer, change, message):
    flip(copy / "logits/train/part-00000.arrow")
    if "rows" in change:
        dataset = Dataset.open(tiny.prepare_rows(tmp_path / "other", tokenizer, *tiny.rows(60, 9)))
    prints = fingerprints(dataset, **{key: value for key, value in change.items() if key == "teacher"})
    job = Job(**{**vars(REPLAYED), **{key: value for key, value in change.items() if key == "codec"}})
    with pytest.raises(UserError, match=f"cannot be repaired: .*{message}"):
        Repair(Teacher(model, prints), dataset, job, tmp_path / "scratch", check(copy))
