"""Files and data frames to columns as they were found, before anything is made of them."""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maas.data._cells import Cells, as_objects, dates_of, plain_column
from maas.errors import DataError, show
from maas.schema import label_text

GZIP = b"\x1f\x8b"
NULLS = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "null", "NULL", "None")
_DATE = re.compile(
    r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4})([ T].*)?|\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?"
)


def read_source(source: Any, *, missing: Sequence[str], delimiter: str | None, encoding: str) -> dict[str, Cells]:
    """Every column of a table by name.

    Raises:
        DataError: the source is no table, or cannot be read.
    """
    if isinstance(missing, str):
        raise DataError(f"`missing` is a list of spellings, got {show(missing)}; write missing=[{missing!r}]")
    if isinstance(source, (str, Path)) and Path(source).suffix.lower() not in (".parquet", ".pq"):
        return _read_csv(Path(source), missing, delimiter, encoding)
    import narwhals as nw

    try:
        native = _read_parquet(Path(source)) if isinstance(source, (str, Path)) else source
        frame = nw.from_native(native, eager_only=True)
    except TypeError as error:
        raise DataError(f"a table is a path or a data frame, got {type(source).__name__}") from error
    except nw.exceptions.DuplicateError as error:
        raise DataError("column names must differ: " + " ".join(str(error).split())) from error
    _check_header([str(series.name) for series in frame.iter_columns()])
    if not len(frame):
        raise DataError("the table has a header and no rows")
    return {str(series.name): _frame_column(str(series.name), series) for series in frame.iter_columns()}


def origin_of(source: Any, otherwise: str | None = None) -> str:
    """Where rows came from, for people: a path as it is; else `otherwise`, or by default whose frame it is."""
    if isinstance(source, (str, Path)):
        return str(source)
    return otherwise or f"a {type(source).__module__.split('.')[0]} frame"


def read_text(path: Path, encoding: str) -> str:
    """The text of a file, plain or gzip, without a byte order mark, and with "\\n" for "\\r\\n".

    Raises:
        DataError: it is missing, damaged, or not text in this encoding.
    """
    try:
        data = path.read_bytes()
        if data.startswith(GZIP):
            data = gzip.decompress(data)
        return data.decode(encoding).removeprefix("\ufeff").replace("\r\n", "\n")
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}") from error
    except (UnicodeError, LookupError) as error:
        raise not_text(path, encoding) from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _read_csv(path: Path, missing: Sequence[str], delimiter: str | None, encoding: str) -> dict[str, Cells]:
    import pyarrow
    import pyarrow.csv

    check_file(path)
    with open(path, "rb") as file:
        if file.read(2) in (b"\xff\xfe", b"\xfe\xff") and "16" not in encoding:
            raise not_text(path, encoding)
    mark = delimiter or ("\t" if path.suffix.lower() == ".tsv" else ",")
    if len(mark) != 1:
        raise DataError(f"`delimiter` must be one character, got {show(mark)}")
    parse = pyarrow.csv.ParseOptions(delimiter=mark, newlines_in_values=True)
    read = pyarrow.csv.ReadOptions(encoding=encoding, block_size=_block_bytes(path))
    try:
        # The header first, so that every column can then be read as the text it is.
        with pyarrow.csv.open_csv(path, read_options=read, parse_options=parse) as reader:
            names = list(reader.schema.names)
        _check_header(names)
        table = pyarrow.csv.read_csv(
            path,
            read_options=read,
            parse_options=parse,
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pyarrow.string()),
                null_values=[*NULLS, *missing],
                strings_can_be_null=True,
            ),
        )
    except UnicodeError as error:
        raise not_text(path, encoding) from error
    except (pyarrow.ArrowInvalid, pyarrow.ArrowKeyError, LookupError) as error:
        if "invalid UTF8" in str(error):
            raise not_text(path, encoding) from error
        if str(error).startswith("Empty CSV file"):
            raise DataError(f"{path}: the table has a header and no rows") from error
        raise DataError(f"{path} cannot be read as a table: {str(error).splitlines()[0][:200]}") from error
    if not table.num_rows:
        raise DataError(f"{path}: the table has a header and no rows")
    if len(names) == 1 and any(one in names[0] for one in ";\t|"):
        one = next(one for one in ";\t|" if one in names[0])
        raise DataError(f"{path} has one column {show(names[0])}; was `delimiter={one!r}` meant?")
    return {name: _text_column(table.column(name)) for name in names}


def _block_bytes(path: Path) -> int:
    """How much pyarrow is to read at a time: at least a few rows, and a row of a wide table is long."""
    with open(path, "rb") as file:
        start = file.read(2)
        if start in (b"\xff\xfe", b"\xfe\xff"):
            return 1 << 24
        return min(max(1 << 20, 16 * len(file.readline(1 << 26))), 1 << 30)


def _text_column(column: Any) -> Cells:
    """A column of a CSV: a number, a boolean or a date where every cell is one."""
    import pyarrow
    import pyarrow.compute

    present = column.drop_null()
    if not len(present):
        return Cells("empty", as_objects([None] * len(column)), column.to_pylist)
    if set(pyarrow.compute.utf8_lower(pyarrow.compute.unique(present)).to_pylist()) <= {"true", "false"}:
        truths = as_objects(None if one is None else one.lower() == "true" for one in column.to_pylist())
        return Cells("boolean", truths, column.to_pylist)
    try:
        numbers = pyarrow.compute.cast(pyarrow.compute.utf8_trim_whitespace(column), pyarrow.float64())
        return Cells("number", np.asarray(numbers.to_numpy(), np.float64), column.to_pylist)
    except pyarrow.ArrowInvalid:
        pass
    labels = as_objects(column.to_pylist())
    if sum(_DATE.fullmatch(one) is not None for one in present.to_pylist()) > len(present) // 2:
        return Cells("date", dates_of(labels), column.to_pylist)
    return Cells("text", labels, column.to_pylist)


def _frame_column(name: str, series: Any) -> Cells:
    import narwhals as nw

    dtype = series.dtype
    if dtype.is_numeric():
        numbers = np.asarray(series.cast(nw.Float64).to_numpy(), np.float64)

        def number_texts() -> Iterable[str | None]:
            exact = series.to_list() if dtype.is_integer() else numbers.tolist()
            return (None if gap else label_text(one) for gap, one in zip(np.isnan(numbers), exact, strict=True))

        return Cells("empty" if np.isnan(numbers).all() else "number", numbers, number_texts)
    gaps = series.is_null().to_list()
    cells = [None if gap else cell for gap, cell in zip(gaps, series.to_list(), strict=True)]
    cells = [None if isinstance(cell, float) and math.isnan(cell) else cell for cell in cells]
    categorical = dtype in (nw.Categorical, nw.Enum) or isinstance(dtype, (nw.Categorical, nw.Enum))
    return plain_column(name, cells, categorical=categorical)


def _read_parquet(path: Path) -> Any:
    import pyarrow
    import pyarrow.parquet

    check_file(path)
    try:
        return pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise DataError(f"{path} cannot be read as a table: {str(error).splitlines()[0][:200]}") from error


def check_file(path: Path) -> None:
    """Raise DataError where there is no file, or nothing in it."""
    if not path.exists():
        raise DataError(f"there is no file {path}")
    if path.is_dir():
        raise DataError(f"{path} is a folder; give one file")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty")


def _check_header(names: Sequence[str]) -> None:
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"column names must differ, got {', '.join(map(show, repeated))} more than once")
    if not all(name.strip() for name in names):
        raise DataError("a column has no name; give every column of the header a name")
    if not names:
        raise DataError("the table is empty")


def not_text(path: Path, encoding: str) -> DataError:
    """What to raise for a file that is not text in its encoding."""
    return DataError(f"{path} is not text in {encoding}; say `encoding=`, such as 'latin-1', 'gb18030' or 'utf16'")
