"""Quotes in CSV that were never meant to enclose a field: what they swallow is said or refused."""

from pathlib import Path

from distill.core.console import print_result
from distill.core.errors import UserError

ADVICE = "close it, or write each quote within a field twice, and one around the field"
MANY = 1000
"""Values in the last column of a file whose last column has no classes."""


class Quotes:
    """What a quote that was never meant leaves behind: fields over lines that look like rows, and quotes within fields."""

    def __init__(self, file: Path, delimiter: str, quoted: bool) -> None:
        """Of one file, before its first record; of what is found the line, 0 until then."""
        self.file, self.delimiter, self.quoted = file, delimiter, quoted
        self.stray, self.doubtful = 0, 0
        self.last, self.ends = set[str](), dict[str, int]()
        """What the last column has; the ends of lines within records, and the first line of the record."""

    def look_at(self, line: int, lines: list[str], fields: list[str]) -> None:
        """A record with its first line; a quote within it, and lines that look like rows, in this one or others, are refused."""
        delimiter, width = self.delimiter, len(fields)
        within = self.quoted and any('"' in field for field in fields)
        self.stray = self.stray or (line if within and not any('""' in raw for raw in lines) else 0)
        if len(self.last) <= MANY:
            self.last.add(fields[-1])
        for inner in lines[:-1] if width > 1 else ():
            end = inner.rstrip("\r\n").rpartition(delimiter)[2].strip('"')
            if end and delimiter in inner and (end in self.last or len(self.ends) < MANY):
                self.ends.setdefault(end, line)
        if len(lines) > 1 and not self.doubtful:
            swallowed = delimiter == "\t" and any("\t" in field and not {"\n", "\r"}.isdisjoint(field) for field in fields)
            self.doubtful = line if swallowed or _each_a_row(lines, delimiter, width) else 0
            self.stray = self.stray or (line if swallowed else 0)
        self._require_closed()

    def tell(self) -> None:
        """At the end: say, or refuse, what looks like rows within a field, by their ends too, now that all classes are known."""
        if not self.doubtful and len(self.last) <= MANY:
            self.doubtful = min((line for end, line in self.ends.items() if end in self.last), default=0)
        self._require_closed()
        if self.doubtful:
            print_result(
                f"{self.file}: line {self.doubtful}: a field in quotes runs over lines that look like rows; check its quotes"
            )

    def _require_closed(self) -> None:
        if self.stray and self.doubtful:
            other = f", and line {self.stray} has a quote within a field" if self.stray != self.doubtful else ""
            raise UserError(
                f"{self.file}: line {self.doubtful}: a quote opens a field and closes on a later line, though its lines look "
                f"like rows{other}; {ADVICE}"
            )


def _each_a_row(lines: list[str], delimiter: str, width: int) -> bool:
    """Whether the lines of a record would be rows too if quotes meant nothing."""
    return width > 1 and all(line.count(delimiter) == width - 1 for line in lines)
