"""Grey JPEG against the values that papers print for their input."""

import numpy as np
import pytest

from suite.data.colour import grey
from suite.data.degrade import jpeg
from suite.data.images import read_image
from suite.data.sets import load_pairs
from suite.measure.quality.evaluate import evaluate
from suite.study.protocols import protocol
from suite.study.tasks import task

CLASSIC5 = {10: (27.82, 0.7595), 20: (30.12, 0.8344), 30: (31.48, 0.8666), 40: (32.43, 0.8849)}


@pytest.mark.outside
@pytest.mark.parametrize("quality", CLASSIC5)
def test_classic5_has_its_published_input(outside, quality):
    rule, row = protocol("jpeg-grey"), task(f"jpeg-{quality}")
    scores, _ = evaluate(lambda low: low, load_pairs(str(outside / "Classic5"), "test", row, rule), rule, 1)
    assert len(scores) == 5
    for metric, published, digits in zip(rule.fidelity, CLASSIC5[quality], (0.005, 0.00005), strict=True):
        assert np.mean([score.metrics[metric] for score in scores]) == pytest.approx(published, abs=digits * 1.001)


@pytest.mark.outside
def test_a_grey_file_stays_what_it_is(outside):
    path = outside / "Classic5" / "lena.bmp"
    np.testing.assert_array_equal(grey(read_image(path)), read_image(path)[..., 0])


def test_lower_quality_is_worse_and_shapes_stay():
    plane = np.random.default_rng(0).integers(0, 256, (33, 41, 1), dtype=np.uint8)
    errors = [np.square(jpeg.compress(plane, quality).astype(float) - plane).mean() for quality in (10, 20, 30, 40)]
    assert errors == sorted(errors, reverse=True)
    assert jpeg.compress(plane, 10).shape == plane.shape


def test_the_encoder_is_named():
    assert jpeg.encoder().startswith("Pillow ")
    assert "libjpeg" in jpeg.encoder()
