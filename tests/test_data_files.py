"""Files of spike trains whose arrays are of another type: one line that names the file."""

import numpy as np
import pytest
from helpers import user_arrays, write_user_file

from lifnum import errors, options, train
from lifnum.data import datasets, files

KINDS = {
    "strings": np.array(["0", "2", "1"]),
    "bytes": np.array([b"0", b"2", b"1"]),
    "void": np.array([0, 2, 1]).view("V8"),
    "struct": np.zeros(3, [("a", "i4")]),
    "complex": np.zeros(3, complex),
    "boolean": np.array([True, False, True]),
    "table": np.zeros((3, 1), np.int64),
    "scalar": np.array(3),
    "infinite": np.array([0.0, np.inf, 1.0]),
    "NaN": np.array([0.0, np.nan, 1.0]),
    "float": np.array([0.0, 2.0, 1.0]),
}
DATES = np.array([0, 2, 1], "datetime64[s]"), np.array([0, 2, 1], "timedelta64[s]")
OF_HDF5 = [(name, one) for name, one in KINDS.items() if name not in ("strings", "scalar")]
OF_NPZ = [*KINDS.items(), ("date", DATES[0]), ("duration", DATES[1])]


@pytest.mark.parametrize("key", ["times", "indices", "offsets", "labels"])
@pytest.mark.parametrize(
    ("ending", "wrong"),
    [("npz", one) for _, one in OF_NPZ] + [("h5", one) for name, one in OF_HDF5],
    ids=[f"npz-{name}" for name, _ in OF_NPZ] + [f"h5-{name}" for name, _ in OF_HDF5],
)
def test_an_array_of_another_type_is_refused_by_file_and_name(ending, wrong, key, tmp_path):
    arrays = user_arrays() | {("test", key): wrong}
    path = write_user_file(tmp_path / f"mine.{ending}", arrays)
    for load in (datasets.load, files.load_spikes):
        if key == "times" and wrong.dtype.kind == "f" and np.isfinite(wrong).all():
            wrong[:] = -1.0  # floats are what times are
            write_user_file(path, arrays)
        with pytest.raises(errors.DataError) as refused:
            load(str(path))
        message = str(refused.value)
        assert message.startswith(f"{path}: test") and "\n" not in message
        assert key in message and "; accepted: " in message


def test_the_command_line_gives_one_line_and_exit_code_2(in_tmp, refusal):
    for name in ("strings", "infinite", "struct"):
        arrays = user_arrays() | {("train", "indices"): KINDS[name]}
        path = write_user_file(in_tmp / f"{name}.npz", arrays)
        line = refusal(options.run, "lifnum.train", train.main,
                       ["--dataset", str(path), "--preset", "digits"])  # fmt: skip
        assert f"{name}.npz: train" in line and "indices" in line and "; accepted: " in line


def test_numbers_of_other_widths_and_orders_of_bytes_are_read_as_they_are(tmp_path):
    plain = user_arrays()
    other = {}
    for (part, key), array in plain.items():
        other[part, key] = array.astype(">f8" if key == "times" else ">u4")
    for ending in ("npz", "h5"):
        one, two = (
            datasets.load(str(write_user_file(tmp_path / f"{name}.{ending}", arrays)))
            for name, arrays in (("plain", plain), ("other", other))
        )
        assert one.train == two.train and one.test == two.test
        np.testing.assert_array_equal(one.test_labels, two.test_labels)
