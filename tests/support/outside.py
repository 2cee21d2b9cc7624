"""The design from outside of docs/outside.md, as it stands there or with changes."""

import re

from suite.core.paths import ROOT

PAGE = (ROOT / "docs" / "outside.md").read_text(encoding="utf-8")
SOURCE, PRINTED = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[:2]  # the design, and what its author prints of it


def write(folder, *changes, name="mine.py"):
    """Write the example with each pair of texts exchanged; return its path."""
    text = SOURCE
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
