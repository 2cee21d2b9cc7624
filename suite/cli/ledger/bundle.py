"""`python -m suite bundle OUT`: records with what they rest on and what was computed of them, in one archive that others can check."""

from __future__ import annotations

import argparse
from pathlib import Path

from suite.cli import common
from suite.cli.choose import add_choice, choose_records, read_held
from suite.core.errors import Exit
from suite.core.files import sha256_of
from suite.core.output import Output, note
from suite.core.text import count_of

SUMMARY = "pack records with what they rest on, so that others can verify them"
EXAMPLE = "bundle results.zip --only mambair"


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    verb.add_argument("target", type=Path, metavar="OUT", help="the archive to write, e.g. results.zip")
    add_choice(verb)
    verb.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    common.add_shared(verb, "--plugin", "--json")


def run(options: argparse.Namespace, out: Output) -> Exit:
    """Pack the chosen records, and print the archive's sha256, which may be sent apart from it."""
    from suite.records import bundle
    from suite.report import recompute

    common.check_target(options)
    target = options.target
    chosen = choose_records(read_held(options), options.only)
    texts, redacted = bundle.prepare_records(chosen)
    for name, fields in redacted.items():
        note(f"{name}: what tells of this machine or its users was taken out of {', '.join(dict.fromkeys(fields))}.")
    results = recompute.make_document(recompute.compute_results(bundle.parse_records(texts, str(target)), texts), redacted)
    files = bundle.write_bundle(target, texts, results)
    digest = sha256_of(target)
    if options.json:
        about = {"bundle": str(target), "sha256": digest, "bytes": target.stat().st_size, "files": files}
        out.document(about | {"records": list(texts), "redacted": redacted})
        return Exit.DONE
    numbers = recompute.count_numbers(results["computed"])
    packed, size = count_of(len(texts), "record"), target.stat().st_size / 1024
    out.line(f"{packed} and {numbers:,} numbers that rest on them: {target} ({size:,.0f} KiB)")
    out.line(f"sha256 {digest}")
    out.line(f"Others check it with `python -m suite verify {target.name}`, and with `--sample 5` where they have data and weights.")
    return Exit.DONE
