"""Columns of numbers or class names: CSV (and tabs), and Parquet with the extra."""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nccli.errors import FormatError, MissingExtraError
from nccli.importing.entry import Entry

MOST_FIELD = 100_000  # characters of one field


def read_csv(path: Path) -> dict[str, Entry]:
    """Return the columns by their headings; of a table without any, by their numbers from 1."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file, _dialect(path)) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise FormatError(f"no table of text ({error})", remedy="save it as UTF-8 CSV") from None
    if not rows:
        raise FormatError("an empty table", remedy="save one row a sample")
    widths = {len(row) for row in rows}
    if len(widths) > 1:
        odd = next(index for index, row in enumerate(rows, 1) if len(row) != len(rows[0]))
        raise FormatError(
            f"row {odd} has {len(rows[odd - 1])} fields, the first has {len(rows[0])}",
            remedy="quote fields that hold the separator",
        )
    headed = not all(_is_number(field) for field in rows[0])
    names = rows[0] if headed else [str(index) for index in range(1, len(rows[0]) + 1)]
    body = rows[1:] if headed and len(rows) > 1 else rows
    return {name: _column([row[index] for row in body]) for index, name in enumerate(names)}


def _dialect(path: Path) -> type[csv.Dialect]:
    csv.field_size_limit(MOST_FIELD)
    return csv.excel_tab if path.suffix.lower() == ".tsv" else csv.excel


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _column(fields: list[str]) -> Entry:
    words = [field.strip() for field in fields]
    values: NDArray[Any] = np.array(words)
    if all(_is_number(word) for word in words):
        numbers = np.array([float(word) for word in words])
        whole = np.isfinite(numbers).all() and (numbers == np.round(numbers)).all()
        values = numbers.astype(np.int64) if whole and np.abs(numbers).max() < 2**53 else numbers
    return Entry(shape=values.shape, dtype=str(values.dtype), load=lambda: values)


def read_parquet(path: Path) -> dict[str, Entry]:
    """Return the columns by their names. Raises MissingExtraError without pyarrow."""
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise MissingExtraError(
            "reading Parquet needs pyarrow", remedy="pip install 'nccli[parquet]'"
        ) from None
    try:
        file = parquet.ParquetFile(path)
        rows, schema = file.metadata.num_rows, file.schema_arrow
    except (ArrowException, OSError) as error:
        raise FormatError(f"no sound Parquet file ({str(error).splitlines()[0]})") from None

    def load(name: str) -> NDArray[Any]:
        try:
            found = parquet.read_table(path, columns=[name], memory_map=True).column(0)
            values: NDArray[Any] = found.to_numpy()
        except (ArrowException, OSError) as error:
            raise FormatError(f"column '{name}' cannot be read ({error})") from None
        if values.dtype == object:
            if not all(isinstance(value, str) for value in values.tolist()):
                raise FormatError(f"column '{name}' holds neither numbers nor text")
            return values.astype(str)
        return values

    return {
        field.name: Entry(shape=(rows,), dtype=str(field.type), load=partial(load, field.name))
        for field in schema
    }
