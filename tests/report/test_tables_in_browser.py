"""The tables used in a real browser: sorted, filtered, and asked where a number comes from."""

import csv

import pytest

from suite.study.published import load_all


def column(page, table, key):
    """The values of a column as the rows stand, group by group; hidden rows are left out."""
    code = """(table, key) => [...table.tBodies].map((body) => {
        const rows = [...body.rows].filter((row) => !row.hidden && row.dataset.status !== undefined);
        const name = (row) => row.cells[0].firstChild.textContent.trim();
        return rows.map((row) => key === "name" ? name(row) : row.querySelector(`[data-column="${key}"]`).dataset.value);
    })"""
    return page.locator(f"#{table} table.papers").evaluate(f"(table) => ({code})(table, {key!r})")


def head(page, table, words):
    page.evaluate("(id) => { document.getElementById(id).open = true; }", table)
    return page.locator(f"#{table} table.papers thead button.sort", has_text=words).first


def test_a_click_sorts_the_best_first_within_groups_and_the_third_restores(use):
    page = use("judged")
    before = column(page, "mambair-3", "set5-psnr")
    assert len(before) == 3
    button = head(page, "mambair-3", "PSNR, dB")
    cell = button.locator("xpath=..")
    button.click()
    assert cell.get_attribute("aria-sort") == "descending"
    assert column(page, "mambair-3", "set5-psnr") == [sorted(group, key=float, reverse=True) for group in before]
    button.press("Enter")
    assert cell.get_attribute("aria-sort") == "ascending"
    assert column(page, "mambair-3", "set5-psnr") == [sorted(group, key=float) for group in before]
    button.click()
    assert cell.get_attribute("aria-sort") is None
    assert column(page, "mambair-3", "set5-psnr") == before


def test_lower_is_better_and_what_has_no_value_stands_last(use):
    page = use("judged")
    head(page, "vmambair-1", "LPIPS").click()
    (values,) = column(page, "vmambair-1", "manga109-lpips")
    assert [float(value) for value in values] == sorted(float(value) for value in values)
    last = page.locator("#mambair-3 table.papers thead button.sort", has_text="PSNR, dB").last  # Manga109, which IPT lacks
    for _ in range(2):  # either way
        last.click()
        assert all(group.index("") == len(group) - 1 for group in column(page, "mambair-3", "manga109-psnr") if "" in group)


def test_names_are_sorted_and_one_column_at_a_time_is_marked(use):
    page = use("judged")
    head(page, "vmambair-2", "Network").click()
    (names,) = column(page, "vmambair-2", "name")
    assert names == sorted(names, key=str.lower)
    head(page, "vmambair-2", "LPIPS").click()
    assert page.locator("#vmambair-2 th[aria-sort]").count() == 1


def shown(page):
    return page.locator("#tables tr[data-status]:visible").count()


def test_rows_are_filtered_by_name_and_by_status(use):
    page = use("judged")
    begin, total = shown(page), page.locator("#tables tr[data-status]").count()
    output = page.locator("form.filters output")
    page.fill("form.filters input[name=network]", "swinir")
    assert shown(page) == sum("swinir" in row.label.lower() for paper in load_all() for table in paper.tables for row in table.rows)
    assert output.inner_text() == f"{shown(page)} of {total} rows"
    page.fill("form.filters input[name=network]", "no-effn")  # the name of the command line
    assert shown(page) == 1
    page.fill("form.filters input[name=network]", "")
    page.check("form.filters input[value=deviates]")
    page.check("form.filters input[value=reproduced]")
    for row in page.locator("#tables tr[data-status]:visible").all():
        assert {"deviates", "reproduced"} & set(row.get_attribute("data-status").split())
    assert 0 < shown(page) < total
    page.click("form.filters button[type=reset]")
    page.wait_for_timeout(50)
    assert (shown(page), output.inner_text()) == (begin, "")
    page.check("form.filters input[name=own]")
    assert all("own" in row.get_attribute("class") for row in page.locator("#tables tr[data-status]:visible").all())


def test_each_filter_shows_as_many_rows_as_it_says_and_hides_empty_tables(use):
    page = use("judged")
    for label in page.locator("form.filters fieldset label").all():
        label.locator("input").check()
        assert shown(page) == int(label.locator(".rows").inner_text())
        for table in page.locator("#tables > details:visible").all():
            assert table.locator("tr[data-status]:visible").count()
        label.locator("input").uncheck()


def test_a_filter_stands_in_the_address(use):
    page = use("judged")
    page.check("form.filters input[value=deviates]")
    count = shown(page)
    address = page.evaluate("location.href")
    assert address.endswith("#filter?status=deviates")
    page.goto("about:blank")
    page.goto(address)
    assert page.is_checked("form.filters input[value=deviates]")
    assert shown(page) == count


def test_a_heading_and_a_table_link_to_themselves(use):
    page = use("judged")
    links = page.locator("h2 a.anchor").evaluate_all("all => all.map((one) => [one.getAttribute('href'), one.closest('section').id])")
    assert len(links) > 6
    assert all(link == f"#{section}" for link, section in links)
    table = page.locator("#mambair-1")
    assert table.locator(".tools a").first.get_attribute("href") == "#mambair-1"


PLACES = """(table) => [table.querySelector("thead .name").getBoundingClientRect().right,
    table.querySelector("thead th.retrained:not(.group)").getBoundingClientRect().left]"""


def test_a_phone_shows_what_was_measured_beside_the_names(use):
    name, measured = use(width=390).locator("#mambair-1 table.papers").evaluate(PLACES)
    assert 0 <= measured - name < 250
    assert measured < 390 - 60
    name, measured = use(width=1440).locator("#mambair-1 table.papers").evaluate(PLACES)
    assert measured - name > 250  # where there is room, the paper's order stays


def test_a_table_and_a_command_can_be_copied(use):
    page = use("judged")
    page.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    page.locator("#vmambair-4 .tools button", has_text="CSV").first.click()
    rows = list(csv.reader(page.evaluate("copied").splitlines()))
    assert len({len(row) for row in rows}) == 1
    (row,) = (row for row in rows if row[0].startswith("VmambaIR-V3 "))
    assert row[1].startswith("20.03 ")
    page.locator("#vmambair-4 .tools button", has_text="LaTeX").first.click()
    assert page.evaluate("copied").startswith("\\begin{tabular}{lr")
    page.locator("#verdict button.copy").first.click()
    assert page.evaluate("copied").startswith("python -m suite ")


@pytest.mark.parametrize("way", ["press", "tap", "hover", "keyboard"])
def test_a_number_tells_where_it_comes_from(use, way):
    page = use("judged", width=390 if way == "tap" else 1440)
    number = page.locator('#mambair-2 [data-column="set5"] button.number')
    number.scroll_into_view_if_needed()
    card = page.locator(f"#{number.get_attribute('popovertarget')}")
    assert not card.is_visible()
    {"press": number.click, "tap": number.click, "hover": number.hover, "keyboard": lambda: number.press("Enter")}[way]()
    card.wait_for(state="visible")
    page.wait_for_timeout(50)
    text = card.inner_text()
    for part in ("sr-y@1", "ab" * 32, "Example CPU", "seeds", "--only mambair-sr-x2", "--budget paper", "0123abc"):
        assert part in text
    told = "baseline · Set5, dB ↑(higher is better) · printed 38.57 · measured: 38.20 · ≠ deviates −0.37"
    assert card.locator("[data-cell]").inner_text() == told
    box = card.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= page.viewport_size["width"]
    if way == "hover":
        page.mouse.move(2, 2)
        card.wait_for(state="hidden")
    else:
        page.keyboard.press("Escape")
        assert not card.is_visible()


def test_a_card_leads_to_the_cell(use):
    page = use("judged")
    number = page.locator('#mambair-2 [data-column="set5"] button.number')
    number.click()
    link = page.locator(f"#{number.get_attribute('popovertarget')} a").first
    target = link.get_attribute("href")
    link.click()
    page.wait_for_timeout(200)
    assert page.evaluate("location.hash") == target
    assert page.locator(target).is_visible()  # the list of cells, closed before, is open
