"""The README's examples work when pasted."""

import re
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_every_python_example_runs(in_tmp):
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.S)
    assert len(blocks) >= 2
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
