"""Made-up records for the report's tests: every number is a formula of the model's place and the seed, none was measured."""

import math
import struct
import zlib

from suite.records.kinds.profile import Latency, ProfileCost, ProfileRecord, ProfileSpec
from suite.records.pictures import Png
from suite.records.planned import Choice, plan_family
from suite.records.record import Cost, Crop, HistoryPoint, ImageScore, ProtocolUsed, Provenance, ReceptiveField, Record
from suite.records.spec import RunSpec
from suite.study.grids import ModelOnTask
from suite.study.tasks import TASKS, TEST_IMAGES

VMAMBAIR = tuple("vmambair-realsr-x4" + v for v in ("", ".one-way-scan", ".no-channel-scan", ".no-effn", ".linear-projection"))
MAMBAIR = tuple("mambair-sr-x2" + v for v in ("", ".no-conv", ".no-conv-no-ca", ".mlp", ".one-direction", ".two-direction"))
MACS = dict(zip(VMAMBAIR, (19.45e9, 17.9e9, 19.43e9, 19.1e9, 19.45e9), strict=True)) | {
    m: (110.5 - 4 * i) * 1e9 for i, m in enumerate(MAMBAIR)
}
IMAGES = ("astronaut", "chelsea", "coffee", "hubble", "ihc", "rocket")


def png(width=24, height=24, shift=0):
    """A small colour gradient."""
    rows = b"".join(
        b"\0" + b"".join(bytes(((x * 9 + shift) % 256, (y * 9) % 256, (x * y + 3 * shift) % 256)) for x in range(width))
        for y in range(height)
    )

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return Png.of(data)


def images_of(test_set):
    """How many images a published test set has; any other has those of IMAGES."""
    counts = {name.casefold().replace("-", ""): count for name, count in TEST_IMAGES.items()}
    return counts.get(test_set.casefold().replace("-", ""), len(IMAGES))


def spec(model, *, budget="quick", seed=0, test_set="photos", backend="numba"):
    """The spec of one cell: a narrow network at the quick budget, the whole recipe at the paper budget."""
    quick = budget == "quick"
    task = TASKS["real-sr-x4" if model.startswith("vmambair") else "sr-x2"]
    if budget == "paper":
        changes = {"train_set": "+".join(task.train_sets), "test_set": test_set, "protocol": "sr-y@1"}
        return plan_family(ModelOnTask(model, task.name, published=True), seed, Choice("paper", backend, "cpu", "released", changes))[-1]
    return RunSpec(
        model=model,
        task=task.name,
        budget=budget,
        seed=seed,
        backend=backend,
        width=16 if quick else 0,
        depth_divisor=3 if quick else 1,
        iterations=300 if quick else 300_000,
        batch=4 if quick else 72,
        patch=64 if quick else 256,
        lr=2e-4,
        test_set=test_set,
        protocol="sr-y@1",
    )


def provenance(**changes):
    """Provenance on an invented machine."""
    fields = {
        "started": "2026-03-02T10:00:00+00:00",
        "finished": "2026-03-02T10:04:30+00:00",
        "commit": "0123abc",
        "dirty": False,
        "packages": {"torch": "2.6.0", "numpy": "2.1.0"},
        "machine": {"cpu": "Example CPU", "cores": 2, "memory_gib": 24.0},
        "threads": 1,
        "launcher": "ray",
        "backend_reason": "no GPU is visible and no compiler is needed",
        "data_checksums": {"photos/test": "ab" * 32},
    }
    return Provenance(**(fields | changes))


def done(model, psnr=None, *, crops=True, **where):
    """A finished cell; `psnr` is the mean over the images, else a formula of the model."""
    chosen = spec(model, **where)
    place = (VMAMBAIR + MAMBAIR).index(model)
    mean = 26.0 - 0.11 * place + 0.02 * math.sin(7 * chosen.seed + place) if psnr is None else psnr
    names = (*IMAGES, *(f"{index:04}" for index in range(6, 2800)))[: images_of(chosen.test_set)]
    offsets = [1.5 * math.sin(2.1 * index) + 0.05 * math.cos(place + 3 * index) for index in range(len(names))]
    centre = sum(offsets) / len(offsets)
    scores = tuple(
        ImageScore(image=name, metrics={"PSNR-Y": mean + offset - centre, "SSIM-Y": 0.8 + offset / 50})
        for name, offset in zip(names, offsets, strict=True)
    )
    history = tuple(
        HistoryPoint(
            iteration=n,
            loss=0.08 * math.exp(-n / 150) + 0.02 + 0.001 * place,
            validation={"PSNR-Y": mean - 3 * math.exp(-n / 100)} if n % 100 == 0 else {},
        )
        for n in range(50, 301, 50)
    )
    full = MACS[model]
    return Record(
        fingerprint=chosen.fingerprint,
        spec=chosen,
        status="done",
        protocol=ProtocolUsed(name="sr-y", version=1, statement="PSNR and SSIM on BT.601 Y, as many border pixels as the scale left out."),
        scores=scores,
        history=history,
        cost=Cost(params=10_497_813 - place, macs=full, scan_macs=0.2 * full, input_size=(64, 64)),
        trained_params=1_000_000 + place,
        train_seconds=31.5,
        evaluate_seconds=4.25,
        receptive_field=ReceptiveField(
            side=24, map_png=png(shift=place), shares={"20": 0.01, "50": 0.05 + place / 100, "99": 0.9}, images=6
        ),
        crops=tuple(Crop(image=n, input_png=png(), output_png=png(shift=5 * place + 9), target_png=png(shift=90)) for n in IMAGES[:2])
        if crops
        else (),
        provenance=provenance(),
    )


def failed(model, error, **where):
    """A cell that ended with `error`."""
    chosen = spec(model, **where)
    return Record(fingerprint=chosen.fingerprint, spec=chosen, status="failed", attempt=2, error=error, provenance=provenance())


def profile(model, size=(64, 64), *, macs=19.45e9, conventions=None, latency=None, backend="cpp", **cost):
    """A profile of `model`: counted, and timed where `latency` gives the median in ms."""
    timed = latency is not None
    where = {"backend": backend, "threads": 2, "machine": "m" * 16} if timed else {"backend": "none"}
    of = ProfileSpec(model=model, input_size=size, timed=timed, software="s" * 16, **where)
    counted = {"params": 10_497_813, "parts": (), "by_operator": {"conv": macs}, "unsupported": {}}
    counted |= {"flops": 2 * macs, "scan_macs": 0.2 * macs}
    times = None
    if timed:
        ends = {"median_ms": latency, "quartiles_ms": (0.9 * latency, 1.1 * latency), "samples_ms": (latency,) * 5}
        times = Latency(cold_ms=3 * latency, warm_up=3, noisy=False, peak_memory_mib=100.0, **ends)
    return ProfileRecord(
        fingerprint=of.fingerprint,
        spec=of,
        status="done",
        label=model,
        source="suite",
        cost=ProfileCost(macs=macs, conventions=conventions or {"fvcore": macs}, **(counted | cost)),
        latency=times,
        provenance=provenance(),
    )


def quick_grid(seeds=1, *, crops=True):
    """Every model of both papers' ablations at the quick budget."""
    return [done(model, seed=seed, crops=crops) for model in VMAMBAIR + MAMBAIR for seed in range(seeds)]
