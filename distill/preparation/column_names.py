"""Names of columns, as tables have them."""

import json
from typing import Any

import pyarrow as pa

from distill.sources.streams import COLUMNS


def same_name(name: str) -> str:
    """What column names share that people read as one."""
    return name.strip().casefold()


def names_of(table: pa.Table) -> list[str]:
    """All columns of the file that a table is from."""
    return list(noted(table, COLUMNS, table.column_names))


def noted(table: pa.Table, key: bytes, default: Any) -> Any:
    """What the metadata of a table says of its file."""
    return json.loads((table.schema.metadata or {}).get(key, json.dumps(default).encode()))
