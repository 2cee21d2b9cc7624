"""What every page of the report has in common: templates with autoescape, inlined assets with their digests, writing in one step."""

from __future__ import annotations

import base64
import hashlib
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

from suite.core.files import remove_left, write_whole
from suite.core.paths import shipped_folder

STYLE_SHEETS = ("report.css", "overview.css", "compare.css")  # of reports/assets, in the order in which they are joined
SCRIPTS = ("tools.js", "report.js", "budget.js", "pictures.js", "gestures.js", "ranking.js", "compare.js")


def fill_template(template: str, filters: Mapping[str, Callable[..., str]], values: Mapping[str, object]) -> str:
    """Return the page that a template of reports/templates makes of `values`."""
    import jinja2
    from markupsafe import Markup

    folder = shipped_folder("reports")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters)
    style, script = ("".join((folder / "assets" / name).read_text(encoding="utf-8") for name in names) for names in (STYLE_SHEETS, SCRIPTS))
    assets = {
        "style": Markup(style),  # noqa: S704 - the project's own file, not data
        "script": Markup(script),  # noqa: S704 - likewise
        "style_digest": _digest(style),
        "script_digest": _digest(script),
    }
    return environment.get_template(template).render(**assets, **values)


def load_glossary() -> dict[str, str]:
    """Return the words that the suite uses in a sense of its own, and what they mean; code is in backticks."""
    text = (shipped_folder("reports") / "glossary.toml").read_text(encoding="utf-8")
    return {row["word"]: row["means"] for row in tomllib.loads(text)["words"]}


def write_page(path: Path, text: str) -> Path:
    """Write a page, replacing an older one in one step; what killed processes left half written beside it is removed.

    SuiteError where it cannot be written.
    """
    remove_left(path.parent)
    write_whole(path, text.encode("utf-8", "backslashreplace"), "Give it space or permission, or choose another folder for the report.")
    return path


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
