"""How a batch is shared among workers and passes, and what is refused before anything runs."""

import pytest
from fake_cells import spec

from suite.core.errors import SuiteError
from suite.runner.crew import Crew
from suite.training.share import Share, check_share, describe_share

PROGRESSIVE = {"stages": ((2, 16, 8), (2, 24, 3))}


@pytest.mark.parametrize("batch", [1, 5, 8, 64])
@pytest.mark.parametrize("world", [1, 2, 3, 7])
@pytest.mark.parametrize("micro_batch", [0, 1, 3])
def test_every_image_of_a_batch_is_taken_once(batch, world, micro_batch):
    passes = [Share(rank, world, micro_batch).passes(batch) for rank in range(world)]
    assert [place for each in passes for places in each for place in places] == list(range(batch))
    shares = [sum(map(len, each)) for each in passes]
    assert max(shares) - min(shares) <= 1


@pytest.mark.parametrize(
    ("batch", "workers", "micro_batch", "expected"),
    [
        (32, 2, 4, "batch 32 = 2 workers x 4 passes of 4"),
        (32, 2, 0, "batch 32 = 2 workers x 1 pass of 16"),
        (32, 1, 4, "batch 32 = 8 passes of 4"),
        (10, 2, 3, "batch 10 = 2 workers x 2 passes of at most 3"),
        (5, 2, 0, "batch 5 = 2 workers with 2 or 3 images x 1 pass of at most 3"),
    ],
)
def test_the_sum_is_told(batch, workers, micro_batch, expected):
    assert describe_share(spec("m", batch=batch), workers, micro_batch) == expected


def test_stages_are_told_one_by_one():
    assert describe_share(spec("m", **PROGRESSIVE), 2, 0) == (
        "stage 1: batch 8 = 2 workers x 1 pass of 4; stage 2: batch 3 = 2 workers with 1 or 2 images x 1 pass of at most 2"
    )


def test_a_stage_with_fewer_images_than_workers_is_refused():
    check_share(spec("m", **PROGRESSIVE), 3)
    with pytest.raises(SuiteError, match=r"stage 2 \(patch 24\) has a batch of 3, which 4 workers cannot.*--workers-per-trial 3 at most"):
        check_share(spec("m", **PROGRESSIVE), 4)


@pytest.mark.parametrize(
    ("crew", "launcher", "device", "words"),
    [
        (Crew(0, None, ""), "ray", "cpu", "at least 1 worker"),
        (Crew(1, 1, ""), "ray", "cuda", "are for several workers"),
        (Crew(1, None, "s3://bucket"), "ray", "cpu", "are for several workers"),
        (Crew(2, None, ""), "inline", "cpu", "needs Ray"),
        (Crew(2, 1, ""), "ray", "cpu", "--gpus-per-worker 1 and the device cpu do not go together"),
        (Crew(2, 0, ""), "ray", "cuda", "--gpus-per-worker 0 and the device cuda do not go together"),
        (Crew(2, -1, ""), "ray", "cpu", "do not go together"),
        (Crew(9, None, ""), "ray", "cpu", "9 workers cannot share"),
    ],
)
def test_what_cannot_be_is_refused(crew, launcher, device, words):
    with pytest.raises(SuiteError, match=words):
        crew.checked(launcher, [spec("m", device=device, batch=8)])


def test_what_is_meant_is_filled_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Crew(1, None, "").checked("inline", [spec("m")]) == Crew(1, None, "")
    assert Crew(2, None, "kept").checked("ray", [spec("m", batch=2)]) == Crew(2, 0, str(tmp_path / "kept"))
    assert Crew(2, None, "s3://bucket/a").checked("ray", [spec("m", batch=2, device="cuda")]) == Crew(2, 1, "s3://bucket/a")
