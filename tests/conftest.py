import matplotlib
import pytest

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
