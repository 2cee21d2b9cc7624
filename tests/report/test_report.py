"""The page, read as HTML: what stands in which cell, that nothing is requested, that nothing breaks out of its place."""

import math
import os
import re
import subprocess
import sys

import pytest
import synthetic_records as made
from page_reader import read, row_of, statuses
from places import ROOT, SUPPORT

from suite.core.errors import SuiteError
from suite.core.text import format_duration, format_moment, format_signed
from suite.records.machines import MachineFile, MachineTime
from suite.records.pictures import Png
from suite.records.record import ImageScore
from suite.report import report
from suite.report.tables.build import build_tables
from suite.study import published

SCENES = {
    "empty": list,
    "quick": lambda: made.quick_grid(),
    "three seeds": lambda: made.quick_grid(3),
    "no crops": lambda: made.quick_grid(crops=False),
    "failed": lambda: [made.failed(model, "RuntimeError: boom") for model in made.VMAMBAIR + made.MAMBAIR],
    "paper": lambda: [made.done(made.VMAMBAIR[0], 28.48, budget="paper", test_set="NTIRE2020-T1")],
}


@pytest.fixture(scope="module", params=SCENES)
def scene(request):
    return read(SCENES[request.param]())


def test_every_published_number_is_on_the_page(scene):
    for paper in published.load_all():
        for table in paper.tables:
            for row in table.rows:
                shown = row_of(scene, table.id, row.label, row.group)
                for column in table.columns:
                    if column.key not in row.cells:
                        continue
                    value = row.cells[column.key]
                    expected = {True: "✓yes", False: "✗no"}[value] if column.kind == "mark" else f"{value:,.{column.digits}f}"
                    assert shown[column.key][0].startswith(expected), (table.id, row.key, column.key)


def test_the_page_asks_for_nothing_and_runs_only_its_own_script(scene):
    for node in scene.all():
        for name, value in node.attributes.items():
            assert not name.startswith("on"), f"<{node.tag} {name}>"
            assert name != "style", "the content security policy forbids style attributes"
            if name in ("src", "srcset", "data", "action", "poster", "background"):
                assert node.tag == "img"
                assert value.startswith("data:image/png;base64,")
            if name in ("href", "xlink:href"):
                assert node.tag == "a"
                assert value.startswith(("#", "https://arxiv.org/abs/"))
    assert not list(scene.all("link")) + list(scene.all("iframe")) + list(scene.all("object")) + list(scene.all("base"))
    style, script = scene.one("style").text, scene.one("script").text
    assert "url(" not in style
    assert "@import" not in style
    assert not re.search(r"https?:|fetch|XMLHttp|import\(", script)
    policy = next(meta.attributes["content"] for meta in scene.all("meta") if "http-equiv" in meta.attributes)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_links_on_the_page_lead_somewhere(scene):
    places = [node.attributes["id"] for node in scene.all() if "id" in node.attributes]
    assert len(places) == len(set(places))
    for link in scene.all("a"):
        target = link.attributes["href"]
        assert not target.startswith("#") or target[1:] in places, target
    for node in scene.all():
        if "aria-labelledby" in node.attributes:
            assert node.attributes["aria-labelledby"] in places


def test_tables_and_pictures_speak(scene):
    for table in scene.all("table"):
        assert table.one("caption").text
        assert all("scope" in head.attributes for head in table.all("th"))
    assert all(image.attributes["alt"] and image.attributes["width"] for image in scene.all("img"))
    assert all(plot.attributes.get("aria-label") or plot.attributes.get("aria-hidden") for plot in scene.all("svg"))


def test_every_row_of_a_table_is_as_wide_as_its_head(scene):
    for table in scene.all("table"):
        head = table.one("thead")
        width = sum(int(cell.attributes.get("colspan", 1)) for cell in next(head.all("tr")).all("th"))
        for body in table.all("tbody"):
            for row in body.all("tr"):
                assert sum(int(cell.attributes.get("colspan", 1)) for tag in ("td", "th") for cell in row.all(tag)) == width


def test_an_empty_ledger_shows_the_papers_and_the_command():
    root = read([])
    text = root.text
    assert "Nothing has been run yet" in text
    assert "python -m suite run --grid ablations" in text
    assert "python -m suite run --grid ablations --only vmambair-realsr-x4.no-effn" in text
    assert statuses(root, "vmambair-4", "VmambaIR-V3") == "○ published only not run"
    assert row_of(root, "vmambair-4", "VmambaIR-V3")["macs"] == ["20.03d from the baseline: −2.1 %"]
    assert row_of(root, "mambair-1", "remove Conv+CA")["cost"] == ["– not run"]
    assert "costs 19.45 G at 64×64, not the printed 20.45 G" in text
    assert not list(root.all("img"))


def test_quick_budget_is_shown_apart_and_never_compared():
    root = read(made.quick_grid())
    row = row_of(root, "vmambair-4", "VmambaIR-V1")
    assert row["psnr"] == ["28.07 from the baseline: −0.43"]  # published alone: no measured column, no verdict
    assert row["status"] == ["↻ re-trained"]
    (quick,) = row["retrained-0-PSNR-Y"]
    assert quick.startswith("25.91 from the baseline: −0.09 [")  # 26 + 0 and 25.89 + 0.02 sin 1
    assert quick.endswith("] approximate, covers 87 %: 6 images")
    table = root.one("details", id="vmambair-4")
    head = next(table.all("thead")).text
    assert "Re-trained at quick budget" in head
    assert "test set photos; width 16, depth ÷3; 300 iterations; 1 seed" in head
    assert "All 11 cells done, quick budget, 1 seed." in root.text
    # seven costs deviate, 11 + 18 + 10 + 10 qualities (MambaIR's x2 row stands in MambaIRv2's table, too); one record without a metric
    assert [count.text for count in root.all(class_="count")] == ["1", "7", "0", "49", "1995", "1"]


def test_costs_compare_at_any_budget_and_the_finding_computes_its_numbers():
    root = read(made.quick_grid())
    assert row_of(root, "vmambair-4", "VmambaIR (Ours)")["macs"] == ["20.45b", "measured: 19.45", "≠ deviates −4.9 %"]
    assert row_of(root, "vmambair-4", "VmambaIR-V1")["macs"][1] == "measured: 17.90 from the baseline: −8.0 %"
    head = next(root.one("details", id="vmambair-4").all("thead")).text
    assert "input 64×64" in head
    notes = next(root.one("details", id="vmambair-4").all(class_="notes")).text
    assert "1 per multiply-add, a scan 9·B·L·D·N + B·L·D; its norms, written out as arithmetic, count nothing" in notes
    finding, saving = list(root.one("section", id="findings").all(class_="finding"))[:2]
    assert "the network costs 17.90 G" in saving.text
    assert "10,497,813 parameters" in finding.text
    assert "costs 19.45 G at 64×64, against 20.45 G printed (−1.00 G, −4.9 %). The selective scans make up 3.89 G" in finding.text
    assert "Without its scans the network costs 15.56 G" in finding.text
    assert row_of(root, "mambair-2", "baseline")["cost"] == ["110.50"]


def test_no_finding_where_the_cost_is_reproduced():
    record = made.done(made.VMAMBAIR[0])
    agreeing = record.model_copy(update={"cost": record.cost.model_copy(update={"macs": 20.46e9})})
    root = read([agreeing])
    assert not any("20.45 G" in finding.text for finding in root.all(class_="finding"))
    assert row_of(root, "vmambair-4", "VmambaIR (Ours)")["macs"][2].startswith("= reproduced")


def test_operators_that_were_not_counted_are_named():
    record = made.done(made.VMAMBAIR[0])
    partial = record.model_copy(update={"cost": record.cost.model_copy(update={"unsupported": {"aten::fft_rfft2": 4}})})
    assert read([partial]).one(class_="uncounted").one("dd").text == "aten::fft_rfft2 ×4"


@pytest.mark.parametrize(
    ("images", "told"), [(5, "too few for an interval: 5 images"), (39, "] approximate, covers 91 %: 39 images"), (40, "] 40 images")]
)
def test_an_interval_over_few_images_says_what_it_covers_and_five_are_too_few(images, told):
    records = []
    for place, model in enumerate(made.VMAMBAIR[:2]):
        values = [28 - 0.1 * place + 0.01 * math.sin((2 + place) * image) for image in range(images)]
        scores = tuple(ImageScore(image=str(image), metrics={"PSNR-Y": value}) for image, value in enumerate(values))
        records.append(made.done(model, crops=False).model_copy(update={"scores": scores}))
    root = read(records)
    (shown,) = row_of(root, "vmambair-4", "VmambaIR-V1")["retrained-0-PSNR-Y"]
    assert shown.endswith(told)
    assert ("[" in shown) == (images > 5)
    caption = root.one("figure", id="differences-vmambair-4").one("figcaption").text
    assert ("approximate" in caption) == (images == 39)


def test_seeds_give_an_interval_of_the_mean_and_of_the_difference():
    from suite.core.statistics import stats

    records = made.quick_grid(3)
    root = read(records)
    v1 = [record.mean("PSNR-Y") for record in records if record.spec.model == made.VMAMBAIR[1]]
    full = [record.mean("PSNR-Y") for record in records if record.spec.model == made.VMAMBAIR[0]]
    mean, change = stats.estimate_over_seeds(v1), stats.estimate_over_seeds([a - b for a, b in zip(v1, full, strict=True)])
    (shown,) = row_of(root, "vmambair-4", "VmambaIR-V1")["retrained-0-PSNR-Y"]
    low, high = change.interval
    expected = f"{mean.mean:.2f} ± {mean.half_width:.2f} from the baseline: {change.mean:+.2f} [{low:+.2f}, {high:+.2f}]"
    assert shown == expected.replace("-", "−")
    assert "3 seeds" in next(root.one("details", id="vmambair-4").all("thead")).text


def test_unequal_numbers_of_seeds_are_told_in_each_cell():
    records = [*made.quick_grid(1), made.done(made.VMAMBAIR[1], seed=1)]
    root = read(records)
    assert "1 seed" in row_of(root, "vmambair-4", "VmambaIR-V2")["retrained-0-PSNR-Y"][0]
    assert ", 2 seeds" in row_of(root, "vmambair-4", "VmambaIR-V1")["retrained-0-PSNR-Y"][0]


def test_paper_budget_is_judged():
    where = {"budget": "paper", "test_set": "NTIRE2020-T1"}
    root = read([made.done(made.VMAMBAIR[0], 28.48, **where), made.done(made.VMAMBAIR[1], 28.20, **where)])
    full, v1 = (row_of(root, "vmambair-4", label) for label in ("VmambaIR (Ours)", "VmambaIR-V1"))
    assert full["psnr"] == ["28.50c", "measured: 28.48 data not verified", "= reproduced −0.02"]
    assert v1["psnr"][2] == "≠ deviates +0.13"
    assert v1["psnr"][1].startswith("measured: 28.20 from the baseline: −0.28")
    assert (full["status"], v1["status"]) == (["= reproduced"], ["≠ deviates"])
    assert statuses(root, "vmambair-4", "VmambaIR-V2") == "○ published only not run"


def test_test_data_that_differ_between_rows_are_pointed_out():
    other = made.done(made.VMAMBAIR[1]).model_copy(update={"provenance": made.provenance(data_checksums={"photos/test": "cd" * 32})})
    root = read([made.done(made.VMAMBAIR[0]), other])
    assert "photos/test has more than one checksum" in root.one("details", id="vmambair-4").text
    assert "more than one checksum" not in read(made.quick_grid()).text


def test_a_failed_cell_is_listed_with_its_error_and_the_command():
    error = 'RuntimeError: loss is not finite at iteration 120\nTraceback (most recent call last):\n  File "x.py"\nRuntimeError: ...'
    good = [record for record in made.quick_grid() if record.spec.model != made.MAMBAIR[3]]
    root = read([*good, made.failed(made.MAMBAIR[3], error, seed=0)])
    listed = root.one(id="failed").text
    assert "mambair-sr-x2.mlp, seed 0, quick budget, attempt 2: RuntimeError: loss is not finite at iteration 120" in listed
    assert "python -m suite run --grid ablations --only mambair-sr-x2.mlp --budget quick" in listed
    assert root.one(id="failed").one("pre").text.endswith("RuntimeError: ...")
    row = row_of(root, "mambair-1", "replace with MLP")
    assert row["status"][0].startswith("× unavailable ×3 failed: RuntimeError: loss is not finite")
    assert row["retrained-0-PSNR-Y"] == ["× unavailable: failed, see why"]
    assert "10 of 11 cells done, 1 failed" in root.text


def test_a_failed_seed_is_left_out_and_named():
    records = [made.done(made.VMAMBAIR[0], seed=0), made.failed(made.VMAMBAIR[0], "RuntimeError: boom", seed=1)]
    assert "without failed seed 1" in row_of(read(records), "vmambair-4", "VmambaIR (Ours)")["retrained-0-PSNR-Y"][0]


def test_a_record_without_the_metric_is_unavailable_not_zero():
    record = made.done(made.VMAMBAIR[0])
    table = build_tables(published.load_all(), [record.model_copy(update={"scores": ()})])[3]
    assert table.rows[0].cells[-1].reason == "its record holds no PSNR-Y"
    read([record.model_copy(update={"scores": (), "history": (), "provenance": None, "protocol": None, "cost": None})])


ATTACK = "</title></script><script>alert(1)</script><img src=x onerror=alert(1)>\"'`{{7*7}}"


def test_a_cell_that_measured_another_s_weights_says_whose(tmp_path):
    trained, elsewhere = made.done("mambair-sr-x2"), "0123456789abcdef"
    measured = made.done("mambair-sr-x2", test_set="Set5").model_copy(update={"trained_by": trained.fingerprint})
    stranger = made.done("mambair-sr-x2", test_set="Set14").model_copy(update={"trained_by": elsewhere})
    text = report.write_report([trained, measured, stranger], tmp_path).read_text()
    assert text.count("weights of cell") == 2
    assert f'<a href="#cell-{trained.fingerprint}">' in text
    assert f'href="#cell-{elsewhere}"' not in text  # it is not on this page


def test_markup_in_records_stays_text():
    base = made.done(made.VMAMBAIR[0], test_set=ATTACK)
    attacked = base.model_copy(
        update={
            "scores": tuple(score.model_copy(update={"image": ATTACK}) for score in base.scores[:1]),
            "crops": (base.crops[0].model_copy(update={"image": ATTACK, "output_png": Png.of(ATTACK.encode())}),),
            "protocol": base.protocol.model_copy(update={"statement": ATTACK}),
            "cost": base.cost.model_copy(update={"unsupported": {ATTACK: 1}}),
            "provenance": made.provenance(
                commit=ATTACK,
                machine={ATTACK: ATTACK},
                packages={ATTACK: ATTACK},
                data_checksums={ATTACK: ATTACK},
                backend_reason=ATTACK,
                launcher=ATTACK,
                started=ATTACK,
            ),
        }
    )
    failed = made.failed(made.VMAMBAIR[1], f"ValueError: {ATTACK}\n{ATTACK}", test_set=ATTACK)
    root = read([attacked, failed])
    assert len(list(root.all("script"))) == 1
    assert all(image.attributes["src"].startswith("data:") and "onerror" not in image.attributes for image in root.all("img"))
    assert "49" not in {node.text for node in root.all()}
    assert ATTACK in root.one(id="failed").text
    assert "<script>alert(1)" not in report.page_text([attacked, failed])


def test_curves_and_differences_are_drawn_for_every_row():
    root = read(made.quick_grid(2))
    section = root.one("details", id="vmambair-4")
    panels = list(next(root.one("section", id="training").all("details")).all(class_="panel"))
    assert [len(list(panel.all("polyline", class_="n0"))) for panel in panels] == [4] * 5  # two seeds, two charts
    assert [len(list(panel.all("polyline", class_="n1"))) for panel in panels] == [0] + [2] * 4
    plot = section.one("figure", class_="chart")
    drawn = plot.one("svg", class_="plot")
    assert (len(list(drawn.all(class_="hollow"))), len(list(drawn.all(class_="filled"))), len(list(drawn.all(class_="whisker")))) == (
        4,
        4,
        4,
    )


def test_curves_of_odd_values_do_not_break_the_page():
    base = made.done(made.VMAMBAIR[0])
    flat = [
        point.model_copy(update={"loss": 0.0 if index == 2 else float("nan") if index == 3 else 0.1})
        for index, point in enumerate(base.history)
    ]
    root = read(
        [base.model_copy(update={"history": tuple(flat)}), made.done(made.VMAMBAIR[1]).model_copy(update={"history": base.history[:1]})]
    )
    points = next(root.one(id="training").all("polyline")).attributes["points"]
    assert len(points.split()) == 4
    assert "nan" not in points


def test_images_one_by_one():
    root = read(made.quick_grid())
    tables = list(root.one("section", id="images").all("details", class_="images"))
    assert ["PSNR-Y, dB" in tables[0].text, "SSIM-Y" in tables[1].text, len(tables)] == [True, True, 4]
    rows = list(tables[0].one("tbody").all("tr"))
    assert [row.one("th").text for row in rows] == list(made.IMAGES)
    expected = made.done(made.VMAMBAIR[0]).scores[0].metrics["PSNR-Y"]
    assert next(rows[0].all("td")).text == f"{expected:.2f}"
    assert next(tables[0].one("tfoot").all("td")).text == "26.00"


def test_provenance_is_complete():
    text = read(made.quick_grid()).one(id="provenance").text
    for part in ("0123abc", "Example CPU", "torch 2.6.0", "no GPU is visible", "ab" * 32, "sr-y@1", "ray", "Seeds: 0", "clean"):
        assert part in text
    dirty = made.done(made.VMAMBAIR[0]).model_copy(update={"provenance": made.provenance(dirty=True)})
    assert "with uncommitted changes" in read([dirty]).one(id="provenance").text


def test_every_cell_is_listed_with_the_command_that_makes_it_again():
    records = [made.done(made.VMAMBAIR[0], seed=2), made.done("mambair-sr-x2", 38.5, budget="paper", test_set="Set5")]
    root = read(records)
    for record, again in zip(
        records,
        (
            "python -m suite run --grid ablations --only vmambair-realsr-x4 --budget quick --seeds 3",
            "python -m suite run --grid ablations --only mambair-sr-x2 --budget paper --set train_set=DF2K --set test_set=Set5 "
            "--backend numba --device cpu",
        ),
        strict=True,
    ):
        assert again in root.one("tr", id=f"cell-{record.fingerprint}").text


def test_times_of_machines_are_a_folded_table_and_a_damaged_file_of_them_costs_no_page(monkeypatch):
    fields = {"input_size": (64, 64), "backend": "none", "device": "cpu", "threads": 2, "quartiles_ms": (4.5, 5.5), "samples": 3}
    time = MachineTime(model="esrgan", median_ms=5.0, torch="2.8", date="2026-01-02", commit="c0ffee", **fields)
    held = MachineFile(schema=1, cpu="A <CPU>", cores=2, memory_gib=7.5, instructions="AVX2", times=(time,))
    monkeypatch.setattr(report, "read_machines", lambda: [held])
    section = read([]).one("section", id="machines")
    (row,) = [one for one in section.all("tr") if "esrgan" in one.text]
    assert "A <CPU>, 2 cores, AVX2" in row.text
    assert "4.5 to 5.5" in row.text
    assert "1 time of 1 machine" in section.text

    def refuse():
        raise SuiteError("x.json cannot be read.")

    monkeypatch.setattr(report, "read_machines", refuse)
    assert "x.json cannot be read." in report.page_text([])
    monkeypatch.setattr(report, "read_machines", list)
    assert 'id="machines"' not in report.page_text([])


def test_the_same_records_give_the_same_file_replaced_whole(tmp_path):
    records = made.quick_grid()
    path = report.write_report(records, tmp_path / "html")
    first = path.read_bytes()
    assert path == tmp_path / "html" / "index.html"
    assert report.write_report(iter(made.quick_grid()), tmp_path / "html").read_bytes() == first
    ours, gone = (tmp_path / "html" / f".new-{process}-x.html" for process in (os.getpid(), 2**22 + 1))
    for left in (ours, gone):
        left.touch()  # half written, by a process that lives and by one that was killed
    report.write_report([], tmp_path / "html")
    assert (ours.exists(), gone.exists()) == (True, False)
    ours.unlink()
    assert path.read_bytes() != first
    assert [entry.name for entry in path.parent.iterdir()] == ["index.html"]


def test_renders_without_torch_ray_or_image_libraries(tmp_path):
    code = f"""
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "ray", "numba", "skimage", "PIL", "fvcore", "cv2"):
            raise ImportError(name + " must not be imported for a report")
sys.meta_path.insert(0, Blocked())
sys.path[:0] = [{str(ROOT)!r}, {str(SUPPORT)!r}]
import synthetic_records as made
from pathlib import Path
from suite.report.report import write_report
write_report(made.quick_grid(2), Path({str(tmp_path)!r}))
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert (tmp_path / "index.html").stat().st_size > 50_000


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(-0.001, 2, "0.00"), (0.0, 2, "0.00"), (-0.434, 2, "−0.43"), (0.076, 2, "+0.08"), (float("inf"), 2, "+inf")],
)
def test_signed(value, digits, text):
    assert format_signed(value, digits) == text


def test_times_as_people_read_them():
    assert format_moment("2026-03-02T10:04:30+00:00") == "2 March 2026, 10:04 UTC"
    assert format_moment("yesterday") == "yesterday"
    assert [format_duration(seconds) for seconds in (None, 31.46, 600.0, 9000.0)] == ["–", "31.5 s", "10.0 min", "2.5 h"]


def test_profiles_are_listed_and_drawn():
    from browser_scenes import SCENES

    root = read(SCENES["judged"]())
    listed = root.one("section", id="costs")
    assert "esrgan 64×64 16,697,987 73.40" in listed.text
    assert {figure.attributes["id"] for figure in root.one("section", id="figures").all("figure")} >= {
        "figure-growth-cost",
        "figure-networks-64x64-cpu-2",
        "figure-vmambair-2-ntire2020-lpips",
    }
    growth = root.one("figure", id="figure-growth-cost")
    assert len(list(growth.one("svg", class_="plot").all("polyline"))) == 2  # the network, and with full attention
    assert "mambair-light-x2 with full attention instead of scans" in growth.text
    row = next(row for row in growth.one("tbody").all("tr") if "full attention" in row.text)
    assert [cell.text for cell in row.all("td")] == ["7", "35.4"]
