"""The comparison of pictures used in a real browser as a reader would: by mouse, touch and keyboard, and by its links."""

import itertools
import re

import pytest
import synthetic_records as made
from browser import luminance, mode, until
from browser_scenes import V1, V2
from worst_images import worst

from suite.report import pictures
from suite.report.tables.build import build_tables
from suite.study import published


def canvases(page):
    return page.locator("#compare-stage canvas")


def columns(page):
    """How many columns of its picture each canvas shows, counted by the changes along its top row."""
    return page.evaluate("""() => [...document.querySelectorAll("#compare-stage canvas")].map((canvas) => {
        const copy = new OffscreenCanvas(canvas.width, 1).getContext("2d", { willReadFrequently: true });
        copy.drawImage(canvas, 0, 0);
        const row = copy.getImageData(0, 0, canvas.width, 1).data;
        let count = 1;
        for (let at = 4; at < row.length; at += 4) count += [0, 1, 2].some((channel) => row[at + channel] !== row[at + channel - 4]);
        return count;
    })""")


def pixel(page, selector, across, down):
    code = """(canvas, [across, down]) => {
        const copy = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
        copy.drawImage(canvas, -Math.floor(across * canvas.width), -Math.floor(down * canvas.height));
        return [...copy.getImageData(0, 0, 1, 1).data].slice(0, 3);
    }"""
    return page.locator(selector).evaluate(code, [across, down])


def clip(page):
    return page.locator("#compare-stage canvas.over").evaluate("canvas => canvas.style.clipPath")


def drag(page, start, end):
    """With the mouse, between two places of the first picture, as fractions."""
    box = page.locator("#compare-stage .view").first.bounding_box()
    places = [(box["x"] + across * box["width"], box["y"] + down * box["height"]) for across, down in (start, end)]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=4)
    page.mouse.up()


def labels_of(page):
    return page.locator("#compare-stage canvas").evaluate_all("all => all.map((canvas) => canvas.ariaLabel)")


def test_it_begins_with_the_pair_that_differs_most_and_the_target(use):
    page = use()
    records = made.quick_grid(2)
    first = pictures.compare_pictures(records, build_tables(published.load_all(), records)).sets[0]
    spread = {}
    for image in (one for one in first.images if one.embedded):
        values = {
            tile.values[0]: method.label for tile, method in zip(image.tiles, first.methods, strict=True) if tile.values[0] is not None
        }
        spread[image.name] = (max(values) - min(values), {values[max(values)], values[min(values)]})
    name = max(spread, key=lambda image: spread[image][0])
    labels = [f"{name}, {method.label}" for method in first.methods if method.label in spread[name][1]]
    assert labels_of(page) == [*labels, f"{name}, target"]
    page.click("#compare-all")
    page.click("#compare-after")
    until(page, f"document.querySelector('#compare-image').value !== {name!r}")
    assert canvases(page).count() == 7
    page.click("#compare-pair")
    until(page, "document.querySelectorAll('#compare-stage canvas').length === 3")
    assert labels_of(page) == [*labels, f"{name}, target"]
    mode(page, "slider")
    assert {page.input_value("#compare-left"), page.input_value("#compare-right")} == {
        method.key for method in first.methods if method.label in spread[name][1]
    }


def test_the_whole_image_is_shown_with_the_detail_s_frame(use):
    page = use()
    code = """() => [...document.querySelectorAll("#compare-where rect.part, #compare-where rect.seen")]
        .map((one) => ["x", "y", "width", "height"].map((name) => Number(one.getAttribute(name))))"""
    assert page.evaluate(code) == [[100, 60, 24, 24]]
    for name, value in (("x", 6), ("w", 12), ("h", 6)):
        page.fill(f"#compare-{name}", str(value))
        page.press(f"#compare-{name}", "Tab")
    assert page.evaluate(code) == [[100, 60, 24, 24], [106, 60, 12, 6]]
    assert "160×120 pixels" in page.inner_text("#compare-where")
    shown = page.evaluate("document.querySelector('#compare-where use').getBoundingClientRect().toJSON()")
    assert shown["width"] / shown["height"] == pytest.approx(4 / 3, abs=0.02)


def test_what_kept_no_whole_image_shows_none(use):
    assert not use("known").is_visible("#compare-where")


def test_side_by_side_shows_what_is_ticked(use):
    page = use()
    page.click("#compare-all")
    assert canvases(page).count() == 7
    page.uncheck(f'#compare-methods input[value="{V1}"]')
    labels = [canvases(page).nth(index).get_attribute("aria-label") for index in range(canvases(page).count())]
    assert labels == [f"astronaut, {label}" for label in ("input", "VmambaIR (Ours)", *(f"VmambaIR-V{n}" for n in (2, 3, 4)), "target")]
    page.select_option("#compare-image", "chelsea")
    page.wait_for_selector('canvas[aria-label="chelsea, input"]')
    page.select_option("#compare-set", index=1)
    until(page, "document.querySelectorAll('#compare-stage canvas').length === 3")
    page.click("#compare-all")
    until(page, "document.querySelectorAll('#compare-stage canvas').length === 8")


def test_pictures_zoom_and_move_in_step(use):
    page = use()
    page.click("#compare-all")
    assert columns(page) == [24] * 7
    page.click("#compare-in")
    after = columns(page)
    assert set(after) <= {16, 17}
    assert len(set(after)) == 1
    assert page.inner_text("#compare-zoom") == "×1.5"
    left = page.evaluate("new URLSearchParams(document.querySelector('#compare-link').hash.slice(9)).get('x')")
    drag(page, (0.5, 0.5), (0.9, 0.5))  # to the left of the picture
    assert pixel(page, "canvas[aria-label='astronaut, input']", 0, 0)[0] == 0
    assert float(left) == 4
    box = page.locator("#compare-stage .view").nth(3).bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    top = page.evaluate("scrollY")
    page.mouse.wheel(0, -100)  # the pictures have the focus by the drag
    until(page, "document.querySelector('#compare-zoom').textContent === '×1.8'")
    assert page.evaluate("scrollY") == top
    page.click("#compare-whole")
    assert columns(page) == [24] * 7


def test_the_wheel_scrolls_the_page_until_the_pictures_have_the_focus(use):
    page = use()
    page.locator("#compare-stage").scroll_into_view_if_needed()
    box = page.locator("#compare-stage .view").first.bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    top = page.evaluate("scrollY")
    page.mouse.wheel(0, -200)
    until(page, f"scrollY < {top}")
    assert page.inner_text("#compare-zoom") == "×1"


def test_pictures_are_painted_in_squares(use):
    page = use("known")
    page.fill("#compare-w", "4")
    page.press("#compare-w", "Tab")
    page.fill("#compare-h", "4")
    page.press("#compare-h", "Tab")
    assert pixel(page, "canvas[aria-label='astronaut, target']", 0.1, 0.2) == [0, 0, 0]
    assert pixel(page, "canvas[aria-label='astronaut, target']", 0.9, 0.3) == [5, 5, 5]


def test_the_slider_moves_by_keyboard_mouse_and_touch(use):
    page = use()
    mode(page, "slider")
    page.select_option("#compare-left", "target")
    assert clip(page) == "inset(0px 0px 0px 50%)"
    boxes = page.locator("#compare-stage canvas").evaluate_all("all => all.map((one) => JSON.stringify(one.getBoundingClientRect()))")
    assert len(boxes) == 2
    assert len(set(boxes)) == 1  # the one lies over the other
    page.focus("#compare-split")
    page.keyboard.press("ArrowRight")
    assert clip(page) == "inset(0px 0px 0px 50.5%)"
    page.keyboard.press("Home")
    assert clip(page) == "inset(0px 0px 0px 0%)"
    drag(page, (0.3, 0.5), (0.75, 0.5))
    assert 74 < float(page.input_value("#compare-split")) < 76
    assert re.fullmatch(r"inset\(0px 0px 0px 7[45][\d.]*%\)", clip(page))
    page.focus("#compare-stage")
    page.keyboard.press("ArrowLeft")
    assert 72 < float(page.input_value("#compare-split")) < 74
    box = page.locator("#compare-stage .view").bounding_box()
    touch = page.context.new_cdp_session(page)
    for kind, across in (("touchStart", 0.7), ("touchMove", 0.4), ("touchMove", 0.2), ("touchEnd", None)):
        points = [] if across is None else [{"x": box["x"] + across * box["width"], "y": box["y"] + box["height"] / 2}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    until(page, "Math.abs(document.querySelector('#compare-split').value - 20) < 1")
    assert page.locator(".divider").evaluate("element => element.style.left").startswith("20")


def test_the_error_map_is_dark_where_equal_and_tells_the_error(use):
    page = use("known")
    page.click("#compare-all")
    mode(page, "error")
    same, off = (f"canvas[aria-label='astronaut, {label}, error map']" for label in ("input", "VmambaIR (Ours)"))
    dark = pixel(page, "#compare-legend", 0, 0)
    assert pixel(page, same, 0.9, 0.5) == pixel(page, off, 0.1, 0.5) == dark
    assert pixel(page, off, 0.9, 0.5) == pixel(page, "#compare-legend", 100.5 / 256, 0)  # 20 levels, times 5
    captions = page.locator("#compare-stage figcaption").all_inner_texts()
    assert "mean error 0.00; PSNR-RGB infinite" in captions[0]
    assert "mean error 10.00; PSNR-RGB 25.12 dB" in captions[1]  # 10 log10(255² / 200)
    page.focus("#compare-scale")
    page.keyboard.press("End")
    assert page.inner_text("#compare-top") == "12.8 of 255"
    assert pixel(page, off, 0.9, 0.5) == pixel(page, "#compare-legend", 255.5 / 256, 0)
    assert pixel(page, off, 0.1, 0.5) == dark
    assert page.get_by_text("This browser cannot decode the picture.").count() == 1
    assert "no map: there is no target of its size" in captions[3]


def test_the_colour_scale_is_in_order_in_grey(use):
    page = use("known")
    scale = page.locator("#compare-legend").evaluate("c => [...c.getContext('2d').getImageData(0, 0, 256, 1).data]")
    grey = [luminance(scale[at : at + 3]) for at in range(0, len(scale), 4)]
    assert all(one < other for one, other in itertools.pairwise(grey))
    assert grey[-1] > 0.85
    assert grey[0] < 0.02


def test_a_region_chosen_by_dragging_is_shown_by_every_method(use):
    page = use()
    page.click("#compare-all")
    page.click("#compare-drag")
    drag(page, (0.26, 0.26), (0.74, 0.49))
    assert [page.input_value(f"#compare-{name}") for name in "xywh"] == ["6", "6", "12", "6"]
    assert columns(page) == [12] * 7
    assert page.get_attribute("#compare-drag", "aria-pressed") == "false"
    box = page.locator("#compare-stage .view").first.bounding_box()
    assert box["width"] / box["height"] == pytest.approx(2, abs=0.02)
    page.click("#compare-drag")
    drag(page, (0.5, 0.5), (0.51, 0.51))
    assert "at least 4×4 pixels" in page.inner_text("#compare-told")
    page.click("#compare-drag")
    page.keyboard.press("Escape")
    assert page.get_attribute("#compare-drag", "aria-pressed") == "false"
    page.fill("#compare-w", "500")
    page.press("#compare-w", "Enter")
    assert page.input_value("#compare-w") == "18"  # what is there from x = 6


@pytest.mark.parametrize("against", ["", V2])
def test_the_worst_images_are_those_of_the_model(use, against):
    records = made.quick_grid(2)
    found = pictures.compare_pictures(records, build_tables(published.load_all(), records)).sets[0]
    page = use()
    page.select_option("#compare-by", V1)
    assert V1 not in page.locator("#compare-against option").evaluate_all("all => all.map((one) => one.value)")
    page.select_option("#compare-against", against)
    shown = [line.split()[:2] for line in page.locator("#compare-worst li").all_inner_texts()]
    expected = worst(found, "PSNR-Y", V1, against)
    signs = "+" if against else ""
    assert shown == [[name, f"{value:{signs}.2f}".replace("-", "−")] for name, value in expected]
    page.fill("#compare-count", "2")
    page.press("#compare-count", "Enter")
    assert page.locator("#compare-worst li").count() == 2


def test_an_image_of_the_ranking_opens(use):
    page = use()
    page.locator("#compare-worst button", has_text="chelsea").press("Enter")
    page.wait_for_selector('canvas[aria-label="chelsea, target"]')
    assert page.input_value("#compare-image") == "chelsea"
    assert page.locator("#compare-worst [aria-current]").inner_text() == "chelsea"
    assert page.evaluate("document.activeElement.textContent") == "chelsea"


def test_everything_is_reached_by_tab_and_seen_to_have_the_focus(use):
    page = use()
    mode(page, "error")
    wanted = set(
        page.evaluate("""() => [...document.querySelectorAll("#compare-tool :is(button, input, select, a, [tabindex])")]
            .filter((one) => one.checkVisibility() && !one.disabled && !(one.type === "radio" && !one.checked))
            .map((one) => one.id || one.value || one.textContent)""")
    )
    page.focus("#compare-set")
    page.keyboard.press("Shift+Tab")
    visited, unseen = set(), []
    for _ in range(len(wanted) + 5):
        page.keyboard.press("Tab")
        name, outline, named = page.evaluate("""() => {
            const one = document.activeElement;
            const named = one.ariaLabel || one.textContent || (one.labels && [...one.labels].some((label) => label.textContent.trim()));
            return [one.id || one.value || one.textContent, getComputedStyle(one).outlineStyle, Boolean(named)];
        }""")
        visited.add(name)
        if name in wanted and not (named and outline != "none"):
            unseen.append(name)
    assert wanted <= visited
    assert not unseen


def test_the_pictures_obey_the_keyboard(use):
    page = use()
    page.focus("#compare-stage")
    page.keyboard.press("+")
    page.keyboard.press("+")
    assert page.inner_text("#compare-zoom") in ("×2.3", "×2.2")
    before = pixel(page, "canvas[aria-label='astronaut, target']", 0, 0)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert pixel(page, "canvas[aria-label='astronaut, target']", 0, 0) != before
    page.keyboard.press("-")
    assert page.inner_text("#compare-zoom") == "×1.5"
    page.keyboard.press("0")
    assert page.inner_text("#compare-zoom") == "×1"
    page.focus("#compare-in")
    page.keyboard.press("Enter")
    page.focus("#compare-out")
    page.keyboard.press("Enter")
    assert page.inner_text("#compare-zoom") == "×1"
    assert page.evaluate("document.activeElement.id") == "compare-out"  # which does nothing now, but keeps the focus


def test_a_link_opens_the_same_view(use):
    page = use()
    page.select_option("#compare-set", index=1)
    page.select_option("#compare-image", "chelsea")
    page.wait_for_selector('canvas[aria-label="chelsea, target"]')
    page.click("#compare-all")
    page.uncheck('#compare-methods input[value="input"]')
    page.click("#compare-drag")
    drag(page, (0.26, 0.26), (0.99, 0.99))
    page.click("#compare-in")
    mode(page, "error")
    page.fill("#compare-scale", "12")
    page.select_option("#compare-by", made.MAMBAIR[2])
    until(page, "location.hash === document.querySelector('#compare-link').hash")
    state = """() => [...document.querySelectorAll("#compare-tool :is(select, input)")]
        .map((one) => ["checkbox", "radio"].includes(one.type) ? one.checked : one.value)"""
    other = use(fragment=page.evaluate("location.hash"))
    assert other.evaluate(state) == page.evaluate(state)
    assert other.inner_text("#compare-zoom") == page.inner_text("#compare-zoom") == "×1.5"
    pictures = "() => [...document.querySelectorAll('#compare-stage canvas')].map((canvas) => canvas.toDataURL())"
    assert other.evaluate(pictures) == page.evaluate(pictures)
    assert other.evaluate("document.querySelector('#compare').getBoundingClientRect().top") < 200


def test_a_link_to_what_is_not_there_says_so(use):
    page = use(fragment="#compare?set=00000000&image=nobody&shown=input,nothing&mode=slider&zoom=abc")
    assert page.inner_text("#compare-told") == (
        "This page does not hold what the link asks for: set “00000000”, image “nobody”, “nothing”."
    )
    assert page.is_visible("#compare-split")


def test_another_place_in_the_address_is_left_alone(use):
    page = use(fragment="#cells")
    page.set_viewport_size({"width": 800, "height": 700})
    page.wait_for_timeout(300)
    assert page.evaluate("location.hash") == "#cells"
