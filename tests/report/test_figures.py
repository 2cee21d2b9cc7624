"""Figures of quality against cost: which networks are on the frontier, and what the slider of a budget says; labels, and small curves."""

import itertools

import synthetic_records as made

from suite.records.record import HistoryPoint
from suite.report.figures.charts import Axis, Point, Series, draw_plane, find_frontier
from suite.report.figures.sparks import gather_beside

POINTS = [Point(4, 30), Point(1, 28), Point(2, 31), Point(2, 29), Point(8, 31), Point(9, 32)]


def test_the_frontier_holds_what_no_other_beats_in_cost_and_quality():
    assert [(point.x, point.y) for point in find_frontier(POINTS, higher=True)] == [(1, 28), (2, 31), (9, 32)]
    assert [(point.x, point.y) for point in find_frontier(POINTS, higher=False)] == [(1, 28)]
    assert find_frontier([], higher=True) == ()


def test_a_label_hides_neither_a_line_nor_a_mark():
    corners = (Point(0, 0, "first"), Point(10, 10, "last"))
    plot = draw_plane([Series("", "disc", corners), Series("", "", corners, joined=True)], Axis(), Axis())
    (x, y), (to_x, to_y) = [(mark.x, mark.y) for mark in plot.marks]
    assert {label.text for label in plot.labels} == {"first", "last"}
    for label in plot.labels:
        width = 6 * len(label.text)
        left = label.x - {"start": 0, "end": width, "middle": width / 2}[label.anchor]
        for across, down in itertools.product((left, left + width), (label.y - 8, label.y)):
            beside = (across - x) * (to_y - y) - (down - y) * (to_x - x)  # on which side of the line
            assert (beside > 0) == ((left - x) * (to_y - y) - (label.y - y) * (to_x - x) > 0)


def run(model, seed, *values):
    history = tuple(HistoryPoint(iteration=100 * at, loss=0.1, validation={"PSNR-Y": value}) for at, value in enumerate(values, 1))
    return made.done(model, seed=seed).model_copy(update={"history": history})


def test_small_curves_of_a_table_share_their_axes_and_average_seeds():
    one, other = made.VMAMBAIR[:2]
    members = {one: (run(one, 0, 20.0, 24.0), run(one, 1, 22.0, 26.0)), other: (run(other, 0, 21.0, 22.0),), "bicubic": ()}
    found = gather_beside(members, [made.profile(one, latency=1234.0), made.profile(one, (96, 96), latency=9.0), made.profile(other)])
    assert found[one].spark.points == "48.0,21.0 93.0,3.0"  # 21 to 25 dB, in a box of 96x24 with 3 free at each edge
    assert found[other].spark.points == "48.0,21.0 93.0,16.5"
    assert found[one].spark.told == "validation PSNR-Y, from 21.00 to 25.00 in 2 steps"
    assert (found[one].params, found[one].time, found[one].memory) == ("10.50 M", "1,234 (64×64)", "100")
    assert (found[other].time, found[other].memory) == ("", "")  # counted, not timed
    assert (found["bicubic"].params, found["bicubic"].spark) == ("", None)
    assert gather_beside({one: (run(one, 0, 20.0),)}, [])[one].spark is None


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
