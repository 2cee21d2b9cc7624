"""`python -m suite weights list|get|check`: the networks that the authors publish, where they are, and what a file is."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from suite.cli import common
from suite.core.errors import Exit, SuiteError
from suite.core.output import Output, note
from suite.core.text import count_of

if TYPE_CHECKING:
    from suite.measure.inference.weights_files import Description, Local
    from suite.study.weights_register import Register, WeightsFile

SUMMARY = "list and download the networks that the authors publish, and say what a file of weights is"
EXAMPLE = "weights get tpmambasr-light-x2"
KINDS = {"direct": "direct", "drive": "Google Drive", "hub": "Hugging Face", "page": "page"}
SHOWN = 5  # names in a line


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """Add what can be done, and its options."""
    what = {
        "list": "list what is published, what is here, and which network and which row of a paper it is of",
        "get": "download one of them, checked; a file that is there is never replaced",
        "check": "say what a file is: which network, whether it loads strictly, finite, sha256 known or not",
    }
    each = common.add_actions(verb, what)
    each["get"].add_argument("name", metavar="NAME", help="a name of `weights list`")
    each["get"].add_argument("--to", type=Path, metavar="DIR", help="folder of the file (default: $SUITE_WEIGHTS, or the cache)")
    each["check"].add_argument("file", type=Path, metavar="FILE", help="checkpoint: anyone's, or safetensors")
    common.add_shared(each["check"], "--key")
    each["list"].add_argument(
        "--in", dest="folders", type=Path, action="append", default=[], metavar="DIR", help="look here for files, too; may be repeated"
    )
    for action in each.values():
        common.add_shared(action, "--plugin", "--json")


def run(options: argparse.Namespace, out: Output) -> Exit:
    """Do the action."""
    return {"list": _list, "get": _get, "check": _check}[options.action](options, out)


def _list(options: argparse.Namespace, out: Output) -> Exit:
    from suite.measure.inference import weights_files
    from suite.study import weights_register

    register = weights_register.load()
    folders = weights_files.folders_to_search(options.folders)
    if missing := [folder for folder in options.folders if not folder.is_dir()]:
        raise SuiteError(f"--in {missing[0]}: there is no such folder.", exit=Exit.NOT_READY)
    here = weights_files.find_local(register, folders)
    rows = [_row(register, file, here.get(file.name)) for file in register.files]
    if options.json:
        out.document({"folder": str(folders[0]) if folders else None, "files": rows})
        return Exit.DONE
    out.table([_columns(row) for row in rows])
    where = ", ".join(map(str, folders)) or "there is no cache folder, and no --in names another"
    out.line(f"{count_of(len(rows), 'entry', 'entries')}, {len(here)} here ({where}).")
    out.line(
        "verified: the sha256 is the register's. seen first here: the register knows none, and the file is as it was first downloaded."
    )
    out.line("not verified: known by its name alone. Licences, addresses and printed values: --json.")
    return Exit.DONE


def _row(register: Register, file: WeightsFile, local: Local | None) -> dict[str, object]:
    from suite.measure.inference.download import kind_of
    from suite.study.weights_register import UNKNOWN, model_of

    networks = {name: model_of(register.networks[name], file.task) for name in file.networks}
    return {
        **file.model_dump(exclude={"kind"}),
        "kind": file.kind,
        "design": register.design_of(file),
        "licence": register.licence_of(file),
        "from": kind_of(file.addresses[0]),
        "sha256": file.sha256 or UNKNOWN,
        "file": file.file or UNKNOWN,
        "networks": [
            {
                "name": name,
                "class": register.networks[name].authors_class,
                "keywords": register.networks[name].keywords,
                "parameters": register.networks[name].parameters,
                "model": model or None,
                "reason": reason or None,
            }
            for name, (model, reason) in networks.items()
        ],
        "here": local and {"path": str(local.path), "state": local.state},
    }


def _columns(row: dict) -> dict[str, object]:
    """Return what the screen has room for."""
    from suite.study.weights_register import NO_DESIGN, UNKNOWN

    models = [one["model"] for one in row["networks"] if one["model"]]
    reasons = [one["reason"] for one in row["networks"] if one["reason"]]
    network = ", ".join(models) or (f"({reasons[0].partition(':')[0]})" if reasons else row["kind"])
    return {
        "name": row["name"],
        "from": KINDS[row["from"]],
        "sha256": "unknown" if row["sha256"] == UNKNOWN else "known",
        "here": row["here"] and row["here"]["state"],
        "row": ", ".join(row["rows"]) or row["stands"],
        "model": f"({NO_DESIGN})" if NO_DESIGN in reasons else network,
    }


def _get(options: argparse.Namespace, out: Output) -> Exit:
    from suite.measure.inference import weights_files
    from suite.measure.inference.download import download, kind_of
    from suite.study import weights_register

    register = weights_register.load()
    file = register.file(options.name)
    target = (options.to or weights_files.weights_folder()) / file.local_name
    if kind_of(file.addresses[0]) == "page":
        raise SuiteError(_by_hand(file), exit=Exit.NOT_READY)
    if target.exists():
        return _there(file, target, options, out)
    problems, digest = [], ""
    for address in [one for one in file.addresses if kind_of(one) != "page"]:
        try:
            digest = download(address, target, size=file.bytes, sha256=file.sha256)
            break
        except SuiteError as error:
            if error.exit != Exit.NOT_READY:
                raise
            problems.append(str(error))
    reasons = " ".join(dict.fromkeys(problems))
    where = f"Its address{'es' if len(file.addresses) > 1 else ''}: {', '.join(file.addresses)}"
    if not digest:
        raise SuiteError(f"{file.name} was not downloaded: {reasons} {where}", exit=Exit.NOT_READY)
    if reasons:
        note(f"{reasons} It came from another address: {address}")
    if not file.sha256:
        weights_files.remember(target, digest)
    return _tell(file, target, digest, weights_files.state_of(file, target, digest), options, out)


def _there(file: WeightsFile, target: Path, options: argparse.Namespace, out: Output) -> Exit:
    """Say what the file is that is there; SuiteError unless it is known to be the one that was asked for."""
    from suite.core.files import sha256_of
    from suite.measure.inference.weights_files import state_of

    digest = sha256_of(target)
    state = state_of(file, target, digest)
    if state in ("changed", "not verified"):
        raise SuiteError(
            f"{target} is there already ({state}: sha256 {digest}), and a file is never replaced. Move it away, or choose another folder "
            "with --to."
        )
    return _tell(file, target, digest, state, options, out)


def _tell(file: WeightsFile, target: Path, digest: str, state: str, options: argparse.Namespace, out: Output) -> Exit:
    if options.json:
        out.document({"name": file.name, "path": str(target), "bytes": target.stat().st_size, "sha256": digest, "state": state})
    else:
        known = "as in the register" if file.sha256 else "the register knows no sha256 of it"
        known = f"the authors' file is not the one that first came here: see {target}.sha256" if state == "changed" else known
        out.line(f"{file.name}: {target}, {target.stat().st_size:,} bytes, sha256 {digest} ({state}: {known})")
        out.line(f"`python -m suite weights check {target}` says what is in it.")
    return Exit.NOT_READY if state == "changed" else Exit.DONE


def _by_hand(file: WeightsFile) -> str:
    what, then = ("result images", "score") if file.kind == "images" else ("weights", "weights check")
    return (
        f"{file.name} is a folder of {what} whose file names the register does not know. Open it in a browser, or take all of it with "
        f"`gdown --folder {file.addresses[0]}`; then `python -m suite {then}`."
    )


def _check(options: argparse.Namespace, out: Output) -> Exit:
    from suite.measure.inference import weights_files
    from suite.study import weights_register

    register = weights_register.load()
    found = weights_files.describe(options.file, register, options.key)
    if options.json:
        out.document(found.as_dict())
    else:
        for line in _lines(found, register):
            out.line(line)
    return Exit.DONE if found.good else Exit.NOT_READY


def _lines(found: Description, register: Register) -> list[str]:
    """Return what is said of a file, for a person."""
    from suite.measure.inference.weights import say_cleaning

    of = f" of {', '.join(found.entries)}" if found.entries else ""
    meaning = {
        "verified": f"known: it is that{of}",
        "seen first here": f"unknown to the register; as it was first downloaded here, as{of.removeprefix(' of')}",
        "not verified": f"unknown; the name is that{of}",
        "changed": f"NOT that{of}, whose name or place it has",
        "unknown": "unknown",
    }
    lines = [f"file: {found.path}, {found.bytes:,} bytes", f"sha256: {found.sha256} ({meaning[found.state]})"]
    if found.problem:
        return [*lines, f"not read: {found.problem}"]
    aside = say_cleaning(found.prefix, found.left)
    kinds = " and ".join(found.dtypes)
    lines.append(f"weights: {found.which}, {found.tensors:,} tensors, {found.values:,} values, {kinds}, layout {found.layout}{aside}")
    odd = found.not_finite
    more = ", ..." if len(odd) > SHOWN else ""
    lines.append("finite: yes" if not odd else f"finite: NO, {len(odd)} tensors hold NaN or infinity: {', '.join(odd[:SHOWN])}{more}")
    if odd := found.not_floating:
        lines.append(f"floating point: NO, {len(odd)} tensors are not: {', '.join(odd[:SHOWN])}{', ...' if len(odd) > SHOWN else ''}")
    if found.networks:
        known = [(name, register.networks[name]) for name in found.networks]
        names = ", ".join(f"{name} ({network.authors_class}, {network.parameters:,} parameters)" for name, network in known)
        lines.append(f"network: {found.design}, {names}: every name and shape")
    if found.models:
        lines.append(f"loads strictly as: {', '.join(found.models)}")
    else:
        lines.append(f"loads as no model here: {found.reason}")
    if found.said:
        lines.append(f"the file says: {found.said}")
    if fits := [name for name in found.fits if name not in found.entries]:
        lines.append(f"published files of this network: {', '.join(fits)}")
    return lines
