"""The page in a real browser: quiet, complete without scripts, readable at any width and in the dark, harmless whatever names it shows."""

import re

import pytest
from browser import find_violations, luminance, mode, opened
from browser_scenes import ATTACK, FULL


@pytest.mark.parametrize("name", ["empty", "quick", "known"])
def test_the_page_is_quiet_and_nothing_leaves_it(use, name):
    assert use(name).title().startswith("State-space")  # the fixture looks at console, requests, errors and dialogs


def test_without_scripts_every_picture_and_table_is_there(use):
    page = use(script=False)
    assert not page.locator("#compare-tool").is_visible()
    images = page.locator("#compare img")
    assert images.count() == 13
    assert all(images.nth(index).is_visible() for index in range(images.count()))
    assert page.locator("#vmambair-4 table").first.is_visible()
    assert "PSNR-Y" in page.locator("#compare figure.strip").first.inner_text()


def test_on_paper_the_grid_stands_for_the_tool(use):
    page = use()
    assert not page.locator("#compare img").first.is_visible()
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#compare img").first.is_visible()
    assert not page.locator("#compare-tool").is_visible()


@pytest.mark.parametrize("name", ["empty", "quick", "attack", "committed"])
@pytest.mark.parametrize("width", [390, 820])
def test_nothing_is_wider_than_the_window(use, name, width):
    page = use(name, width=width)
    for kind in ("side", "slider", "error") if name in ("quick", "attack") else ("",):
        if kind:
            mode(page, kind)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


CONTRAST = """() => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const parse = (text) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = text;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const found = {};
    for (const one of document.querySelectorAll("body *")) {
        const own = [...one.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
        if (!own || one.disabled || !one.checkVisibility() || one.closest("svg, option, script")) continue;
        let back = one;
        while (back.parentElement && parse(getComputedStyle(back).backgroundColor)[3] === 0) back = back.parentElement;
        const pair = [getComputedStyle(one).color, getComputedStyle(back).backgroundColor];
        found[pair.join(" on ")] = [...pair.map(parse), `${one.tagName} ${one.className} ${one.textContent.slice(0, 40)}`];
    }
    return Object.values(found);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(use, scheme):
    page = use(scheme=scheme)
    body = page.evaluate("getComputedStyle(document.body).backgroundColor")
    back = [int(part) for part in re.findall(r"\d+", body)[:3]]
    assert (luminance(back) < 0.1) == (scheme == "dark")
    pairs = page.evaluate(CONTRAST)
    assert len(pairs) > 5
    for colour, ground, where in pairs:
        low, high = sorted((luminance(colour), luminance(ground)))
        assert (high + 0.05) / (low + 0.05) >= 4.5, (where, colour, ground)


def test_markup_in_names_stays_text(use):
    page = use("attack")
    page.click("#compare-all")
    assert page.locator(f'#compare-stage canvas[aria-label*="{ATTACK}astronaut"]').count() == 4
    for kind in ("slider", "error", "side"):
        mode(page, kind)
    page.select_option("#compare-by", ATTACK)
    page.select_option("#compare-against", FULL)
    assert ATTACK in page.inner_text("#compare-worst")
    assert ATTACK in page.inner_text("#compare-methods")
    assert page.evaluate("document.scripts.length") == 1
    assert page.locator("#compare-tool img").count() == 0


@pytest.mark.parametrize(("name", "scheme"), [("empty", "dark"), ("quick", "light")])
def test_axe_finds_nothing(use, name, scheme):
    assert find_violations(use(name, scheme=scheme)) == []


def test_axe_finds_nothing_on_the_page_of_scans(chromium, pages):
    with opened(chromium, pages("judged").with_name("scan.html")) as seen:
        assert find_violations(seen.page) == []
    seen.clean()
