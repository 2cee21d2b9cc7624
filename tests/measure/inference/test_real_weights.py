"""Networks of others, end to end: files of real weights on an image of Set5, by every backend of this processor, whole and in tiles.

They are no part of the checkout: where they are not beside it, the tests are skipped. All five images, and the slow backend, are in
results/LOG.md.
"""

import pytest
from places import OUTSIDE, SHARED

from models.scan.backends import BACKENDS, BackendUnavailable, resolve_backend
from suite.core.files import sha256_of
from suite.data.sets import pair_sources
from suite.measure.quality.evaluate import EvaluationJob, Inference, Model, measure_set
from suite.study.protocols import protocol
from suite.study.tasks import task

WEIGHTS, SET5 = SHARED / "weights", OUTSIDE / "Set5_SwinIR"
SMALL = "butterfly"
# (file, network): the sha256, and PSNR-Y (dB) and SSIM-Y of butterfly as other implementations give them.
KNOWN = {
    ("T_PMambaSR_x4.pth", "tpmambasr-light-x4"): (
        "4e96b6aa41f3e6bbde5c8d16a25544b345c9c6e73a511bdd34185f4a064f6420",
        (29.4914, 0.9347),
    ),
    ("team40_mambairv2light.pth", "mambairv2-light-x4"): (
        "3e80def799232727ff0663f2b922135ba7d377699ad7b527862256f402414317",
        (29.1285, None),
    ),
}
FAST = [name for name, row in BACKENDS.items() if "cpu" in row.devices and name not in ("reference", "triton")]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(not (WEIGHTS.is_dir() and SET5.is_dir()), reason=f"no real weights and images in {SHARED}"),
]


@pytest.mark.parametrize("tile", ["whole", "authors"])
@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize("file", KNOWN, ids=lambda file: file[1])
def test_real_weights_restore_as_is_known(file, backend, tile):
    name, model = file
    digest, (psnr, ssim) = KNOWN[file]
    try:
        resolve_backend(backend, "cpu")
    except BackendUnavailable as error:
        pytest.skip(str(error))
    assert sha256_of(WEIGHTS / name) == digest
    row, rule = task("light-sr-x4"), protocol("sr-y")
    (source,) = (one for one in pair_sources(str(SET5), "test", row, rule) if one.name == SMALL)
    inference = Inference(tile=tile, backend=backend, routing="deterministic")
    job = EvaluationJob(model, row, rule, WEIGHTS / name, inference)
    (found,) = measure_set(job, Model(job, print), [source])
    assert found.inference == ("whole" if tile == "whole" else "authors tiles of 200")  # which do not cut an image so small
    assert found.score.metrics["PSNR-Y"] == pytest.approx(psnr, abs=0.002)
    assert ssim is None or found.score.metrics["SSIM-Y"] == pytest.approx(ssim, abs=1e-4)
