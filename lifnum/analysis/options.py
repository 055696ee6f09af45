"""What the options of these programs have in common: argparse types."""

import argparse
import os
from pathlib import Path


def output(*endings):
    """A file to write, whose name has one of these endings; none given: any. "" is no ending."""
    named = " or ".join(filter(None, endings))
    accepted = f"accepted: a file name{' that ends in ' * bool(named)}{named}"

    def parse(text):
        path = Path(text)
        if path.is_dir() or not path.name or text.endswith(os.sep):
            raise argparse.ArgumentTypeError(f"{text} is a folder; {accepted}")
        if endings and path.suffix not in endings:
            raise argparse.ArgumentTypeError(f"{text}; {accepted}")
        above = next(parent for parent in path.absolute().parents if parent.exists())
        if not above.is_dir():
            raise argparse.ArgumentTypeError(f"{text}: {above} is no folder; {accepted} in one")
        return path

    return parse


def percent(text):
    """A share in percent."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= 100:
        raise argparse.ArgumentTypeError(f"{text} is not > 0 and <= 100")
    return value
