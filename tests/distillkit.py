"""Parquet as DistillKit writes it, made from the facts of its format by plain loops."""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

BYTES = pa.list_(pa.list_(pa.uint8()))
SCHEMA = pa.schema([("input_ids", pa.list_(pa.uint64())), ("compressed_logprobs", BYTES), ("bytepacked_indices", BYTES)])
LETTERS = {"float16": "e", "float32": "f", "float64": "d"}


def pack(elements: Sequence[int], bits: int) -> list[int]:
    """Elements one after the other, each by its lowest bits, the highest of these first."""
    text = "".join(format(element % 2**bits, f"0{bits}b") for element in elements)
    text += "0" * (-len(text) % 8)
    return [int(text[place : place + 8], 2) for place in range(0, len(text), 8)]


def number(value: float, kind: str) -> tuple[list[int], float]:
    """The bytes of a number, the lowest first, and what they stand for; bfloat16 is the upper half of float32."""
    if kind == "bfloat16":
        rounded = float(torch.tensor(value).bfloat16())
        return list(struct.pack("<f", rounded)[2:]), rounded
    packed = struct.pack(f"<{LETTERS[kind]}", value)
    return list(packed), struct.unpack(f"<{LETTERS[kind]}", packed)[0]


def compress(logs: Sequence[float], how: dict[str, Any]) -> tuple[list[int], list[float]]:
    """Descending log-probabilities of a token as bytes, and what these stand for."""
    exact_k, k = how["exact_k"], how["k"]
    values = list(np.diff(logs, prepend=0.0)) if how["delta_encoding"] else list(logs)
    made = [number(value, how.get("exact_dtype", "float32")) for value in values[:exact_k]]
    found, kept = [byte for packed, _ in made for byte in packed], [value for _, value in made]
    rest = np.array(values[exact_k:])
    fit = np.zeros(k - exact_k)
    if how.get("polynomial_terms"):
        places = np.linspace(0, 1, k - exact_k) if how.get("normalize_t") else np.arange(k - exact_k, dtype=np.float64)
        columns = [getattr(np, term)(places) if isinstance(term, str) else places**term for term in how["polynomial_terms"]]
        coefficients = np.linalg.lstsq(np.stack(columns, axis=1), rest, rcond=None)[0]
        made = [number(float(value), how.get("term_dtype", "float32")) for value in coefficients]
        found += [byte for packed, _ in made for byte in packed]
        fit = sum(column * value for column, (_, value) in zip(columns, made, strict=True))
    start = 0
    for each in how["residual_bins"]:
        bits, part = each["element_bits"], slice(start, start + each["num_elements"])
        start = part.stop
        left = (rest - fit)[part]
        packed, scale = number(float(np.abs(left).max() or 1.0) / (1 if bits == 1 else 2 ** (bits - 1)), each["scale_dtype"])
        if bits == 1:
            signs = [int(value > 0) for value in left]
            elements, quantized = signs, [2 * sign - 1 for sign in signs]
        else:
            half = 2 ** (bits - 1)
            quantized = [max(-half, min(half - 1, round(float(value / scale)))) for value in left]
            elements = [value + half for value in quantized]
        found += [*packed, *pack(elements, bits)]
        fit[part] += np.array(quantized, np.float64) * scale
    kept += list(fit)
    return found, list(np.cumsum(kept)) if how["delta_encoding"] else kept


def table_row(tokens: Sequence[int], logits: torch.Tensor, how: dict[str, Any]) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """A row of the table by a teacher's (n, d) logits, and ids and log-probabilities, (n - 1, k), that its bytes stand for."""
    top = logits.double().log_softmax(-1).topk(how["k"], dim=-1)
    made = [compress(line.tolist(), how) for line in top.values[: len(tokens) - 1]]
    ids = top.indices[: len(tokens) - 1]
    row = {
        "input_ids": list(tokens),
        "compressed_logprobs": [packed for packed, _ in made],
        "bytepacked_indices": [pack(line.tolist(), (how["d"] - 1).bit_length()) for line in ids],
    }
    return row, ids.numpy(), np.array([values for _, values in made])


def write(file: Path, rows: list[dict[str, Any]], schema: pa.Schema = SCHEMA) -> Path:
    """A file of such rows; the folder that it lies in."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema), file)
    return file.parent
