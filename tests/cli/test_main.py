"""The command line: what it accepts, what it says, and how it exits."""

import json
import resource
import shlex
import subprocess
import sys

import fake_cells
import numpy as np
import pytest
from fake_cells import record, spec
from PIL import Image

from suite.cli import main
from suite.cli.ledger import list as verb_list
from suite.core import machine
from suite.core.errors import Exit
from suite.core.paths import ROOT
from suite.records.ledger import Ledger
from suite.study.grids import GRIDS, ROUTING_GRID, SCAN_GRID

HEAVY = ("torch", "ray", "pandas", "skimage", "scipy", "numba", "numpy", "pydantic", "rich")
TINY = "mambair-sr-x2-tiny"


@pytest.fixture
def run(tmp_path, capsys, monkeypatch):
    """Runs the command line in an empty folder; gives exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        try:
            code = main.main([str(word) for word in words])
        except SystemExit as ended:  # argparse
            code = ended.code
        out, err = capsys.readouterr()
        return code, out, err

    users = ROOT / "reports" / "html" / "index.html"  # what a run without --report writes: never a test
    before = users.stat().st_mtime_ns if users.exists() else None
    yield call
    assert (users.stat().st_mtime_ns if users.exists() else None) == before, f"the test wrote {users}: give it --report"


@pytest.fixture
def images(tmp_path):
    """A folder of two small pictures of noise."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 256, size=(40, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def fake(monkeypatch):
    """Cells that take no time, in this process; gives a function that says how each model behaves."""
    import torch

    threads = torch.get_num_threads()
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)  # given back after the test
    monkeypatch.setattr("suite.training.cell.run_cell", fake_cells.run_cell)
    yield lambda **kinds: monkeypatch.setenv(fake_cells.VARIABLE, json.dumps(kinds))
    torch.set_num_threads(threads)


def grid(*words):
    return ("run", "--grid", "mambair-tables-1-2", "--backend", "reference", "--device", "cpu", *words)


def where(folder):
    """Ledger and page of a test's own: those of the checkout are the user's."""
    return ("--ledger", folder / "runs", "--report", folder / "page")


# Help


@pytest.mark.parametrize("words", [(), *((verb,) for verb in main.VERBS)])
def test_help_loads_nothing_heavy(words):
    probe = (
        f"import sys, suite.cli.main\ntry:\n suite.cli.main.main([*{words!r}, '--help'])\nexcept SystemExit as end:\n code = end.code\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], code, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stderr == "[] 0\n"
    assert done.stdout.startswith("usage: python -m suite")


def test_the_module_runs_the_command_line():
    done = subprocess.run([sys.executable, "-m", "suite", "--help"], capture_output=True, text=True, check=True, cwd=ROOT)
    for verb in main.VERBS:
        assert {f"    {verb}"} & {
            line.rstrip() for line in done.stdout.splitlines()
        } or f"\n    {verb} " in done.stdout  # a long one has a line
        assert f"\n  python -m suite {verb} " in done.stdout
    for code in Exit:
        assert str(int(code)) in done.stdout.split("exit codes:")[1]


def test_the_help_takes_less_than_0_7_s_of_processor():
    def seconds():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "suite", "--help"], capture_output=True, check=True, cwd=ROOT)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(3)) < 0.7


# What a user can fix: one message, the right code, no traceback

ERRORS = {
    "unknown verb": (("rum",), Exit.USAGE, "rum"),
    "unknown grid": (("run", "--grid", "ablation"), Exit.USAGE, "Did you mean 'ablations'"),
    "unknown budget": (grid("--budget", "quik"), Exit.USAGE, "'quick'"),
    "unknown field": (grid("--set", "iteration=3"), Exit.USAGE, "'iterations'"),
    "no field": (grid("--set", "iterations"), Exit.USAGE, "FIELD=VALUE"),
    "wrong value": (grid("--set", "iterations=many"), Exit.USAGE, "iterations = 'many'"),
    "field with an option of its own": (grid("--set", "device=cuda"), Exit.USAGE, "--device"),
    "unknown backend": (("run", "--grid", "ablations", "--backend", "numbas"), Exit.USAGE, "'numba'"),
    "backend of another device": (("run", "--grid", "ablations", "--backend", "numba", "--device", "cuda"), Exit.NOT_READY, "not on cuda"),
    "unknown launcher": (grid("--launcher", "slurm"), Exit.USAGE, "slurm"),
    "address without Ray": (grid("--launcher", "inline", "--address", "host:6379"), Exit.USAGE, "--launcher ray"),
    "time that is none": (grid("--max-hours", 0), Exit.USAGE, "'0' is not a number of hours above 0"),
    "endless time": (grid("--max-hours", "inf"), Exit.USAGE, "'inf' is not a number of hours"),
    "dashboard without Ray": (grid("--launcher", "inline", "--dashboard"), Exit.USAGE, "--launcher inline starts no Ray"),
    "dashboard of a cluster": (grid("--address", "host:6379", "--dashboard"), Exit.USAGE, "a cluster has its own"),
    "no threads": (grid("--cpus-per-cell", 0), Exit.USAGE, "must be 1 to"),
    "too many threads": (grid("--cpus-per-cell", 10**6), Exit.USAGE, f"has {machine.count_cores()} cores"),
    "nothing selected": (grid("--only", "swinir"), Exit.NOTHING, "selects none"),
    "no seeds": (grid("--seeds", 0), Exit.NOTHING, "at least 1"),
    "missing data": (grid("--set", "test_set=no-such-folder"), Exit.NOT_READY, "no-such-folder"),
    "unknown kind of list": (("list", "modells"), Exit.USAGE, "Did you mean 'models'"),
    "singular kind of list": (("list", "model"), Exit.USAGE, "Did you mean 'models'"),
    "mistyped verb": (("runn",), Exit.USAGE, "Did you mean 'run'"),
    "mistyped part of data": (("data", "chek"), Exit.USAGE, "Did you mean 'check'"),
    "mistyped device": (grid("--device", "gpu"), Exit.USAGE, "Known: auto, cpu, cuda"),
    "mistyped self-ensemble": (("evaluate", "bicubic", "--task", "sr-x2", "--self-ensemble", 4), Exit.USAGE, "invalid choice: 4. Known: 8"),
    "unknown model to profile": (("profile", "mambair-sr-x5"), Exit.USAGE, "'mambair-sr-x4'"),
    "size that is none": (("profile", TINY, "--size", "64"), Exit.USAGE, "64x64"),
    "size that is too small": (("profile", "vmambair-realsr-x4-tiny", "--size", "2x2"), Exit.USAGE, "2x2"),
    "no task": (("evaluate", "bicubic"), Exit.USAGE, "--task"),
    "unknown task": (("evaluate", "bicubic", "--task", "sr-x22"), Exit.USAGE, "'sr-x2'"),
    "unknown model to evaluate": (("evaluate", "bicubik", "--task", "sr-x2"), Exit.USAGE, "'bicubic'"),
    "unknown protocol": (("evaluate", "bicubic", "--task", "sr-x2", "--protocol", "sr-yy"), Exit.USAGE, "'sr-y'"),
    "missing folder": (("evaluate", "bicubic", "--task", "sr-x2", "--data", "no-such-folder"), Exit.NOT_READY, "no-such-folder"),
    "no weights": (("evaluate", TINY, "--task", "sr-x2"), Exit.USAGE, "--weights"),
    "missing weights": (("evaluate", TINY, "--task", "sr-x2", "--weights", "none.pth"), Exit.NOT_READY, "none.pth"),
    "empty ledger": (("report", "--ledger", "nowhere"), Exit.NOTHING, "holds no record"),
    "size of pictures that is none": (("report", "--pictures", "all"), Exit.USAGE, "'all' is not a size in MiB"),
    "negative size of pictures": (("report", "--pictures", "-1"), Exit.USAGE, "'-1' is not a size in MiB"),
}


@pytest.mark.parametrize(("words", "code", "part"), ERRORS.values(), ids=ERRORS)
def test_a_user_s_error_is_one_message_and_its_code(run, words, code, part):
    found, out, err = run(*words)
    assert found == code
    assert part in err
    assert "Traceback" not in err
    assert out == ""
    assert len(err.strip().splitlines()) == 1 or err.startswith("usage: ")


def test_without_a_verb_the_help_is_shown_and_the_first_command_to_try(run):
    code, out, err = run()
    assert (code, out) == (Exit.USAGE, "")
    assert err.startswith("usage: python -m suite")
    assert err.endswith("no VERB is given. Begin with `python -m suite run --grid ablations --dry-run`.\n")


def test_a_run_without_a_grid_offers_all_grids(run):
    code, out, err = run("run")
    assert (code, out) == (Exit.USAGE, "")
    first, *lines = err.splitlines()
    assert first.startswith("python -m suite: no --grid is given.")
    assert [line.split(":")[0].strip() for line in lines] == [*GRIDS, SCAN_GRID, ROUTING_GRID]


@pytest.mark.parametrize("verb", main.VERBS)
def test_every_verb_ends_its_help_with_an_example_that_parses(verb, capsys):
    with pytest.raises(SystemExit):
        main.parser().parse_args([verb, "--help"])
    example = main.VERBS[verb].EXAMPLE
    assert " ".join(capsys.readouterr().out.split()).endswith(f"Example: python -m suite {example}")
    assert main.parser().parse_args(shlex.split(example)).verb == verb


def test_a_dry_run_for_a_gpu_that_is_not_there_says_so(run, tmp_path, monkeypatch):
    words = (
        "run",
        "--grid",
        "ablations",
        "--only",
        "no-effn",
        "--device",
        "cuda",
        "--backend",
        "reference",
        "--ledger",
        tmp_path,
        "--dry-run",
    )
    monkeypatch.setattr(machine, "list_gpus", list)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    code, _, err = run(*words)
    assert code == Exit.DONE
    assert "this machine has no GPU" in err
    assert "no GPU" not in run(*words, "--address", "host:6379")[2]
    monkeypatch.setattr(machine, "list_gpus", lambda: ["a GPU"])
    assert "no GPU" not in run(*words)[2]


def test_an_unreadable_image_and_unpaired_files_are_named(run, images):
    (images / "1.png").write_bytes(b"no image")
    code, out, err = run("evaluate", "bicubic", "--task", "sr-x2", "--data", images)
    assert (code, out) == (Exit.NOT_READY, "")
    assert "1.png" in err
    pairs = images.parent / "pairs"
    for side, names in (("HR", ("a", "b")), ("LR", ("a", "c"))):
        (pairs / side).mkdir(parents=True)
        for name in names:
            Image.new("RGB", (48, 48) if side == "HR" else (24, 24)).save(pairs / side / f"{name}.png")
    code, out, err = run("evaluate", "bicubic", "--task", "sr-x2", "--data", pairs)
    assert (code, out) == (Exit.NOT_READY, "")
    assert "b" in err


def test_a_ledger_that_cannot_be_written_or_is_held_stops_the_run_before_it_starts(run, tmp_path, fake):
    fake()
    (tmp_path / "file").touch()
    code, _, err = run(*grid("--launcher", "inline", "--ledger", tmp_path / "file"))
    assert code == Exit.NOT_READY
    assert "cannot be written" in err
    with Ledger(tmp_path / "runs").locked():
        code, _, err = run(*grid("--launcher", "inline", "--ledger", tmp_path / "runs"))
    assert code == Exit.NOT_READY
    assert "another run (process " in err
    assert not list((tmp_path / "runs").glob("*.json"))


def test_a_defect_keeps_its_traceback(monkeypatch):
    def broken(*_):
        raise KeyError("a defect")

    monkeypatch.setattr(verb_list, "run", broken)
    with pytest.raises(KeyError, match="a defect"):
        main.main(["list", "models"])


# Results


@pytest.mark.parametrize("kind", [*verb_list.LISTS, verb_list.RECORDS])
def test_lists_are_tables_and_documents(run, tmp_path, kind):
    ledger = Ledger(tmp_path / "runs")
    ledger.add(record(spec("some-model"), score=30.5))
    code, out, _ = run("list", kind, "--ledger", ledger.folder)
    assert code == Exit.DONE
    titles, *lines = out.splitlines()
    assert titles == titles.upper()
    code, out, err = run("list", kind, "--ledger", ledger.folder, "--json")
    rows = json.loads(out)
    assert (code, err) == (Exit.DONE, "")
    assert len(rows) == len(lines) > 0
    first = next(iter(rows[0].values()))
    assert lines[0].startswith(first)


def test_an_empty_list_says_so_on_standard_error(run, tmp_path):
    assert run("list", "records", "--ledger", tmp_path / "runs") == (Exit.DONE, "", "there are no records yet.\n")
    assert run("list", "records", "--ledger", tmp_path / "runs", "--json")[1] == "[]\n"


def test_a_dry_run_shows_cells_states_and_an_estimate_and_does_nothing(run, tmp_path, fake):
    fake(**{"mambair-sr-x2.mlp": "raises"})
    words = grid("--only", "*.mlp", "--only", "*.no-conv", *where(tmp_path), "--set", "iterations=7")
    code, _, _ = run(*words, "--launcher", "inline")
    assert code == Exit.INCOMPLETE
    before = sorted((tmp_path / "runs").iterdir())
    code, out, err = run(*words, "--seeds", 2, "--dry-run")
    assert (code, err) == (Exit.DONE, "")
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["MODEL", "SEED", "TASK", "BUDGET", "ITERATIONS", "STATE", "CELL"]
    states = {(line[0], line[1]): line[5] for line in lines[1:-1]}
    model = "mambair-sr-x2"
    assert states == {
        (f"{model}.no-conv", "0"): "done",
        (f"{model}.no-conv", "1"): "new",
        (f"{model}.mlp", "0"): "failed",
        (f"{model}.mlp", "1"): "new",
    }
    assert out.splitlines()[-1].startswith("4 cells, 1 done, 3 to run; ")
    assert sorted((tmp_path / "runs").iterdir()) == before
    code, out, _ = run(*words, "--dry-run", "--json")
    document = json.loads(out)
    assert [cell["state"] for cell in document["cells"]] == ["done", "failed"]
    assert set(document["estimate"]) == {"cell_seconds", "wall_seconds", "cells_at_a_time", "disk_mib", "storage_mib", "basis"}


def test_a_run_ends_in_a_report_its_results_and_a_link_to_it(run, tmp_path, fake):
    fake()
    words = grid("--only", "*.mlp", "--launcher", "inline", *where(tmp_path))
    page = tmp_path / "page" / "index.html"
    code, out, err = run(*words)
    assert (code, out.splitlines()[0]) == (Exit.DONE, f"1 of 1 cells done; report: {page}")
    assert out.splitlines()[2].startswith("sr-x2, quick budget, test set ")
    assert out.splitlines()[3].startswith("NETWORK ")
    assert out.splitlines()[4].startswith("mambair-sr-x2.mlp ")
    assert out.splitlines()[-1] == page.resolve().as_uri()
    assert err.startswith("cells: 1, done before: 0; scan backend reference (asked for by name).\n")
    assert page.is_file()
    code, out, _ = run(*words)
    assert (code, out.splitlines()[0]) == (Exit.DONE, f"1 of 1 cells done (1 before); report: {page}")
    page.unlink()
    code, out, _ = run("report", "--ledger", tmp_path / "runs", "--out", tmp_path / "page")
    assert (code, out) == (Exit.DONE, f"report: {page}\n")
    assert page.is_file()


def test_a_run_whose_report_cannot_be_written_prints_its_results_first(run, tmp_path, fake):
    fake()
    (tmp_path / "page").touch()
    words = grid("--only", "*.mlp", "--launcher", "inline", *where(tmp_path))
    code, out, err = run(*words)
    assert code == Exit.NOT_READY
    assert out.splitlines()[0] == "1 of 1 cells done; no report: it cannot be written"
    assert any(line.startswith("mambair-sr-x2.mlp ") for line in out.splitlines())
    assert "index.html cannot be written: " in err.splitlines()[-1]


def test_a_run_s_document_holds_its_records_alone_and_nothing_else_is_printed(run, tmp_path, fake, monkeypatch):
    def chatty(*arguments):
        sys.stdout.write("a library talks")
        yield from fake_cells.run_cell(*arguments)

    Ledger(tmp_path / "runs").add(record(spec("of-another-run")))
    fake(**{"mambair-sr-x2.mlp": "raises"})
    monkeypatch.setattr("suite.training.cell.run_cell", chatty)
    places = ("--launcher", "inline", *where(tmp_path))
    code, out, err = run(*grid("--only", "*.mlp", "--only", "*.no-conv", *places, "--json"))
    document = json.loads(out)
    assert code == document["exit"] == Exit.INCOMPLETE
    assert {found["spec"]["model"]: found["status"] for found in document["records"]} == {
        "mambair-sr-x2.no-conv": "done",
        "mambair-sr-x2.mlp": "failed",
    }
    assert document["report"] == str(tmp_path / "page" / "index.html")
    assert "a library talks" in err


def test_records_that_cannot_be_read_are_left_out_of_the_report_and_named(run, tmp_path):
    ledger = Ledger(tmp_path / "runs")
    ledger.add(record(spec("some-model")))
    broken = ledger.add(record(spec("other-model")))
    broken.write_text("{")
    code, out, err = run("report", "--ledger", ledger.folder, "--out", tmp_path / "page")
    assert code == Exit.DONE
    assert out.startswith("report: ")
    assert str(broken) in err


def test_a_baseline_is_measured_image_by_image(run, images):
    words = ("evaluate", "bicubic", "--task", "sr-x2", "--data", images)
    code, out, _ = run(*words)
    assert code == Exit.DONE
    head, titles, *lines = [line.split() for line in out.splitlines()]
    assert head == ["bicubic", "·", "sr-x2", "·", str(images)]
    assert titles == ["IMAGE", "PSNR-Y", "SSIM-Y"]
    assert lines.pop()[0] == "sr-y@1:"  # the protocol in words
    assert [line[0] for line in lines] == ["0", "1", "mean"]
    assert float(lines[2][1]) == pytest.approx((float(lines[0][1]) + float(lines[1][1])) / 2, abs=1e-4)
    code, out, err = run(*words, "--json")
    (found,) = json.loads(out)["sets"]
    assert (code, err) == (Exit.DONE, "")
    assert [image["image"] for image in found["images"]] == ["0", "1"]
    assert f"{found['mean']['PSNR-Y']:.4f}" == lines[2][1]


def test_a_profile_counts_at_the_size_asked_for(run, tmp_path):
    ledger = ("--ledger", str(tmp_path / "runs"))
    code, out, _ = run("profile", TINY, "--size", "32x48", *ledger)
    assert code == Exit.DONE
    assert "32x48" in out.splitlines()[1]
    code, out, _ = run("profile", TINY, "--json", *ledger)
    (record,) = json.loads(out)["records"]
    found = record["cost"]
    assert code == Exit.DONE
    assert found["params"] > 0
    assert found["flops"] > found["macs"] > found["scan_macs"] > 0
    assert record["spec"]["input_size"] == [64, 64]


def test_threads_depend_on_what_is_selected_and_not_on_what_is_left(run, monkeypatch, tmp_path, fake):
    monkeypatch.setattr(machine, "count_cores", lambda: 12)
    chosen = ("--launcher", "inline", *where(tmp_path))
    fake(**{"mambair-sr-x2.mlp": "raises"})
    for _ in range(2):  # the second time, one cell is left
        assert "threads per cell: 6;" in run(*grid("--only", "*.mlp", "--only", "*.no-conv", *chosen))[2]
    assert [found.provenance.threads for found in Ledger(tmp_path / "runs").records()] == [6, 6]


def test_how_a_batch_is_shared_is_told_once_and_what_cannot_be_is_refused(run, fake, tmp_path):
    fake()
    small = ("--set", "iterations=3", "--set", "batch=4", "--cpus-per-cell", 1, *where(tmp_path))
    code, _, err = run(*grid("--only", "direction", "--launcher", "inline", "--micro-batch", 2, *small))
    assert code == Exit.DONE
    assert err.count("batch 4 = 2 passes of 2") == 1
    code, _, err = run(*grid("--only", "direction", "--workers-per-trial", 8, *small))
    assert code == Exit.USAGE
    assert "8 workers cannot share" in err
    assert "Use --workers-per-trial 4 at most" in err
