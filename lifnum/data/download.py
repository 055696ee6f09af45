"""Where published data sets lie on this machine, and how they get there."""

import os
from pathlib import Path

from lifnum.errors import DataError


def folder_of(name, data_dir=None):
    """Folder of a data set, below data_dir, LIFNUM_DATA or data/."""
    return Path(data_dir or os.environ.get("LIFNUM_DATA") or "data") / name


def fetch(name, folder, archives, sought, unpack=None):
    """Download files into a folder, trying their mirrors in turn; their content is checked.

    Parameters
    ----------
    name : str
        Of the data set.
    folder : Path
    archives : dict
        File name to (known hash as pooch takes it, URLs).
    sought : str
        What was not in the folder, for the error.
    unpack : callable, optional
        A processor of pooch.

    Raises
    ------
    DataError
        No mirror has one of them.
    """
    import pooch

    for file, (known_hash, urls) in archives.items():
        for url in urls:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                pooch.retrieve(
                    url,
                    known_hash=known_hash,
                    fname=file,
                    path=folder,
                    processor=unpack,
                    progressbar=True,
                    downloader=None,
                )
                break
            except (OSError, ValueError):  # no network, no such file, or another content
                continue
        else:
            raise DataError(
                f"{name}: sought {sought} in {folder}, and found no mirror "
                "to download them from; give the folder above it by data_dir or LIFNUM_DATA"
            )
