import matplotlib
import pytest
import studies

from lifnum.analysis.study import results

matplotlib.use("Agg")


@pytest.fixture
def in_tmp(tmp_path, monkeypatch):
    """Run in an empty folder, so that runs/ is its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def refusal(capsys):
    """A function that calls a program on bad input and returns its one line about that."""

    def refusal(call, *arguments):
        try:
            assert call(*arguments) == 2
        except SystemExit as error:  # argparse's own way out
            assert error.code == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    return refusal


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A small study on MNIST and thresholded MNIST: orders 1 and 5, two steps, two seeds."""
    return studies.write_study(tmp_path_factory.mktemp("study"), studies.SMALL_SEEDS, orders=(1, 5),
                               steps=studies.SMALL_STEPS, epochs=2, evaluations=2)  # fmt: skip


@pytest.fixture(scope="session")
def study(folder):
    return results.load(folder)


@pytest.fixture(scope="session")
def aggregate(study, tmp_path_factory):
    path = tmp_path_factory.mktemp("aggregate") / "results.h5"
    results.save(study, path)
    return path
