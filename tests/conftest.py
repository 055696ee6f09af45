import matplotlib
import pytest

matplotlib.use("Agg")


@pytest.fixture
def in_tmp(tmp_path, monkeypatch):
    """Run in an empty folder, so that runs/ is its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
