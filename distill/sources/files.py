"""Files and folders of raw rows: the table of formats, and which files are which split."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pyarrow as pa

from distill.core.console import print_result
from distill.core.errors import UserError
from distill.sources.conll import read_conll
from distill.sources.delimited import read_delimited
from distill.sources.excel import read_excel
from distill.sources.json_rows import read_json
from distill.sources.lines import read_fasttext, read_lines
from distill.sources.parquet import read_parquet
from distill.sources.streams import ReadOptions, Stream, batched, joined
from distill.sources.texts import COMPRESSED, detect_encoding, inner_name, open_text


@dataclass(frozen=True)
class Format:
    """One way to write rows down."""

    endings: tuple[str, ...]
    read: Callable[[Sequence[Path], ReadOptions], Stream]
    """(the shards of a split in their order, what the source says) → rows"""
    options: tuple[str, ...] = ()
    """The keys of `sources` that only some formats have, of which this is one."""
    text: bool = True
    """Whether it may be compressed."""


def _each(read: Callable[..., Stream]) -> Callable[[Sequence[Path], ReadOptions], Stream]:
    return lambda files, options: joined([read(file, options) for file in files], f"{files[0]} and {len(files) - 1} more")


FORMATS = {
    "parquet": Format((".parquet",), _each(read_parquet), text=False),
    "csv": Format((".csv",), _each(partial(read_delimited, default=",")), ("delimiter", "names")),
    "tsv": Format((".tsv", ".tab"), _each(partial(read_delimited, default="\t")), ("delimiter", "names")),
    "json": Format((".json", ".jsonl", ".ndjson"), read_json),
    "conll": Format((".conll", ".conllu", ".bio", ".iob", ".iob2"), _each(read_conll)),
    "excel": Format((".xlsx", ".xlsm"), _each(read_excel), ("sheet", "names"), text=False),
    "text": Format((), _each(read_lines)),
    "fasttext": Format((), _each(read_fasttext)),
}
ENDINGS = {ending: name for name, each in FORMATS.items() for ending in each.endings}
SHARD = re.compile(r"(.+?)-(\d+)(?:-of-(\d+)(?:-[0-9a-f]{16})?)?")
"""`train-1`, `train-00000-of-00002`, and such names with the hash that older data sets of the hub have."""
SPARK = re.compile(r"part-(\d+)(?:\b.*)?")
"""The files that Spark writes into a folder: all are one split."""
UNMARKED = {"train", "test", "dev", "valid", "validation", "val"}
"""Names of text files that are hardly texts, but splits in a format that their ending does not tell."""


def read_local(path: Path, options: ReadOptions | None = None) -> dict[str, Stream]:
    """Splits of a local file or folder.

    A file is the split `train`. A folder holds either files of any formats, one a split (`train.csv`) or several that are
    numbered (`test-00000-of-00002.parquet`), or text files: in class folders (columns `text`, `label`), in such folders a
    split, or on their own (column `text`).
    """
    options = options or ReadOptions()
    if path.is_file():
        splits = {"train": [path]}
    else:
        splits = _splits(path, options)
        if not splits:
            _require_used(options, {}, path)
            return _text_folders(path, options)
        _tell_passed(path, (file for inner in _visible(path) if inner.is_dir() for file in inner.iterdir() if _is_rows(file)))
    formats = {split: format_of(files[0], options) for split, files in splits.items()}
    _require_used(options, formats, path)

    def read(split: str) -> Stream:
        same = (file for other, files in splits.items() if formats[other] == formats[split] for file in files)
        return FORMATS[formats[split]].read(splits[split], replace(options, beside=tuple(same)))

    return {split: read(split) for split in splits}


def read_file(path: Path) -> Stream:
    """The rows of one file, by its ending."""
    return read_local(path)["train"]


def is_table(path: Path, names: Sequence[str]) -> bool:
    """Whether the ending of a file is that of one of these formats."""
    name = inner_name(path) if path.suffix.lower() in COMPRESSED else path.name
    return ENDINGS.get(Path(name).suffix.lower()) in names


def format_of(path: Path, options: ReadOptions | None = None) -> str:
    """The format that the source says, or the file's ending, below that of its compression."""
    name = Path(inner_name(path))
    compressed = path.suffix.lower() in COMPRESSED
    chosen = options and options.format
    found = chosen or ENDINGS.get(name.suffix.lower())
    if found is None:
        kind = name.suffix or "files without an ending"
        raise UserError(
            f"{path}: cannot tell what '{kind}' holds; expected {', '.join(ENDINGS)}, or the source's `format` "
            f"({', '.join(FORMATS)}; `text` is a row a line; of `new`: --source format=text)"
        )
    if compressed and not FORMATS[found].text:
        raise UserError(f"{path}: {found} files are compressed within; unpack it")
    return found


def _require_used(options: ReadOptions, formats: dict[str, str], path: Path) -> None:
    """Refuse what the source says of another format than it has."""
    taken = {key for name in formats.values() for key in FORMATS[name].options}
    for key in ("delimiter", "sheet", "names"):
        if getattr(options, key) is not None and key not in taken:
            read_by = " and ".join(name for name, each in FORMATS.items() if key in each.options)
            raise UserError(f"{path}: `{key}` is for {read_by} files, of which there is none here; remove it")


def _splits(folder: Path, options: ReadOptions) -> dict[str, list[Path]]:
    """The table files of a folder by split, those of a split by number."""
    found: dict[str, dict[int, Path]] = {}
    counts: dict[str, int] = {}
    for file in _tables(folder, options):
        stem = _stem(file)
        shard, spark = SHARD.fullmatch(stem), SPARK.fullmatch(stem)
        split, number = ("train", int(spark[1])) if spark else (shard[1], int(shard[2])) if shard else (stem, -1)
        shards = found.setdefault(split, {})
        other = shards.get(number) or next((each for place, each in shards.items() if -1 in (place, number)), None)
        if other is None and shards:
            other = next((each for each in shards.values() if format_of(each, options) != format_of(file, options)), None)
        if other is not None:
            raise UserError(f"{folder}: '{split}' is there twice, as {other.name} and {file.name}; move one of them elsewhere")
        shards[number] = file
        if shard and not spark and shard[3] and counts.setdefault(split, int(shard[3])) != int(shard[3]):
            raise UserError(f"{folder}: the files of '{split}' are of {counts[split]} and of {shard[3]}; keep one set of them")
    for split, count in counts.items():
        missing = [number for number in range(count) if number not in found[split]]
        if missing:
            raise UserError(f"{folder}: number {missing[0]} of the {count} files of '{split}' is missing; fetch it")
    for split, shards in found.items():
        if len(shards) > 1 and split not in counts:
            print_result(f"{folder}: '{split}' is read from {len(shards)} files, such as {shards[min(shards)].name}")
    return {split: [shards[number] for number in sorted(shards)] for split, shards in sorted(found.items())}


def _tables(folder: Path, options: ReadOptions) -> list[Path]:
    """The files of a folder that are tables; one that is called like a split and is none is refused."""
    endings = {file: _ending(file) for file in _visible(folder) if file.is_file() and not file.name.startswith("~$")}
    expected = {ending for ending, name in ENDINGS.items() if options.format is None or _alike(name, options.format)}
    tables = [file for file, ending in endings.items() if ending in expected]
    if not tables and options.format is not None:
        tables = [file for file, ending in endings.items() if ending in (".txt", ".data")]
    for file in endings if tables else ():
        if file not in tables and _stem(file).lower() in UNMARKED | {"train"}:
            raise UserError(
                f"{file}: is called like a split, and cannot be read; expected {', '.join(sorted(expected))}, or another name"
            )
    return tables


def _is_rows(file: Path) -> bool:
    """Whether the name of a file is that of a table or a text."""
    return {suffix.lower() for suffix in file.suffixes[-2:]} & {*ENDINGS, ".txt"} != set()


def _alike(name: str, other: str) -> bool:
    """Whether files of one format may have the ending of the other."""
    return name == other or (FORMATS[name].options == FORMATS[other].options != ())


def _ending(file: Path) -> str:
    """The ending that tells the format: that of the name within a compressed file."""
    try:
        return Path(inner_name(file)).suffix.lower()
    except UserError as error:
        if Path(file.stem).suffix.lower() in ENDINGS:
            raise
        print_result(f"{error}: it is not read")
        return ""


def _stem(file: Path) -> str:
    """The name without the endings of compression and format."""
    outer = Path(file.stem) if file.suffix.lower() in COMPRESSED else file
    return outer.stem if outer.suffix else outer.name


def _text_folders(path: Path, options: ReadOptions) -> dict[str, Stream]:
    """Class folders of text files, such folders a split, or text files alone."""
    used = {folder.name: files for folder in _visible(path) if folder.is_dir() and (files := _by_class(folder))}
    if not used:
        used = {"train": _by_class(path) or [(file, None) for file in _visible(path) if _is_text(file)]}
    chosen = [file for files in used.values() for file, _ in files]
    if not chosen:
        raise UserError(
            f"{path}: nothing to read; expected {', '.join(ENDINGS)} files (also with {', '.join(COMPRESSED)}), .txt files, or "
            "class folders of .txt files"
        )
    unlikely = next((file for file in chosen if file.parent == path and file.stem.lower() in UNMARKED), None)
    if unlikely is not None:
        raise UserError(
            f"{unlikely}: is this one text, or a split? If a token a line, set the source's `format: conll`; else rename the file"
        )
    _tell_passed(path, set(path.rglob("*")) - set(chosen))
    odd = next((split for split in used if len(used) > 1 and (SHARD.fullmatch(split) or SPARK.fullmatch(split))), None)
    if odd is not None:
        raise UserError(
            f"{path / odd}: a split of this name passes for a part of another; rename the folder, without '-' and number"
        )
    return {split: _texts(files, options.encoding) for split, files in used.items()}


def _tell_passed(folder: Path, files: Iterable[Path]) -> None:
    """Say which files are not read, for nothing else tells that their rows are missing; hidden ones do not count."""
    shown = (file for file in files if file.is_file() and "/." not in f"/{file.relative_to(folder)}")
    passed = sorted(file for file in shown if file.parent != folder or _is_text(file))
    if passed:
        print_result(f"{folder}: {len(passed)} files are not read, such as {passed[0].relative_to(folder)}")


def _by_class(folder: Path) -> list[tuple[Path, str | None]]:
    """Texts with the names of their folders; refused if a folder beside these has files, and no text among them."""
    classes = {each: [*filter(Path.is_file, _visible(each))] for each in _visible(folder) if each.is_dir()}
    found = {each: [file for file in files if _is_text(file)] for each, files in classes.items()}
    lost = next((each for each, files in classes.items() if any(found.values()) and files and not found[each]), None)
    if lost is not None:
        raise UserError(
            f"{lost}: none of its files is a .txt file, such as {classes[lost][0].name}, and the class would be lost; rename "
            "them, or move the folder away"
        )
    return [(file, each.name) for each, files in found.items() for file in files]


def _is_text(file: Path) -> bool:
    return (Path(file.stem) if file.suffix.lower() in COMPRESSED else file).suffix.lower() == ".txt"


def _visible(folder: Path) -> list[Path]:
    """What no system has put there for itself."""
    found = sorted(path for path in folder.iterdir() if not path.name.startswith((".", "__")))
    lost = next((path for path in found if not path.exists()), None)
    if lost is not None:
        raise UserError(f"{lost}: is a link to what is not there ({lost.readlink()}); fetch that, or remove the link")
    return found


def _texts(files: Sequence[tuple[Path, str | None]], encoding: str) -> Stream:
    """A row a text file, with the name of its class if it has one."""
    names = ["text", "label"] if any(label is not None for _, label in files) else ["text"]
    schema = pa.schema([(name, pa.string()) for name in names])

    def rows() -> Iterator[tuple[int, Sequence[str | None]]]:
        for file, label in files:
            with open_text(file, detect_encoding(file, encoding)) as opened:
                text = opened.read().replace("\r\n", "\n").replace("\r", "\n").strip()
            yield len(text), (text, label)[: len(names)]

    def read(wanted: Sequence[str]) -> Iterator[pa.RecordBatch]:
        return batched(rows(), schema, wanted)

    return Stream(schema, read)
