"""Records that make the pages of the browser's tests: invented, with pictures whose differences are known."""

import io

import numpy as np
import scan_records
import synthetic_records as made
from PIL import Image

from suite.core.paths import ROOT
from suite.records.ledger import Ledger
from suite.records.pictures import Png
from suite.records.record import Crop

ATTACK = "<script>alert(1)</script><img src=x onerror=alert(2)>"
FULL, V1, V2 = made.VMAMBAIR[:3]


def png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return Png.of(stream.getvalue())


def known():
    """The input equals the target, one network's right half is 20 levels off, another's picture cannot be decoded, others' are as usual."""
    target = np.tile(np.arange(40, dtype=np.uint8)[:, None, None] * 5, (1, 40, 3))
    right = target.copy()
    right[:, 20:] += 20
    broken = Png.of(made.png(40, 40).data[:40])
    records = []
    for model, output in ((FULL, png(right)), (V1, broken), (V2, png(target[:30]))):
        crop = Crop(image="astronaut", input_png=png(target), output_png=output, target_png=png(target))
        records.append(made.done(model).model_copy(update={"crops": (crop,)}))
    return records


def attacked():
    records = []
    for model in (FULL, ATTACK):
        record = made.done(FULL, test_set=ATTACK)
        scores = tuple(score.model_copy(update={"image": ATTACK + score.image}) for score in record.scores)
        crops = tuple(crop.model_copy(update={"image": ATTACK + crop.image}) for crop in record.crops)
        spec = record.spec.model_copy(update={"model": model})
        records.append(record.model_copy(update={"spec": spec, "fingerprint": spec.fingerprint, "scores": scores, "crops": crops}))
    return records


def judged():
    """Both kinds of measurement beside printed numbers: comparable ones and re-trained ones; a failed cell, and timed scans."""
    paper = {"budget": "paper", "crops": False}
    comparable = [made.done(FULL, 28.48, test_set="NTIRE2020-T1", **paper), made.done(made.MAMBAIR[0], 38.2, test_set="Set5", **paper)]
    profiles = [made.profile("esrgan", macs=73.4e9, params=16_697_987), made.profile("mambair-light-x2", latency=900.0)]
    for side in (64, 96):
        pixels = (side / 64) ** 2
        profiles.append(made.profile("mambair-light-x2", (side, side), macs=6e9 * pixels, full_attention_macs=7e9 * pixels**2))
    return [*made.quick_grid(2), *profiles, *comparable, made.failed(V1, "RuntimeError: boom", seed=7), *scan_records.bench()]


def committed():
    """What every page shows beside the user's own: the records that are kept with the code."""
    return list(Ledger(ROOT / "results" / "evidence").records())


SCENES = {"committed": committed, "judged": judged, "empty": list, "quick": lambda: made.quick_grid(2), "known": known, "attack": attacked}
