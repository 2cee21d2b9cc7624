"""A real browser for the tests of the page: Debian's Chromium (or $SUITE_CHROMIUM), driven by playwright; no other is downloaded."""

import contextlib
import os
import shutil
import time
from dataclasses import dataclass, field

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--no-sandbox",  # root has no user namespaces
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium():
    """Path of the browser, or None."""
    return os.environ.get("SUITE_CHROMIUM") or next((found for name in NAMES if (found := shutil.which(name))), None)


@contextlib.contextmanager
def started():
    """The browser, in a new profile that goes with it; the test is skipped where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: it drives the browser")
    path = chromium()
    if path is None:
        pytest.skip("no Chromium is found (apt-get install chromium, or set SUITE_CHROMIUM)")
    with api.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@dataclass
class Seen:
    """An open page, with what the browser told of it."""

    page: object
    requests: list = field(default_factory=list)
    console: list = field(default_factory=list)
    errors: list = field(default_factory=list)
    dialogs: list = field(default_factory=list)

    def clean(self):
        """Nothing was asked for but the file itself, nothing failed, nothing popped up."""
        outside = [url for url in self.requests if not url.startswith(("data:image/png;base64,", "file:"))]
        files = [url for url in self.requests if url.startswith("file:")]
        assert not outside
        assert len({url.partition("#")[0] for url in files}) == 1
        assert (self.console, self.errors, self.dialogs) == ([], [], [])


@contextlib.contextmanager
def opened(browser, path, *, width=1440, height=1000, scheme="light", script=True, fragment=""):
    """The file in a window of its own; every request, console line, error and dialog is kept."""
    looks = {"viewport": {"width": width, "height": height}, "color_scheme": scheme, "reduced_motion": "reduce"}
    window = browser.new_context(java_script_enabled=script, **looks)
    try:
        page = window.new_page()
        page.set_default_timeout(60_000)
        seen = Seen(page)
        page.on("request", lambda request: seen.requests.append(request.url))
        page.on("console", lambda line: seen.console.append(f"{line.type}: {line.text}"))
        page.on("pageerror", lambda error: seen.errors.append(str(error)))
        page.on("dialog", lambda dialog: (seen.dialogs.append(dialog.message), dialog.dismiss()))
        page.goto(path.as_uri() + fragment)
        if script and page.query_selector("#compare"):
            page.wait_for_selector("#compare-stage .view")
        yield seen
    finally:
        window.close()


def until(page, expression, seconds=10.0):
    """Waits until the JavaScript expression is true; playwright's own way evaluates a string, which the page's policy forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"{expression} did not come true in {seconds:.0f} s"
        page.wait_for_timeout(20)


def find_violations(page):
    """What axe-core's rules (WCAG, and its best practices) find on the page; the test is skipped where it is not installed."""
    api = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    found = api.Axe().run(page).response["violations"]
    return [(one["impact"], one["id"], [node["html"] for node in one["nodes"]]) for one in found]


def mode(page, name):
    """Chooses how the pictures are compared."""
    page.check(f'input[name="compare-mode"][value="{name}"]')


def luminance(colour):
    """Relative luminance, 0 to 1, of an sRGB colour of 0 to 255, as WCAG defines it."""
    parts = [value / 255 for value in colour[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
