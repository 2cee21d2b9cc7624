"""Pictures of the report, in a Chromium.

`python tests/support/screenshots.py DIR` writes the report of invented records, wide and narrow, light and dark.
`python tests/support/screenshots.py --readme PAGE` writes the README's pictures, docs/page-light.png and docs/page-dark.png: the first
screen of PAGE.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

import browser  # noqa: E402 - the paths come first
from browser_scenes import SCENES  # noqa: E402

from suite.report import report  # noqa: E402

SCHEMES = ("light", "dark")
FIRST_SCREEN = {"x": 0, "y": 0, "width": 1280, "height": 1000}  # pixels


def shots(folder):
    """Writes the page and its pictures into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = report.write_report(SCENES["judged"](), folder)
    with browser.started() as chromium:
        for width in (1440, 390):
            for scheme in SCHEMES:
                with browser.opened(chromium, path.resolve(), width=width, scheme=scheme) as seen:
                    seen.page.screenshot(path=folder / f"page-{width}-{scheme}.png", full_page=True)
                    for mode in ("side", "slider", "error"):
                        seen.page.check(f'input[value="{mode}"]')
                        seen.page.locator("#compare").screenshot(path=folder / f"compare-{mode}-{width}-{scheme}.png")


def first_screen(page):
    """Writes the README's pictures of a page."""
    with browser.started() as chromium:
        for scheme in SCHEMES:
            with browser.opened(chromium, page.resolve(), width=FIRST_SCREEN["width"], scheme=scheme) as seen:
                seen.page.screenshot(path=ROOT / "docs" / f"page-{scheme}.png", clip=FIRST_SCREEN, full_page=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--readme", name]:
            first_screen(Path(name))
        case [name] if not name.startswith("-"):
            shots(Path(name))
        case _:
            sys.exit(__doc__)
