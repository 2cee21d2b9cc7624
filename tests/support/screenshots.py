"""`python tests/support/screenshots.py DIR` writes pictures of the report made of invented records: wide and narrow, light and dark."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

import browser  # noqa: E402 - the paths come first
from browser_scenes import SCENES  # noqa: E402

from suite.report import report  # noqa: E402


def shots(folder):
    """Writes the page and its pictures into `folder`."""
    path = report.write_report(SCENES["judged"](), folder)
    with browser.started() as chromium:
        for width in (1440, 390):
            for scheme in ("light", "dark"):
                with browser.opened(chromium, path.resolve(), width=width, scheme=scheme) as seen:
                    seen.page.screenshot(path=folder / f"page-{width}-{scheme}.png", full_page=True)
                    for mode in ("side", "slider", "error"):
                        seen.page.check(f'input[value="{mode}"]')
                        seen.page.locator("#compare").screenshot(path=folder / f"compare-{mode}-{width}-{scheme}.png")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    shots(target)
