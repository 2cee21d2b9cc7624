"""`python -m suite export WEIGHTS OUT`: weights of anyone's, under the authors' names, for their code or as safetensors."""

from __future__ import annotations

import argparse
from pathlib import Path

from suite.core.errors import Exit, SuiteError
from suite.core.files import sha256_of
from suite.core.output import Output, note

SUMMARY = "write weights under the authors' names, for their code or as safetensors"
FORMATS = ("official", "safetensors")  # of suite.measure.inference.weights, which is not loaded for the help
KEYS = ("params", "params_ema")


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """The verb's options."""
    verb.add_argument("weights", type=Path, metavar="WEIGHTS", help="checkpoint: the authors', or of these networks, or safetensors")
    verb.add_argument("target", type=Path, metavar="OUT", help="the file to write")
    verb.add_argument("--model", required=True, metavar="NAME", help="the network that they are of: a name of `list models`")
    verb.add_argument(
        "--format",
        choices=FORMATS,
        default=FORMATS[0],
        help="torch's file as the authors' code reads it, or safetensors (default: %(default)s)",
    )
    verb.add_argument("--key", choices=KEYS, help="what they are written as (default: as they were read, else params)")
    verb.add_argument("--overwrite", action="store_true", help="replace OUT if it is there")
    verb.add_argument("--json", action="store_true", help="print one JSON document on standard output, and nothing else there")


def run(options: argparse.Namespace, out: Output) -> Exit:
    """Reads, fits to the network, and writes."""
    import models
    from suite.measure.inference import weights

    models.card(options.model)
    target = options.target
    if target.is_dir():
        raise SuiteError(f"{target} is a folder; name the file to write.")
    if target.exists() and not options.overwrite:
        raise SuiteError(f"{target} is there; nothing is overwritten. Choose another file, or say --overwrite.")
    found = weights.read(options.weights)
    network = models.create(options.model)
    used = weights.load(network, found, options.model)
    note(used.sentence(options.weights))
    key = options.key or {"average": "params_ema"}.get(used.which, used.which if used.which in KEYS else KEYS[0])
    count = weights.write(target, network, options.model, options.format, key)
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
