"""What is broken of a target set gets its bytes back, and the teacher reads no more than it has to."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from distill.core.errors import UserError
from distill.data.dataset import Dataset
from distill.store.target_set import TargetStore
from distill.targets.materialization.forward import Teacher
from distill.targets.verification.integrity import check
from distill.targets.verification.live import compare
from distill.targets.verification.repair import Repair
from tests import tiny
from tests.command_line import contents
from tests.damage import flip, replace, texts
from tests.stores import MANY, assembled, fingerprints, materialize


def repaired(folder: Path, model, dataset: Dataset) -> tuple[Path, Repair, int]:
    """A repaired copy of a set, and how many tokens the teacher read for it."""
    made = Repair(Teacher(model, fingerprints(dataset)), dataset, MANY, folder.parent / "scratch", check(folder))
    computed = made.run().tokens_computed
    return assembled(made, folder.parent / "new"), made, computed


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


BREAK = {
    "flipped": flip,
    "truncated": lambda path: replace(path, path.read_bytes()[:-7]),
    "deleted": Path.unlink,
    "folder": lambda path: shutil.rmtree(path.parent),
}


@pytest.mark.parametrize(
    ("how", "broken"),
    [
        *((how, ["hidden-02/train/part-00001.arrow"]) for how in ("flipped", "truncated", "deleted")),
        ("flipped", ["hidden-02/train/part-00000.arrow", "hidden-02/train/part-00001.arrow", "hidden-04/train/part-00001.arrow"]),
        ("truncated", ["logits/train/part-00001.arrow", "cls-01/train/part-00000.arrow", "hidden-04/train/part-00002.arrow"]),
        ("deleted", ["logits/test/part-00000.arrow", "logits/validation/part-00000.arrow", "logits/train/part-00000.arrow"]),
    ],
)
def test_broken_shards_get_their_bytes_back_and_the_teacher_reads_their_rows_alone(many, copy, model, dataset, how, broken):
    for file in broken:
        BREAK[how](copy / file)
    new, made, computed = repaired(copy, model, dataset)
    assert made.same_units
    assert (contents(new), computed) == (contents(many), tokens_of(many, *broken))
    whole = [path for path in copy.rglob("*.arrow") if path.relative_to(copy).as_posix() not in broken]
    assert all(path.samefile(new / path.relative_to(copy)) for path in whole)


def test_tokens_heads_and_stray_files_need_no_teacher(many, copy, model, dataset):
    flip(copy / "tokens/train/part-00000.arrow")
    flip(copy / "attention-01/heads.safetensors")
    (copy / "hidden-02/notes.txt").write_text("x")
    (copy / "readme").write_text("x")
    new, _, computed = repaired(copy, model, dataset)
    assert (computed, contents(new)) == (0, contents(many))


@pytest.mark.parametrize(
    ("output", "how"),
    [
        *(("hidden-02", how) for how in ("flipped", "deleted", "folder")),
        *((output, how) for output in ("logits", "attention-01") for how in ("flipped", "folder")),
        ("tokens", "deleted"),
    ],
)
def test_an_output_with_a_broken_manifest_is_made_anew(many, copy, model, dataset, output, how):
    BREAK[how](copy / output / "manifest.json")
    new, _, computed = repaired(copy, model, dataset)
    assert contents(new) == contents(many)
    rows = {split: dataset.rows(split) for split in dataset.splits}
    tokens = {split: int(each.lengths[each.firsts()].sum()) for split, each in rows.items()}
    expected = {"logits": sum(tokens.values()), "hidden-02": tokens["train"]}
    assert computed == expected.get(output, 0)


def test_a_set_that_has_grown_is_whole_again_after_repair(tmp_path, model, dataset, tokenizer):
    rows = (part[:25] for part in tiny.rows(60, 0))
    less = Dataset.open(tiny.prepare_rows(tmp_path / "less", tokenizer, *rows))
    first = materialize(model, less, tmp_path / "first", MANY)
    grown = materialize(model, dataset, tmp_path / "targets" / "grown", MANY, base=TargetStore.open(first))
    assert texts(grown) == []
    flip(grown / "hidden-02/train/part-00001.arrow")
    flip(grown / "cls-01/manifest.json")
    new, made, computed = repaired(grown, model, dataset)
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
    prints = fingerprints(dataset, teacher=change.get("teacher", "t" * 64))
    job = dataclasses.replace(MANY, codec=change.get("codec", MANY.codec))
    with pytest.raises(UserError, match=f"cannot be repaired: .*{message}"):
        Repair(Teacher(model, prints), dataset, job, tmp_path / "scratch", check(copy))
