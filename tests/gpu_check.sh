#!/usr/bin/env bash
# What can only be checked on a GPU, in one call of less than ten minutes. Run in the root of the checkout; every part says what it did.
#
#   1. conformance of the GPU backends (pytest, tests/models/scan/test_backends.py and tests/models/scan/test_triton.py), up to 20,164 steps and an image of 142x142
#   2. the mamba-ssm extension for this GPU alone, if its source package is given and nvcc is there
#   3. compute-sanitizer over one small scan, forward and gradients, if the tool is there
#   4. python -m suite scan --device cuda, kept as results/gpu/scan.json with its ledger in results/gpu/runs; what was measured is kept in
#      results/evidence, too (python -m suite records keep)
#   5. the blind degradation on the GPU against the CPU's (tests/data/degrade/test_blind_torch.py), and python -m suite data speed real-sr-x4 with the
#      degradation left to the GPU, kept as results/gpu/data-speed.json
#
# Needs: Python 3.11 or later with torch and triton. If the machine reaches no package index, carry along what it lacks as wheels in a
# folder and name that in WHEELS:  pydantic, pydantic-core, annotated-types, typing-inspection, typing-extensions, psutil  (the verb);  pytest,
# hypothesis, sortedcontainers, iniconfig, pluggy, packaging, pygments  (part 1);  jinja2, markupsafe  (the page: if they are left out,
# `python -m suite report --ledger results/gpu/runs` makes it elsewhere). `pip download -d FOLDER pydantic psutil pytest hypothesis jinja2` with
# the machine's Python version fetches them. Ray, numba and pandas are not needed; SciPy, Pillow and scikit-image for part 5 alone, which is
# skipped without them.
#
#   WHEELS=folder       wheels to install first, without an index
#   MAMBA_SDIST=file    mamba_ssm-*.tar.gz, for part 2; takes minutes on many cores
#   OUT=folder          where results go (default: results/gpu)
#   EVIDENCE=folder     where the records of part 4 are kept (default: results/evidence)
#   SECONDS_EACH=1.0    how long each time is measured
#
# The exit code is that of the first part that failed; parts after it run all the same.
set -u
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
OUT=${OUT:-results/gpu}
EVIDENCE=${EVIDENCE:-results/evidence}
mkdir -p "$OUT"
code=0

part() { printf '\n== %s\n' "$*"; }
failed() { local found=$?; printf '== FAILED with %s: %s\n' "$found" "$*"; [ "$code" -ne 0 ] || code=$found; }
skipped() { printf '== skipped: %s\n' "$*"; }

if [ -n "${WHEELS:-}" ]; then
    "$PYTHON" -m pip install --quiet --no-index --find-links "$WHEELS" pydantic psutil pytest hypothesis || failed "installing from $WHEELS"
    "$PYTHON" -m pip install --quiet --no-index --find-links "$WHEELS" jinja2 || skipped "the page, without jinja2"
fi

part "machine"
nvidia-smi --query-gpu=name,driver_version,compute_cap,memory.total --format=csv,noheader || failed "no NVIDIA driver"
"$PYTHON" -c 'import torch, triton, sys; print("python", sys.version.split()[0], "torch", torch.__version__, "triton", triton.__version__, torch.cuda.get_device_name())' || failed "torch or triton"

if [ -n "${MAMBA_SDIST:-}" ]; then
    part "the mamba-ssm extension, for this GPU's architecture alone"
    if command -v nvcc > /dev/null; then
        CUDA_HOME=${CUDA_HOME:-$(dirname "$(dirname "$(readlink -f "$(command -v nvcc)")")")}
        architecture=$("$PYTHON" -c 'import torch; print("%d%d" % torch.cuda.get_device_capability())')
        build=$(mktemp -d)
        tar -xzf "$MAMBA_SDIST" -C "$build" --strip-components=1
        # Its setup.py asks for nine architectures, whatever TORCH_CUDA_ARCH_LIST says; one is enough here and takes a ninth of the time.
        "$PYTHON" - "$build/setup.py" "$architecture" <<'EDIT' || failed "setup.py of mamba-ssm is not as expected"
import re
import sys

path, architecture = sys.argv[1:]
text = open(path, encoding="utf-8").read()
lines = re.sub(r'cc_flag\.append\("-gencode"\)\n\s*cc_flag\.append\("arch=compute_\w+,code=sm_\w+"\)', "pass", text)
lines = lines.replace("cc_flag = []", f'cc_flag = ["-gencode", "arch=compute_{architecture},code=sm_{architecture}"]')
assert "arch=compute_" + architecture in lines
open(path, "w", encoding="utf-8").write(lines)
EDIT
        (cd "$build" && CUDA_HOME=$CUDA_HOME MAX_JOBS=$(nproc) MAMBA_FORCE_BUILD=TRUE timeout 420 "$PYTHON" -m pip install --quiet --no-build-isolation --no-deps .) \
            || failed "building mamba-ssm"
        rm -rf "$build"
    else
        skipped "nvcc is not installed"
    fi
else
    part "the mamba-ssm extension"
    skipped "MAMBA_SDIST names no source package; where the extension is installed it is verified and timed"
fi

part "conformance on the GPU"
tests=()
for file in tests/models/scan/test_backends.py tests/models/scan/test_triton.py; do [ -f "$file" ] && tests+=("$file"); done
timeout 240 "$PYTHON" -m pytest -q -p no:cacheprovider "${tests[@]}" -k "triton or cuda or gpu" || failed "conformance"

part "compute-sanitizer"
if command -v compute-sanitizer > /dev/null; then
    for backend in triton cuda; do
        timeout 90 compute-sanitizer --error-exitcode 9 --log-file "$OUT/sanitizer-$backend.txt" "$PYTHON" -c "
import sys
from models.scan.backends import BACKENDS, BackendUnavailable, resolve_backend
from models.scan.cases import CASES
from suite.measure.scans.check import measure_errors, tolerance
name, case = '$backend', CASES['length-65']
try:
    resolve_backend(name, 'cuda')
except (BackendUnavailable, KeyError) as error:
    sys.exit(print('not run:', error))
errors = measure_errors(name, case, 'cuda')
print(name, errors)
sys.exit(any(error > tolerance(case, tensor) for tensor, error in errors.items()))
" || failed "compute-sanitizer with $backend"
    done
else
    skipped "compute-sanitizer is not installed"
fi

part "python -m suite scan --device cuda"
timeout 400 "$PYTHON" -m suite scan --device cuda --seconds "${SECONDS_EACH:-1.0}" --json --ledger "$OUT/runs" --report "$OUT/html" > "$OUT/scan.json" || failed "the scan verb"
"$PYTHON" - "$OUT/scan.json" <<'SHOW' || failed "no result"
import json
import sys

document = json.load(open(sys.argv[1], encoding="utf-8"))
for record in document["records"]:
    print(record["spec"]["backend"], record["status"], (record["error"] or "").strip().splitlines()[-1:])
    for timing in (record["findings"] or {}).get("timings", []):
        print("  %-20s %-12s %-16s %s" % (timing["case"], timing["path"], timing["work"], timing["median_ms"] or timing["skipped"]))
for absent in document["unavailable"]:
    print(absent["name"], "unavailable:", absent["reason"])
SHOW

part "evidence"
"$PYTHON" -m suite records keep '*' --ledger "$OUT/runs" --evidence "$EVIDENCE" || failed "keeping the records"

part "degradation on the GPU"
if "$PYTHON" -c 'import PIL, scipy, skimage' 2> /dev/null; then
    timeout 120 "$PYTHON" -m pytest -q -s -p no:cacheprovider tests/data/degrade/test_blind_torch.py -k cuda || failed "degradation on the GPU"
    timeout 120 "$PYTHON" -m suite data speed real-sr-x4 --device cuda --json > "$OUT/data-speed.json" || failed "the speed of training data"
    "$PYTHON" - "$OUT/data-speed.json" <<'SPEED' || failed "no speed"
import json
import sys

for one in json.load(open(sys.argv[1], encoding="utf-8")):
    where = f"left to {one['device']}, {one['device_ms']:.1f} ms a batch there" if one["device"] else "by workers"
    print(f"{one['task']}: {one['workers']} workers, {one['samples_per_second']:.0f} samples/s, {one['batch_ms']:.0f} ms a batch of {one['batch']}; degraded {where}")
SPEED
else
    skipped "SciPy, Pillow or scikit-image is not installed"
fi

part "done, exit code $code; results in $OUT"
exit "$code"
