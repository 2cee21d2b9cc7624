"""The Triton kernels: results do not depend on how walks are divided, and they fit a GPU's registers; no GPU is needed.

Triton looks at TRITON_INTERPRET when kernels are defined, so each of the two kinds of test has processes of its own.
"""

import json
import os
import subprocess
import sys

import pytest
from places import ROOT

pytest.importorskip("triton")

DIVIDED = """
import json
from dataclasses import replace
import torch
from models.scan.backends import triton as backend
from models.scan.cases import Case, arguments, image_arguments

torch.set_num_threads(1)
case = Case("divided", 1, 4, 3, 3, 17, side=6, rank=2)
scan, image = arguments(replace(case, groups=1)), image_arguments(case, 4, height=2)
division_of = backend.division_of

def results(steps, span):
    backend.STEPS, backend.division_of = steps, lambda args: replace(division_of(args), span=span)
    y, kept = backend.forward(scan, True, True)
    y_image, kept_image = backend.image_forward(image, True)
    found = [y, *backend.backward(y, kept, scan, True), y_image, *backend.image_backward(y_image, kept_image, image)]
    assert torch.equal(y, backend.forward(scan, True, False)[0])
    return found

whole = results(32, 1000)
errors = {}
for steps, span in ((32, 1000), (32, 1), (5, 1), (3, 2)):
    found = results(steps, span)
    errors[f"{steps} steps, {span} pieces"] = [float((a - b).norm() / b.norm()) for a, b in zip(found, whole)]
print(json.dumps({"interpreted": backend.interpreted(), "unavailable": backend.unavailable(), "errors": errors}))
"""

# Softplus, the bias and the skip are a step's own, and take the interpreter half of its time; tests/models/scan/test_backends.py has them.
# The interpreter puts its own functions into Triton's language at every call of a jitted function from another, which takes it as long as
# the rest: here it does so once for each set of modules, until the outermost call ends.
LONG = """
import contextlib, inspect, json
from dataclasses import replace
from triton.runtime import interpreter
from suite.measure.scans.check import CASES, measure_errors, tolerance
from models.scan.backends import triton as backend
from models.scan.backends.triton import Division

patch, patched = interpreter._patch_lang, set()

def patch_once(fn):
    modules = frozenset(id(x) for x in fn.__globals__.values() if inspect.ismodule(x) and x in (interpreter.tl, interpreter.tl.core))
    done = contextlib.ExitStack()
    done.restore = done.close
    if modules not in patched:
        patched.add(modules)
        done.callback(patched.remove, modules)
        done.callback(patch(fn).restore)
    return done

if hasattr(interpreter, "_LangPatchScope"):  # an older Triton takes what it takes
    interpreter._patch_lang = patch_once
case = replace(CASES["length-20164"], groups=1, width=8, length=2000, side=0, softplus=False, bias=False, skip=False)
_, chunks = Division(False, case.batch, case.groups, 1, case.length, case.width, case.states, 0).divided()
shares = {name: error / tolerance(case, name) for name, error in measure_errors("triton", case).items()}
print(json.dumps({"chunks": chunks, "ahead": backend.AHEAD, "shares": shares}))
"""

REFUSED = "from models.scan.backends.triton_ahead import compile_all; compile_all()"

AHEAD = """
import dataclasses, json, sys
from models.scan.backends import triton as backend
from models.scan.backends.triton_ahead import compile_all, problems, variants

rows = compile_all((90,), ["light, image, fp32"])
print(json.dumps({
    "interpreted": backend.interpreted(),
    "rows": [dataclasses.asdict(row) for row in rows],
    "problems": problems(rows),
    "of a spill": problems([dataclasses.replace(rows[0], stack_bytes=8, registers=255)]),
    "variants": [variant.name for variant in variants()],
}))
"""


def run(program, *, interpret, folder):
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment |= {"PYTHONPATH": str(ROOT), "TRITON_CACHE_DIR": str(folder)} | ({"TRITON_INTERPRET": "1"} if interpret else {})
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env=environment)


def answer(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_results_do_not_depend_on_how_walks_are_divided(tmp_path):
    found = answer(run(DIVIDED, interpret=True, folder=tmp_path))
    assert found["interpreted"]
    assert found["unavailable"] is None
    assert found["errors"].pop("32 steps, 1000 pieces") == [0.0] * 15  # the same bits again
    for division, errors in found["errors"].items():
        assert max(errors) < 1e-6, division


@pytest.mark.slow
def test_two_thousand_steps_are_scanned_in_many_chunks(tmp_path):
    found = answer(run(LONG, interpret=True, folder=tmp_path))
    assert found["chunks"] > 3 * found["ahead"]  # what is carried over is carried over in several turns
    assert set(found["shares"]) == {"y", "u", "delta", "A", "B", "C"}
    assert max(found["shares"].values()) <= 1


@pytest.mark.slow
def test_kernels_compile_without_a_gpu_and_do_not_spill(tmp_path):
    found = answer(run(AHEAD, interpret=False, folder=tmp_path))
    assert not found["interpreted"]
    assert found["problems"] == []
    rows = {row["kernel"]: row for row in found["rows"]}
    assert len(rows) == 5
    assert rows["scan_outputs"]["target"] == "sm_90"
    assert 5 < rows["scan_outputs"]["per_element"] < 12  # a product, a power, two multiply-adds, and what a step costs all its states
    assert [problem.partition(" takes")[0].partition(" spills")[0] for problem in found["of a spill"]] == [
        "chunk_ends of light, image, fp32 for sm_90"
    ] * 2
    assert {"base, image, bf16", "channel, plain, fp32"} < set(found["variants"])


def test_interpreted_kernels_are_not_compiled(tmp_path):
    done = run(REFUSED, interpret=True, folder=tmp_path)
    assert done.returncode != 0
    assert "unset TRITON_INTERPRET" in done.stderr
