"""What `data check` calls fine, `evaluate` takes, and the other way round: over made-up folders, sound ones and faulty ones."""

import tempfile
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from suite.core.errors import SuiteError
from suite.data.check.checks import report_folder
from suite.data.check.inspection import Remembered
from suite.data.layouts import folders, mixed
from suite.data.sets import pair_sources
from suite.study.protocols import protocol
from suite.study.tasks import task

TASKS = {1: "derain", 2: "sr-x2", 3: "sr-x3", 4: "sr-x4"}
HIGH = ("GT", "gt", "HQ", "HR", "hr", "high", "sharp", "Target", "groundtruth", "Ground Truth", "clean", "High-Quality")
LOW = ("LQ", "lq", "LR", "lr", "low", "blur", "Input", "rain", "rainy", "noisy", "hazy", "low_quality")
# Folders of both sides, None where a side is missing; {h} and {l} are words of the sides, {s} a scale.
LAYOUTS = {
    "two folders": ("{h}", "{l}"),
    "called after a set, too": ("Mine_{h}", "Mine_{l}"),
    "a folder a scale below": ("{h}", "{l}/X{s}"),
    "the scale behind": ("{h}", "{l}x{s}"),
    "the scale behind both": ("{h}_x{s}", "{l}-x{s}"),
    "bicubic": ("{h}", "LR_bicubic/X{s}"),
    "a folder a scale above": ("x{s}/{h}", "x{s}/{l}"),
    "a folder a scale below both": ("{h}/x{s}", "{l}/x{s}"),
    "targets directly": (".", "{l}"),
    "targets alone": ("{h}", None),
    "images alone": (".", None),
    "low quality alone": (None, "{l}"),
    "together": (".", "."),
}
NAMES = ("a", "Bird", "café", "z9")


@dataclass(frozen=True)
class Tree:
    layout: str
    high: str
    low: str
    scales: tuple[int, ...]
    names: tuple[str, ...]
    forms: tuple[str, str]  # of Unicode, of either side
    ending: str  # of low-quality files
    side: int  # of the targets, in pixels
    linked: bool
    fault: str

    def folders(self, scale):
        return [None if one is None else one.format(h=self.high, l=self.low, s=scale) for one in LAYOUTS[self.layout]]

    def files(self, number, scale):
        """The names of the files of a side: 0 the targets, 1 the low-quality files."""
        ending = self.ending.format(s=scale) if number else ""
        return [unicodedata.normalize(self.forms[number], name) + ending for name in self.names]


class Planted(NamedTuple):
    """The files of one side of a tree, of the first of its scales."""

    tree: Tree
    files: list[Path]
    pixels: int  # a side of its images


def no_image(one):
    one.files[0].write_text("no image")


def one_missing(one):
    one.files[0].unlink()


def all_missing(one):
    for path in one.files:
        path.unlink()


def other_size(one):
    save(one.files[-1], one.pixels + 2)


def same_but_for_case(one):
    save(one.files[-1].with_name(one.files[-1].stem.swapcase() + ".png"), one.pixels)


def same_but_for_accents(one):
    for form in ("NFC", "NFD"):
        save(one.files[0].with_name(f"{unicodedata.normalize(form, 'été')}.png"), one.pixels)


def second_folder(one):
    folder, words = one.files[0].parent, {one.tree.high: "GT", one.tree.low: "LQ"}
    for word, other in words.items():
        if word in folder.name:
            other = {"GT": "HQ", "LQ": "LR"}[other] if word.upper() == other else other
            for path in one.files:
                save(folder.with_name(folder.name.replace(word, other)) / path.name, one.pixels)


FAULTS = (None, no_image, one_missing, all_missing, other_size, same_but_for_case, same_but_for_accents, second_folder)


@st.composite
def trees(draw, faults=tuple((fault, number) for fault in FAULTS for number in (0, 1))):
    layout = draw(st.sampled_from(sorted(LAYOUTS)))
    scaled = "{s}" in "".join(folder or "" for folder in LAYOUTS[layout])
    scales = draw(st.sampled_from(((2,), (3,), (4,), (2, 4)) if scaled else ((1,), (2,), (3,), (4,))))
    endings = ("_LR_x{s}" if scales != (1,) else "_lr", "_in") if layout == "together" else ("", "_LR", "x{s}" if scales != (1,) else "-in")
    fault, number = draw(st.sampled_from(faults))
    return Tree(
        layout,
        draw(st.sampled_from(HIGH)),
        draw(st.sampled_from(LOW)),
        scales,
        tuple(sorted(draw(st.sets(st.sampled_from(NAMES), min_size=2)))),
        draw(st.tuples(*[st.sampled_from(("NFC", "NFD"))] * 2)),
        draw(st.sampled_from(endings)),
        draw(st.sampled_from((24, 25, 36))),
        draw(st.booleans()) and layout not in ("images alone", "together"),
        f"{fault.__name__} {number}" if fault else "",
    )


def save(path, side, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)).save(path)


def plant(tree, base):
    """Write the files of a tree below `base`, and make its fault, at the first of its scales."""
    place = base / "mine"
    place.mkdir()
    if tree.linked:  # the first folder of the low-quality files, or of the targets, lies elsewhere
        first = Path(next(one for one in reversed(tree.folders(tree.scales[0])) if one not in (None, "."))).parts[0]
        (base / "elsewhere" / first).mkdir(parents=True)
        (place / first).symlink_to(base / "elsewhere" / first)
    for scale in tree.scales:
        for number, folder in enumerate(tree.folders(scale)):
            for seed, name in enumerate(tree.files(number, scale) if folder else ()):
                save(place / folder / f"{name}.png", tree.side // scale if number else tree.side, seed + 10 * number)
    name, _, number = tree.fault.partition(" ")
    folder = tree.folders(tree.scales[0])[int(number)] if name else None
    if folder is not None:
        files = [place / folder / f"{file}.png" for file in tree.files(int(number), tree.scales[0])]
        globals()[name](Planted(tree, files, tree.side // tree.scales[0] if number == "1" else tree.side))
    return place


def is_fine(folder, store):
    """Return whether `data check` finds no fault, and what it compared."""
    try:
        reports = report_folder(folder, Remembered(store))
    except SuiteError:
        return False, {}
    return not any(report.wrong for report in reports), reports[0].compared


def is_taken(folder, scale):
    """Return whether `evaluate` takes the folder for a task of this scale, and whether it has low-quality files for it."""
    chosen = task(TASKS[scale])
    try:
        sources = pair_sources(str(folder), "test", chosen, protocol(chosen.protocol))
        for source in sources:
            source.load()
    except SuiteError:
        return False, False
    return True, all(source.lq is not None for source in sources)


@pytest.fixture(autouse=True)
def _say_nothing(monkeypatch):
    for module in (folders, mixed):
        monkeypatch.setattr(module, "note", len)


unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@settings(unhurried, max_examples=80)
@given(trees())
def test_data_check_and_evaluate_agree(tmp_path, tree):
    base = Path(tempfile.mkdtemp(dir=tmp_path))
    folder = plant(tree, base)
    fine, compared = is_fine(folder, base / "facts.json")
    taken = {scale: is_taken(folder, scale) for scale in TASKS}
    own = {scale for scale, (done, low) in taken.items() if done and low}
    if fine and compared:
        assert own == compared.keys()
    elif fine:
        assert all(done for done, _ in taken.values())  # targets serve every task
    else:
        assert own < set(tree.scales) or not own


@settings(unhurried, max_examples=30)
@given(trees(faults=((None, 0),)).filter(lambda tree: tree.layout != "low quality alone"))
def test_a_sound_folder_is_fine_whatever_its_folders_and_files_are_called(tmp_path, tree):
    base = Path(tempfile.mkdtemp(dir=tmp_path))
    folder = plant(tree, base)
    alone = LAYOUTS[tree.layout][1] is None
    assert is_fine(folder, base / "facts.json") == (True, {} if alone else dict.fromkeys(tree.scales, len(tree.names)))
    for scale in tree.scales:
        assert is_taken(folder, scale) == (True, not alone)
