"""`python -m suite export WEIGHTS OUT`: write any weights under the authors' names, for their code or as safetensors."""

from __future__ import annotations

import argparse
from pathlib import Path

from suite.cli import common
from suite.core.errors import Exit, SuiteError
from suite.core.files import sha256_of
from suite.core.output import Output, note

SUMMARY = "write weights under the authors' names, for their code or as safetensors"
EXAMPLE = "export FILE out.pth --model mambair-sr-x4"
WEIGHT_FORMATS = ("official", "safetensors")  # of suite.measure.inference.weights, which is not loaded for the help
KEYS = ("params", "params_ema")


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    verb.add_argument("weights", type=Path, metavar="WEIGHTS", help=common.WEIGHTS)
    verb.add_argument("target", type=Path, metavar="OUT", help="the file to write")
    verb.add_argument("--model", required=True, metavar="NAME", help="the network of the weights: a name of `list models`")
    verb.add_argument(
        "--format",
        choices=WEIGHT_FORMATS,
        default=WEIGHT_FORMATS[0],
        help="torch's format, for the authors' code, or safetensors (default: %(default)s)",
    )
    verb.add_argument("--key", choices=KEYS, help="key of the weights in the file (default: the key that they were read from, else params)")
    verb.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    common.add_shared(verb, "--plugin", "--json")


def run(options: argparse.Namespace, out: Output) -> Exit:
    """Read the weights, fit them to the network, and write them."""
    import models
    from suite.measure.inference import weights

    models.card(options.model)
    target = options.target
    if target.is_dir():
        raise SuiteError(f"{target} is a folder; name the file to write.")
    if target.exists() and not options.overwrite:
        raise SuiteError(f"{target} exists and is not overwritten. Choose another file, or give --overwrite.")
    found = weights.read_weights(options.weights)
    network = models.create(options.model)
    used = weights.give_weights(network, found, options.model)
    note(used.sentence(options.weights))
    key = options.key or {"average": "params_ema"}.get(used.which, used.which if used.which in KEYS else KEYS[0])
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
