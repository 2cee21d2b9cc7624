"""What the command line accepts: verbs, options and their help. Imports nothing heavy, so that `--help` answers at once."""

from __future__ import annotations

import argparse
from pathlib import Path

from suite.cli import check, claims, compare, data, doctor, evaluate, export, profile, restore, score
from suite.cli.list import RECORDS

LAUNCHERS = ("ray", "inline")
FORMATS = ("html", "latex", "markdown", "csv", "json")
LONGEST_HOURS = 10_000  # more than a year; a timer takes no infinity
KINDS = ("models", "grids", "tasks", "budgets", "recipes", "backends", "baselines", "protocols", "datasets", RECORDS)

EPILOG = """\
examples:
  python -m suite run --grid ablations                   train, measure and report both papers' ablations
  python -m suite run --grid ablations --dry-run         what that would do, and how long it would take
  python -m suite list models                            what there is
  python -m suite evaluate bicubic --task sr-x2          a baseline on the embedded photographs
  python -m suite score --pred mine --gt HR --scale 4    any two folders, under every protocol side by side
  python -m suite restore photo.jpg out.png --model mambair-sr-x4 --weights FILE
  python -m suite export FILE out.pth --model mambair-sr-x4     weights for the authors' code, or as safetensors
  python -m suite profile all --size 720p                parameters, multiply-adds and operations
  python -m suite profile mambair-light-x4 --time        and how long it takes here
  python -m suite scan                                   verify and time every scan backend that runs here
  python -m suite compare 'mambair-sr-x2.*' mambair-sr-x2 whether variants are better than one baseline
  python -m suite claims                                 which claims of the papers hold, and what would decide the others
  python -m suite doctor                                 what does not work here, and the command that mends it

exit codes: 0 done; 1 unexpected; 2 usage; 3 drift; 4 some cells failed or are missing; 5 nothing selected;
            6 data, a package or the machine is not ready; 130, 138, 143 stopped by SIGINT, SIGUSR1,
            SIGTERM (the same command continues)
"""


def parser() -> argparse.ArgumentParser:
    """The parser; the chosen verb's name is `verb` of its result."""
    top = argparse.ArgumentParser(
        prog="python -m suite",
        description="Benchmark and reproducibility suite for state-space (Mamba) image restoration.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_run(_verb(verbs, "run", "train and measure the cells of a grid that are not done yet, then write the report"))
    _add_list(_verb(verbs, "list", "print what there is: models, grids, tasks, ... or the ledger's records"))
    _add_report(_verb(verbs, "report", "write the report of a ledger: HTML, or its tables for other programs"))
    evaluate.add_arguments(_verb(verbs, "evaluate", evaluate.SUMMARY))
    restore.add_arguments(_verb(verbs, "restore", restore.SUMMARY))
    score.add_arguments(_verb(verbs, "score", score.SUMMARY))
    export.add_arguments(_verb(verbs, "export", export.SUMMARY))
    compare.add_arguments(_verb(verbs, "compare", compare.SUMMARY))
    claims.add_arguments(_verb(verbs, "claims", claims.SUMMARY))
    data.add_arguments(_verb(verbs, "data", data.SUMMARY))
    check.add_arguments(_verb(verbs, "check", check.SUMMARY))
    profile.add_arguments(_verb(verbs, "profile", profile.SUMMARY))
    _add_scan(_verb(verbs, "scan", "verify scan backends against float64 and time those that are right"))
    doctor.add_arguments(_verb(verbs, "doctor", doctor.SUMMARY))
    return top


def hours(text: str) -> float:
    """A time above 0, in hours."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < LONGEST_HOURS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of hours above 0 and below {LONGEST_HOURS}, e.g. 11.5")
    return value


def change(text: str) -> tuple[str, str]:
    """`field=value` as its two parts."""
    field, equals, value = text.partition("=")
    if not equals or not field:
        raise argparse.ArgumentTypeError(f"{text!r} is not FIELD=VALUE, e.g. iterations=100")
    return field, value


def mebibytes(text: str) -> float:
    """A size in MiB, zero or more."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size in MiB, zero or more, e.g. 32")
    return value


def _verb(verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, what: str) -> argparse.ArgumentParser:
    return verbs.add_parser(name, help=what, description=what[0].upper() + what[1:] + ".", allow_abbrev=False)


def _add_run(verb: argparse.ArgumentParser) -> None:
    what = verb.add_argument_group("what to run")
    what.add_argument("--grid", required=True, metavar="NAME", help="a name of `list grids`, e.g. ablations")
    what.add_argument("--budget", metavar="NAME", help="a name of `list budgets` (default: quick without a GPU, standard with one)")
    what.add_argument(
        "--recipe",
        default="released",
        metavar="NAME",
        help="whose recipe: what `list recipes` has behind the task (default: %(default)s)",
    )
    what.add_argument("--seeds", type=int, default=1, metavar="N", help="repeat every model with seeds 0 ... N-1 (default: %(default)s)")
    what.add_argument(
        "--only", action="append", default=[], metavar="PATTERN", help="part of a model's name, or a shell pattern; may be repeated"
    )
    what.add_argument(
        "--set",
        action="append",
        type=change,
        default=[],
        metavar="FIELD=VALUE",
        help="change a field of every cell, e.g. iterations=100; may be repeated",
    )
    _add_backend(what)
    what.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="where networks run (default: a GPU, if this machine has one)"
    )
    how = verb.add_argument_group("how to run it")
    how.add_argument(
        "--launcher",
        choices=LAUNCHERS,
        default=LAUNCHERS[0],
        help="spread cells by Ray, or one after another in this process (default: %(default)s)",
    )
    how.add_argument("--address", metavar="HOST:PORT", help="join this Ray cluster (default: $RAY_ADDRESS, else a Ray of its own)")
    how.add_argument(
        "--cpus-per-cell",
        type=int,
        metavar="N",
        help="threads of a cell, or of each of its workers (default: this machine's cores shared among them; 1 on a cluster)",
    )
    how.add_argument(
        "--micro-batch",
        type=int,
        default=0,
        metavar="N",
        help="images of a pass through the network; gradients add up to the whole batch",
    )
    how.add_argument(
        "--recompute", action="store_true", help="compute activations again for the gradient: less memory, more time, the same numbers"
    )
    _add_limits(how)
    how.add_argument(
        "--rehearse", action="store_true", help="try the largest pass before training, and say what fits if it does not (on a GPU: always)"
    )
    how.add_argument("--dry-run", action="store_true", help="print the cells, what is done, and an estimate; run nothing")
    _add_workers(verb.add_argument_group("several workers for each cell, by Ray Train"))
    out = verb.add_argument_group("what comes out")
    _add_ledger(out)
    out.add_argument("--report", type=Path, metavar="DIR", help="folder of the report (default: reports/html)")
    _add_json(out)


def _add_limits(how: argparse._ActionsContainer) -> None:
    how.add_argument(
        "--max-hours", type=hours, metavar="H", help="after H hours cells save and end, exit code 4; the same command continues"
    )
    how.add_argument(
        "--track",
        action="append",
        choices=("tensorboard", "mlflow"),
        default=[],
        help="tell it of the training, too (default: TensorBoard, where it is installed); may be repeated",
    )
    how.add_argument(
        "--dashboard", action="store_true", help="Ray's web page of this run, on this machine alone (pip install 'ray[default]')"
    )


def _add_workers(group: argparse._ActionsContainer) -> None:
    group.add_argument("--workers-per-trial", type=int, default=1, metavar="N", help="workers that share each batch (default: %(default)s)")
    group.add_argument("--gpus-per-worker", type=int, metavar="G", help="GPUs of each worker (default: 1 with --device cuda, 0 on the CPU)")
    group.add_argument(
        "--storage",
        metavar="PATH|URI",
        help="where their checkpoints go: a folder that all machines have, or a URI such as s3://bucket/folder (default: the ledger's)",
    )


def _add_list(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("kind", choices=KINDS, metavar="KIND", help=", ".join(KINDS))
    _add_ledger(verb)
    verb.add_argument("--csv", metavar="FILE", help="of records: all their columns as CSV to FILE, or - for standard output")
    _add_json(verb)


def _add_report(verb: argparse.ArgumentParser) -> None:
    _add_ledger(verb)
    verb.add_argument(
        "--format",
        action="append",
        choices=(*FORMATS, "all"),
        default=[],
        metavar="NAME",
        help=f"{', '.join(FORMATS)} or all; may be repeated (default: {FORMATS[0]})",
    )
    verb.add_argument("--out", type=Path, metavar="DIR", help="folder of the report (default: reports/html)")
    verb.add_argument(
        "--pictures",
        type=mebibytes,
        metavar="MIB",
        help="how much of the page may be pictures (default: 8); what is left out is named there",
    )


def _add_scan(verb: argparse.ArgumentParser) -> None:
    what = verb.add_argument_group("what to time")
    what.add_argument(
        "--backend",
        action="append",
        default=[],
        metavar="NAME",
        help="a name of `list backends`; may be repeated (default: all that run here)",
    )
    what.add_argument(
        "--case",
        action="append",
        default=[],
        metavar="PATTERN",
        help="a case's name, a part of it or a shell pattern; may be repeated (default: the layers of real networks)",
    )
    what.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="where scans run (default: a GPU, if this machine has one)"
    )
    what.add_argument(
        "--dtype", choices=("float32", "bfloat16", "float16"), default="float32", help="of u, delta, B and C (default: %(default)s)"
    )
    what.add_argument("--no-backward", action="store_true", help="time forward passes alone")
    what.add_argument("--no-image", action="store_true", help="do not time scans of images")
    what.add_argument("--no-build", action="store_true", help="do not measure the start with empty caches, which builds backends anew")
    how = verb.add_argument_group("how to time it")
    how.add_argument("--seconds", type=float, default=1.0, metavar="N", help="how long each time is measured (default: %(default)s)")
    how.add_argument("--threads", type=int, metavar="N", help="processor threads (default: this machine's cores)")
    how.add_argument(
        "--ahead-of-time",
        action="store_true",
        help="instead: compile the Triton kernels for GPUs that need not be here, and report their resources",
    )
    out = verb.add_argument_group("what comes out")
    _add_ledger(out)
    out.add_argument("--report", type=Path, metavar="DIR", help="folder of the report (default: reports/html)")
    _add_json(out)


def _add_backend(verb: argparse._ActionsContainer) -> None:
    verb.add_argument(
        "--backend", default="auto", metavar="NAME", help="scan backend, a name of `list backends` (default: the fastest that runs here)"
    )


def _add_ledger(verb: argparse._ActionsContainer) -> None:
    verb.add_argument("--ledger", type=Path, metavar="DIR", help="folder of the records (default: results/runs)")


def _add_json(verb: argparse._ActionsContainer) -> None:
    verb.add_argument("--json", action="store_true", help="print one JSON document on standard output, and nothing else there")
