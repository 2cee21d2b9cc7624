"""`python -m suite export WEIGHTS OUT`: weights under the authors' names, for their code or as safetensors; or results for a model card."""

from __future__ import annotations

import argparse
from pathlib import Path

from suite.cli import common
from suite.cli.choose import NAME, choose_records, read_held
from suite.core.errors import Exit, SuiteError
from suite.core.files import sha256_of
from suite.core.output import Output, note
from suite.core.text import count_of

SUMMARY = "write weights under the authors' names, or results as a model card holds them"
EXAMPLE = "export FILE out.pth --model mambair-sr-x4"
WEIGHT_FORMATS = ("official", "safetensors")  # of suite.measure.inference.weights, which is not loaded for the help
CARD = "model-index"
KEYS = ("params", "params_ema")


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    verb.add_argument(
        "weights", type=Path, metavar="WEIGHTS", help=f"{common.WEIGHTS}; for {CARD} whose results: such a file, or {NAME}, or '*'"
    )
    verb.add_argument("target", type=Path, metavar="OUT", help="the file to write")
    verb.add_argument(
        "--format",
        choices=(*WEIGHT_FORMATS, CARD),
        default=WEIGHT_FORMATS[0],
        help=f"torch's format, for the authors' code, or safetensors; or {CARD}: results for Hugging Face (default: %(default)s)",
    )
    verb.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    common.add_shared(verb, "--plugin", "--json")
    weights = verb.add_argument_group("weights")
    weights.add_argument("--model", metavar="NAME", help="the network of the weights: a name of `list models`")
    weights.add_argument("--key", choices=KEYS, help="key of the weights in OUT (default: params_ema for a moving average, else params)")
    weights.add_argument(
        "--read-key", metavar="NAME", default="", help="which weights of WEIGHTS, where it holds several: keys joined by dots"
    )
    card = verb.add_argument_group(f"results, with --format {CARD}")
    card.add_argument("--source", metavar="URL", help="where the results come from, e.g. the address of your repository or bundle")
    common.add_shared(card, "--ledger", "--evidence")


def run(options: argparse.Namespace, out: Output) -> Exit:
    """Write the weights, or the results."""
    common.check_target(options)
    results = {"--source": options.source, "--ledger": options.ledger, "--evidence": options.evidence}
    weights = {"--model": options.model, "--key": options.key, "--read-key": options.read_key or None}
    other, form = (weights, CARD) if options.format == CARD else (results, options.format)
    if found := next((name for name, value in other.items() if value is not None), None):
        raise SuiteError(f"{found} is not for --format {form}; it is for {'weights' if form == CARD else f'--format {CARD}'}.")
    return _export_results(options, out) if options.format == CARD else _export_weights(options, out)


def _export_results(options: argparse.Namespace, out: Output) -> Exit:
    """Write the results of some records as a model card's front matter."""
    from suite.core.files import replacing
    from suite.records.kinds.evaluation import given_weights
    from suite.records.record import Measured
    from suite.report.formats.model_index import make_index, render_index

    records = read_held(options)
    if options.weights.is_file():
        digest = sha256_of(options.weights)
        chosen = [record for record in records if isinstance(record, Measured) and given_weights(record) == digest]
        if not chosen:
            told = f"`python -m suite evaluate --weights {options.weights}` measures them"
            raise SuiteError(f"no record measured the weights {options.weights} (sha256 {digest[:12]}); {told}.", exit=Exit.NOTHING)
    else:
        chosen = choose_records(records, [str(options.weights)])
    if options.source is None:
        note("--source URL is not given: the results say by what they were measured, and not where they can be found.")
    index = make_index(chosen, options.source or "")
    try:
        with replacing(options.target) as file:
            file.write(render_index(index).encode())
    except OSError as error:
        raise SuiteError(f"{options.target} cannot be written: {error.strerror or error}.", exit=Exit.NOT_READY) from error
    if options.json:
        out.document({"out": str(options.target), "format": CARD} | index)
        return Exit.DONE
    entries = index["model-index"]
    results = sum(len(entry["results"]) for entry in entries)
    networks, told = count_of(len(entries), "network"), count_of(results, "result")
    out.line(f"{told} of {networks}, to stand between the lines --- at the head of a model card: {options.target}")
    return Exit.DONE


def _export_weights(options: argparse.Namespace, out: Output) -> Exit:
    """Read the weights, fit them to the network, and write them."""
    import models
    from suite.measure.inference import weights

    if options.model is None:
        raise SuiteError(f"--model NAME is needed for --format {options.format}: a name of `python -m suite list models`.")
    models.card(options.model)
    target = options.target
    found = weights.read_weights(options.weights, options.read_key, options.model, "--read-key NAME takes one of them.")
    network = models.create(options.model)
    used = weights.give_weights(network, found, options.model)
    note(used.sentence(options.weights))
    key = options.key or KEYS[used.averaged]
    count = weights.write_weights(target, network, options.model, options.format, key)
    if options.json:
        out.document(
            {
                "model": options.model,
                "weights": str(options.weights),
                "loaded": used.as_dict(),
                "out": str(target),
                "format": options.format,
                "key": key,
                "tensors": count,
                "bytes": target.stat().st_size,
                "sha256": sha256_of(target),
            }
        )
    else:
        out.line(f"{count} tensors of {options.model} under the authors' names, as {key}: {target} ({options.format})")
    return Exit.DONE
