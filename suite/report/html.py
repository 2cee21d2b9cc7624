"""What every page of the report has in common: templates with autoescape, inlined assets with their digests, writing in one step."""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from suite.core.paths import project_folder

STYLES = ("report.css", "compare.css")  # of reports/assets, in the order in which they are joined
SCRIPTS = ("report.js", "pictures.js", "gestures.js", "ranking.js", "compare.js")


def page(template: str, filters: Mapping[str, Callable[..., str]], values: Mapping[str, object]) -> str:
    """The page that a template of reports/templates makes of `values`."""
    import jinja2
    from markupsafe import Markup

    folder = project_folder("reports")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters)
    style, script = ("".join((folder / "assets" / name).read_text(encoding="utf-8") for name in names) for names in (STYLES, SCRIPTS))
    assets = {
        "style": Markup(style),  # noqa: S704 - the project's own file, not data
        "script": Markup(script),  # noqa: S704 - likewise
        "style_digest": _digest(style),
        "script_digest": _digest(script),
    }
    return environment.get_template(template).render(**assets, **values)


def write(path: Path, text: str) -> Path:
    """Writes a page, replacing an older one in one step; what a killed process left half written beside it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.stem}-*-*{path.suffix}"):
        if _gone(left.name.split("-")[-2]):
            left.unlink(missing_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-{os.getpid()}-", suffix=path.suffix)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
    return path


def _gone(process: str) -> bool:
    """Whether no process has that number; False where that cannot be asked without harm."""
    if os.name != "posix" or not process.isdecimal():
        return False
    try:
        os.kill(int(process), 0)  # asks, and sends nothing
    except ProcessLookupError:
        return True
    except OSError:  # another user's
        return False
    return False


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
