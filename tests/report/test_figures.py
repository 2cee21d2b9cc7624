"""Figures of quality against cost: which networks are on the frontier, and what the slider of a budget says."""

from suite.report.figures.charts import Point, find_frontier

POINTS = [Point(4, 30), Point(1, 28), Point(2, 31), Point(2, 29), Point(8, 31), Point(9, 32)]


def test_the_frontier_holds_what_no_other_beats_in_cost_and_quality():
    assert [(point.x, point.y) for point in find_frontier(POINTS, higher=True)] == [(1, 28), (2, 31), (9, 32)]
    assert [(point.x, point.y) for point in find_frontier(POINTS, higher=False)] == [(1, 28)]
    assert find_frontier([], higher=True) == ()


def test_a_budget_names_the_best_of_what_fits_and_shades_the_rest(use):
    page = use("quick")
    figure = page.locator("#figure-mambair-4-urban100-psnr-x2")
    figure.scroll_into_view_if_needed()
    slider, told = figure.locator(".budget input"), figure.locator(".budget output")
    told.get_by_text("of 6 of 6").wait_for()
    assert figure.locator(".over").count() == 0
    slider.fill("3")  # the fourth cheapest as printed
    assert told.text_content() == "At most 169.5 G MACs: MambaIR, 32.85 dB PSNR-Y as printed, is the best of 4 of 6."
    assert figure.locator(".over").evaluate_all("(marks) => marks.map((mark) => mark.dataset.name)") == ["CARN", "LAPAR-A"]
    assert slider.get_attribute("aria-valuetext") == told.text_content()


def test_without_scripts_there_is_no_slider(use):
    assert not use("quick", script=False).locator(".budget").first.is_visible()
