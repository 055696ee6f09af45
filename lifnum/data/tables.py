"""Labelled tables of numbers from a user's CSV file."""

import csv
import math
from array import array
from pathlib import Path

import numpy as np

from lifnum.data.files import numbered
from lifnum.errors import DataError

PARTS = ("train", "test")

_TEST_SHARE = 0.2  # of a table that does not say what is for training and what for test


def is_table(path):
    """Whether a path is that of a table, by its ending."""
    return Path(path).suffix.lower() == ".csv"


def load_table(path, label_column=None):
    """Labelled values from 0 to 1, of the rows of a CSV file.

    A first row that has anything but numbers names the columns; without one they are 1, 2, ...
    A column ``part`` of the words train and test says what each row is for; without one a fifth
    of the rows, drawn once and for all, is for test. Every other column is a value, scaled so
    that the rows for training reach from 0 to 1; what lies beyond in the rows for test counts as
    0 or 1, a column that never changes as 0.

    Parameters
    ----------
    path : path
    label_column : str, optional
        Name of the column of labels, integers as in `load_file`; ``label`` where there is one, else
        the last, by default.

    Returns
    -------
    Dataset
        Of values, float64 (n, n_columns): not encoded yet.

    Raises
    ------
    DataError
        A file that can not be read; a cell that is missing or no finite number, by its line and
        column; no such column of labels; rows for training or test that are none.
    """
    path = Path(path)
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            table = _Table(path, csv.reader(stream, strict=True), label_column)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: is no CSV file that can be read ({error})") from None
    values, labels, test = 0.5 * table.values(), table.labels(), table.test()
    low = values[~test].min(axis=0)  # of halves: the extent does not overflow
    extent = values[~test].max(axis=0) - low
    with np.errstate(over="ignore"):
        scaled = (values - low) / np.where(extent > 0, extent, np.inf)
    scaled = np.clip(scaled, 0.0, 1.0)
    parts = scaled[~test], labels[~test], scaled[test], labels[test]
    return numbered(path, *parts)


class _Table:
    """The rows of a CSV file, read and checked."""

    def __init__(self, path, reader, label_column):
        self.path, self.numbers, self.parts = path, array("d"), []
        stripped = ((reader.line_num, [cell.strip() for cell in row]) for row in reader)
        rows = ((line, row) for line, row in stripped if row not in ([], [""]))  # empty lines
        first = next(rows, None)
        if first is None:
            raise DataError(f"{path}: has no rows")
        named = not all(map(_is_number, first[1]))
        self.names = first[1] if named else [str(k + 1) for k in range(len(first[1]))]
        if len(set(self.names)) < len(self.names):
            raise DataError(f"{path}: two columns have the same name in {', '.join(self.names)}")
        self.part = self.names.index("part") if "part" in self.names else None
        self.label = self._label(label_column)
        if not named:
            self._add(*first)
        for line, row in rows:
            self._add(line, row)

    def _label(self, name):
        if name is None:
            others = [one for one in self.names if one != "part"]
            name = "label" if "label" in others else others[-1] if others else None
        if name not in self.names:
            names = ", ".join(self.names[:10]) + (", ..." if len(self.names) > 10 else "")
            raise DataError(f"{self.path}: label_column is {name!r}; accepted: {names}")
        if self.names.index(name) == self.part:
            raise DataError(f"{self.path}: label_column is {name!r}; accepted: another than part")
        return self.names.index(name)

    def _add(self, line, row):
        if len(row) != len(self.names):
            raise DataError(
                f"{self.path}: line {line} has {len(row)} cells; accepted: {len(self.names)}"
            )
        for column, cell in enumerate(row):
            if column == self.part:
                if cell not in PARTS:
                    self._refuse(line, column, cell, " or ".join(PARTS))
                self.parts.append(cell)
                continue
            try:
                number = math.nan if "_" in cell else float(cell)  # which takes 1_000
            except ValueError:
                number = math.nan
            if not math.isfinite(number):
                self._refuse(line, column, cell, "a finite number")
            if column == self.label and not (number.is_integer() and abs(number) < 2**53):
                self._refuse(line, column, cell, "a label, an integer")
            self.numbers.append(number)

    def _refuse(self, line, column, cell, accepted):
        said = f"is {cell[:40]!r}" if cell else "is missing"
        raise DataError(
            f"{self.path}: line {line}, column {self.names[column]!r} {said}; accepted: {accepted}"
        )

    def _columns(self):
        width = len(self.names) - (self.part is not None)
        return np.frombuffer(self.numbers, np.float64).reshape(-1, width)

    def _place(self):
        """Of the labels, among the columns of numbers."""
        return self.label - (self.part is not None and self.part < self.label)

    def values(self):
        values = np.delete(self._columns(), self._place(), axis=1)
        if values.shape[1] == 0:
            raise DataError(f"{self.path}: has no column of values beside its labels")
        return values

    def labels(self):
        return self._columns()[:, self._place()].astype(np.int64)

    def test(self):
        """Which rows are for test, bool (n,)."""
        n = len(self._columns())
        if self.part is None:
            test = np.zeros(n, bool)
            test[np.random.default_rng(0).permutation(n)[: round(_TEST_SHARE * n)]] = True
        else:
            test = np.array(self.parts) == "test"
        for part, count in zip(PARTS, (n - test.sum(), test.sum())):
            if count == 0:
                raise DataError(f"{self.path}: has no rows for {part}; accepted: at least 1")
        return test


def _is_number(cell):
    try:
        float(cell)
    except ValueError:
        return False
    return True
