"""Attacks: files that hold programs, names that lead elsewhere, markup, formulas, and a Ray that others could reach.

Symbolic links that the user's own data sets are put together from are followed when files are read; nothing is written through one.
"""

import ast
import csv
import io
import json
import os
import pickle
import sys
import types
from pathlib import Path

import h5py
import numpy as np
import pytest
import synthetic_records as made
import torch
from PIL import Image

from suite.cli import main
from suite.core.errors import SuiteError
from suite.core.files import replacing
from suite.core.output import csv_of
from suite.core.paths import ROOT
from suite.data.cards import Layout
from suite.data.layouts.locate import file_pairs
from suite.data.mat_files import read_cells, read_variable
from suite.data.sets import resolve_folder
from suite.measure.inference.restore import Restoration, plan_restorations, restore_file
from suite.records.ledger import Ledger
from suite.records.load import load
from suite.records.record import dump
from suite.report import report
from suite.runner import cluster
from suite.training import checkpoints

SOURCES = [path for folder in ("models", "suite", "tests") for path in sorted((ROOT / folder).rglob("*.py"))]
NAMES = ["../x", "..", "/etc/x", "a/b", "x\0y", "0" * 15, "0" * 17, "0123456789abcdeF", "0123456789abcdef\n", ""]

# Calls that run what a file or a text holds: never.
FORBIDDEN = {
    "eval": "runs a text",
    "exec": "runs a text",
    "pickle.load": "runs a file",
    "pickle.loads": "runs bytes",
    "pickle.Unpickler": "runs a file",
    "marshal.loads": "runs bytes",
    "shelve.open": "runs a file",
    "dill.load": "runs a file",
    "joblib.load": "runs a file",
    "pandas.read_pickle": "runs a file",
    "yaml.load": "runs a file",
    "yaml.unsafe_load": "runs a file",
    "os.system": "runs a shell",
    "os.popen": "runs a shell",
    "subprocess.getoutput": "runs a shell",
    "torch.hub.load": "fetches and runs code",
    "shutil.unpack_archive": "writes where an archive says",
}
EXTRACTS = ("extract", "extractall")


def called(node):
    """The name of what is called, as it is written."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join(reversed([*parts, node.id])) if isinstance(node, ast.Name) else f"?.{parts[0]}" if parts else ""


def faults(source):
    """What a program calls that it must not, as (line, why)."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = called(node.func)
        given = {word.arg: word.value.value for word in node.keywords if isinstance(word.value, ast.Constant)}
        if name in FORBIDDEN:
            found.append((node.lineno, f"{name} {FORBIDDEN[name]}"))
        if name == "torch.load" and given.get("weights_only") is not True:
            found.append((node.lineno, "torch.load without weights_only=True runs a file"))
        if name.endswith(".load") and given.get("allow_pickle"):
            found.append((node.lineno, "allow_pickle=True runs a file"))
        if given.get("shell"):
            found.append((node.lineno, "shell=True runs a shell"))
        if name.rpartition(".")[2] in EXTRACTS and given.get("filter") != "data":
            found.append((node.lineno, f"{name} writes where an archive says"))
        if name.endswith("Environment") and given.get("autoescape", True) is not True:
            found.append((node.lineno, "a template without autoescape"))
    return found


def test_no_source_runs_what_a_file_holds():
    assert len(SOURCES) > 150
    found = [f"{path.relative_to(ROOT)}:{line} {why}" for path in SOURCES for line, why in faults(path.read_text(encoding="utf-8"))]
    # Faults compile our own functions, a line changed; a plug-in is a program, and is run because it was asked for by name.
    meant = [one for one in found if one.startswith(("tests/support/faults.py:", "suite/study/outside/plugin_files.py:"))]
    assert [one for one in found if one not in meant] == []
    assert [one.partition(" ")[2] for one in meant] == ["exec runs a text"] * 2


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "pickle.load(file)",
        "np.load(path, allow_pickle=True)",
        "subprocess.run(words, shell=True)",
        "eval(text)",
        "zipfile.ZipFile(path).extractall(folder)",
        "yaml.load(text)",
        "jinja2.Environment(autoescape=False)",
    ],
)
def test_the_walk_finds_each_of_them(line):
    assert len(faults(line)) == 1


class Bomb:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (self.marker,)


def test_weights_that_hold_a_program_are_refused_and_run_nothing(tmp_path, capsys):
    marker = str(tmp_path / "ran")
    writers = {
        "torch.pth": lambda file: torch.save({"params": Bomb(marker)}, file),
        "plain.pth": lambda file: pickle.dump(Bomb(marker), file),
    }
    for name, write in writers.items():
        path = tmp_path / name
        with path.open("wb") as file:
            write(file)
        with pytest.raises(SuiteError, match=r"not a checkpoint of tensors|so that it is refused, and nothing of it was run"):
            checkpoints.read(path)
        code = main.main(["restore", str(path), str(tmp_path / "out.png"), "--model", "mambair-sr-x2-tiny", "--weights", str(path)])
        assert code != 0
    assert not Path(marker).exists()
    assert "Traceback" not in capsys.readouterr().err


# Names that lead elsewhere


@pytest.mark.parametrize("name", NAMES)
def test_a_fingerprint_that_is_none_reaches_no_file(tmp_path, name):
    """A record may come from another machine's process; its fingerprint becomes part of paths that are written and removed."""
    ledger = Ledger(tmp_path / "ledger" / "runs")
    outside = tmp_path / "ledger" / "x"
    outside.mkdir(parents=True)
    record = made.done(made.VMAMBAIR[0])
    forged = record.model_copy(update={"fingerprint": name})
    for attack in (lambda: ledger.add(forged), lambda: ledger.work_folder(name), lambda: ledger.clear_work(name)):
        with pytest.raises(SuiteError, match="not a fingerprint"):
            attack()
    raw = json.loads(dump(record)) | {"fingerprint": name}
    with pytest.raises(SuiteError, match="not a readable record"):
        load(json.dumps(raw), origin="here")
    assert [path.name for path in (tmp_path / "ledger").rglob("*")] == ["x"]


FOLDERS = ["../x", "/etc", "a/../../b", "~/x", "$HOME", "x\0y", "C:\\x"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_card_s_folders_stay_in_the_data_folder(folder):
    for fields in ({"places": [folder]}, {"hq": folder}, {"lq": folder, "kinds": ["sr"]}, {"splits": {"test": folder}}):
        with pytest.raises(ValueError, match="leaves the data folder"):
            Layout.model_validate({"of": "somebody", "places": ["{split}"], "hq": "."} | fields)
    for name in ("../{}", "a/{}", "{}\0"):
        with pytest.raises(ValueError, match="not a file name"):
            Layout.model_validate({"of": "somebody", "places": ["."], "hq": ".", "hq_names": [name]})


def test_names_of_sets_lead_to_no_other_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SUITE_DATA", str(tmp_path))
    (tmp_path.parent / "outside").mkdir(exist_ok=True)
    for name in ("../outside", "/etc", "x\0y"):
        with pytest.raises(Exception, match="no data set is called"):
            file_pairs(name, split="test", kind="sr", scale=2)
    with pytest.raises(SuiteError):
        resolve_folder("x\0y")


def picture(path, size=(32, 32)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (9, 8, 7)).save(path, format="PNG")
    return path


@pytest.mark.parametrize("data", ["..", "../work", "."])
def test_images_are_saved_below_the_folder_that_was_named(tmp_path, monkeypatch, capsys, data):
    work = tmp_path / "pictures" / "work"
    for folder in (work, work.parent):
        picture(folder / "a.png")
    monkeypatch.chdir(work)
    save = tmp_path / "saved" / "deep"
    assert main.main(["evaluate", "bicubic", "--task", "sr-x2", "--data", data, "--save", str(save)]) == 0
    capsys.readouterr()
    (written,) = (path for path in (tmp_path / "saved").rglob("*.png"))
    assert written.parent.parent == save
    assert written.parent.name in ("work", "pictures")


def test_nothing_is_restored_through_a_link(tmp_path):
    """Links that an attacker leaves in the folder of the results: at the result's place, and at names that a writer may pass by."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    out = tmp_path / "out"
    out.mkdir()
    source = picture(tmp_path / "in" / "a.png")
    for name in ("a.png", "a.png.part", "a.png.tmp"):
        (out / name).symlink_to(victim)
    (job,) = plan_restorations(source, out / "a.png", "", overwrite=True).jobs
    restore_file(job, lambda image: image.astype(np.float32) / 255, 1, channels=3)
    checkpoints.write(out / "state.pt", {"a": torch.zeros(1)})
    assert victim.read_bytes() == b"precious"
    assert not (out / "a.png").is_symlink()
    with Image.open(out / "a.png") as image:
        assert image.size == (32, 32)


def test_what_fails_halfway_leaves_what_was_there(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"before")

    def half():
        with replacing(path) as file:
            file.write(b"half")
            raise OSError(28, "full")

    with pytest.raises(OSError, match="full"):
        half()
    assert path.read_bytes() == b"before"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_links_in_a_folder_to_be_restored_lead_to_no_result_outside(tmp_path):
    outside = picture(tmp_path / "private" / "p.png")
    source = tmp_path / "in"
    picture(source / "a.png")
    (source / "loop").symlink_to(source)
    (source / "up").symlink_to(outside.parent)
    jobs = plan_restorations(source, tmp_path / "out", "", overwrite=False).jobs
    assert all((tmp_path / "out").resolve() in job.target.resolve().parents for job in jobs)
    assert Restoration(source / "a.png", tmp_path / "out" / "a.png") in jobs
    assert len(jobs) < 5  # the loop is not walked


def test_a_mat_file_that_names_other_files_is_refused(tmp_path):
    """HDF5 can take an array from any file of the machine: by an external link, raw storage, or a virtual data set."""
    (tmp_path / "secret").write_bytes(bytes(range(64)))
    with h5py.File(tmp_path / "other.mat", "w") as file:
        file["x"] = np.arange(4.0)
    path = tmp_path / "set.mat"
    with h5py.File(path, "w") as file:
        file["linked"] = h5py.ExternalLink("other.mat", "x")
        file.create_dataset("raw", (64,), dtype="uint8", external=[(str(tmp_path / "secret"), 0, 64)])
        layout = h5py.VirtualLayout(shape=(4,), dtype="f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.mat"), "x", shape=(4,))
        file.create_virtual_dataset("virtual", layout)
        file["info/cells"] = np.array([file["raw"].ref], dtype=h5py.ref_dtype)
        file["own"] = np.arange(3.0)
    for name in ("linked", "raw", "virtual"):
        with pytest.raises(SuiteError, match="names other files"):
            read_variable(path, name)
    with pytest.raises(SuiteError, match="names other files"):
        read_cells(path, "info", "cells")
    assert read_variable(path, "own").tolist() == [0, 1, 2]


# Markup and formulas

MARKUP = "</title></script><script>alert(1)</script><img src=x onerror=alert(1)>"


def test_names_of_models_sets_and_images_are_no_markup():
    base = made.done(made.VMAMBAIR[0])
    spec = base.spec.model_copy(update={"test_set": f"folder/{MARKUP}", "train_set": MARKUP, "protocol": f"{MARKUP}@1", "recipe": MARKUP})
    scores = tuple(score.model_copy(update={"image": f"{MARKUP}{place}"}) for place, score in enumerate(base.scores))
    crops = tuple(crop.model_copy(update={"image": f"{MARKUP}{place}"}) for place, crop in enumerate(base.crops))
    other = spec.model_copy(update={"model": MARKUP})
    marked = [base.model_copy(update={"spec": one, "fingerprint": one.fingerprint, "scores": scores}) for one in (spec, other)]
    records = [record.model_copy(update={"crops": crops}) for record in marked]
    page = report.page_text(records)
    assert "<script>alert(1)" not in page
    assert "<img src=x" not in page


def test_texts_in_csv_are_no_formulas():
    rows = [["=HYPERLINK(1)", "+1", "-1", "@x", -1.5, "a\nb", None, True]]
    _, line = csv.reader(io.StringIO(csv_of(["h"], rows)))
    assert line == ["'=HYPERLINK(1)", "'+1", "'-1", "'@x", "-1.5", "a b", "", "yes"]


def test_an_image_called_like_a_formula_is_no_formula_in_the_scores(tmp_path, capsys):
    for side in ("pred", "gt"):
        picture(tmp_path / side / "=1+1.png")
    folders = ("--pred", str(tmp_path / "pred"), "--gt", str(tmp_path / "gt"))
    assert main.main(["score", *folders, "--protocol", "sr-y", "--scale", "2", "--no-perceptual", "--csv"]) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert "'=1+1" in [row[2] for row in rows]
    assert not any(cell.startswith("=") for row in rows for cell in row)


# Ray


def test_a_ray_of_one_s_own_listens_on_the_loopback_interface_alone(monkeypatch):
    """What it is started with; tests/runner/test_interruption.py looks at the sockets of all its processes."""
    asked = {}
    ray = types.SimpleNamespace(init=lambda **words: asked.update(words), shutdown=lambda: None)
    for name in ("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_USAGE_STATS_ENABLED"):
        monkeypatch.setenv(name, "")  # given back after the test
        monkeypatch.delenv(name)
    monkeypatch.setenv("RAY_ADDRESS", "elsewhere:6379")
    cluster.settle_environment(local=True)
    with cluster.start_ray(ray, 1, False):
        pass
    assert (asked["address"], asked["_node_ip_address"], asked["include_dashboard"]) == ("local", "127.0.0.1", False)
    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


def test_a_ray_that_was_imported_before_it_was_told_to_close_itself_is_not_started(monkeypatch):
    """It reads at its import whether it asks for a token; one started afterwards answers nobody, its own driver among them."""
    monkeypatch.setitem(sys.modules, "ray", types.ModuleType("ray"))
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    with pytest.raises(SuiteError, match=r"imported in this process before.*launcher inline"):
        cluster.import_ray(local=True)
