"""Made-up evaluations of given weights."""

from synthetic_records import provenance

from suite.records.kinds.evaluation import Evaluation, EvaluationSpec, GivenWeights
from suite.records.record import ImageScore, ProtocolUsed, TestData
from suite.study.tasks import TEST_IMAGES

SHA = "ab" * 32


def evaluation(model="bicubic", task="sr-x2", *, test_set="Set5", mean=30.0, sha="", state="unknown", entry="", metric="PSNR-Y", **fields):
    """A record of `model` on all images of a test set; `sha` is of its weights, and `fields` are the spec's or `inference`."""
    count = TEST_IMAGES.get(test_set, 5)
    inference = fields.pop("inference", ("whole",) * count)
    rule, version = fields.setdefault("protocol", "sr-y@1").split("@")
    backend = "numba" if sha else "none"
    spec = EvaluationSpec(
        **{"model": model, "task": task, "weights": sha, "test_set": test_set, "data_digest": "cd" * 32, "backend": backend} | fields
    )
    weights = {"file": "theirs.pth", "sha256": sha, "bytes": 9, "which": "params", "names": "authors", "tensors": 3, "design": "MambaIR"}
    offsets = [0.5 * (index % 7) for index in range(count)]
    centre = sum(offsets) / count
    return Evaluation(
        fingerprint=spec.fingerprint,
        spec=spec,
        status="done",
        protocol=ProtocolUsed(name=rule, version=int(version), statement="whole image without tiling."),
        scores=tuple(ImageScore(image=f"{i:03d}", metrics={metric: mean + one - centre}) for i, one in enumerate(offsets)),
        test_data=TestData(card=test_set, expected=count, measured=count, state="verified"),
        weights=GivenWeights(**weights, configuration={"dim": 180}, state=state, entry=entry) if sha else None,
        inference=inference,
        evaluate_seconds=1.0,
        provenance=provenance(data_checksums={f"test ({test_set})": "cd" * 32}),
    )
