"""Checkpoints under fire: killed writers, torn and changed files, full and unwritable disks; the state before is always there."""

import errno
import multiprocessing
import os
import random
import shutil
import time
from pathlib import Path

import pytest
import torch

from suite.core import files, tensors
from suite.core.errors import Exit, SuiteError
from suite.training import checkpoints as checkpoint
from suite.training.checkpoints import ASIDE, CHECKPOINT_NAME, SINGLE_FILE, Checkpoints, prove_writable

CELL = "0123456789abcdef"


def state_of(iteration):
    return {"weights": torch.full((64, 8), float(iteration)), "losses": [0.5, 0.25], "name": "a text"}


def saved(folder, *iterations, keep=2):
    found = Checkpoints(folder, CELL, keep)
    for iteration in iterations:
        found.save(iteration, state_of(iteration))
    return found


def newest(checkpoints):
    return checkpoints.files()[-1].path


def untold(message):
    raise AssertionError(message)


def test_the_last_and_the_best_are_kept_and_come_back(tmp_path):
    found = Checkpoints(tmp_path / "work", CELL)
    assert found.latest(untold) is None
    for iteration, score in ((100, 27.5), (200, 30.000000000000004), (300, None), (400, 29.0), (1_000_000_000, float("nan"))):
        found.save(iteration, state_of(iteration), score)
    assert [one.iteration for one in found.files()] == [200, 400, 1_000_000_000]
    assert found.files()[0].score == 30.000000000000004
    state = found.latest(untold)
    assert (state["iteration"], state["fingerprint"], state["losses"]) == (1_000_000_000, CELL, [0.5, 0.25])
    assert torch.equal(state["weights"], state_of(10**9)["weights"])
    assert tensors.read(found.files()[0].path)["iteration"] == 200


@pytest.mark.parametrize("score", [0.0, -3.25, 1e-7, 1e22, float("inf"), 28.123456789012345])
def test_every_score_survives_in_the_name(tmp_path, score):
    found = Checkpoints(tmp_path, CELL)
    found.save(1, state_of(1), score)
    assert found.files()[0].score == score


def test_names_and_order_do_not_depend_on_the_clock(tmp_path, monkeypatch):
    found = saved(tmp_path, 5)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    found.save(6, state_of(6))
    for number, one in enumerate(found.files()):
        os.utime(one.path, (10**9 - number, 10**9 - number))
    assert found.latest(untold)["iteration"] == 6
    again = saved(tmp_path / "again", 5)
    assert [one.path.name for one in again.files()] == [found.files()[0].path.name]


def test_saving_an_iteration_again_leaves_one_of_each(tmp_path):
    found = saved(tmp_path, 1, 2)
    found.save(2, state_of(2) | {"name": "another text"})
    assert found.latest(untold)["iteration"] == 2
    assert len(found.files()) == 2


def damages():
    """Ways to spoil a file of `length` bytes."""
    for tenth in range(10):
        yield f"cut at {tenth} tenths", lambda content, tenth=tenth: content[: len(content) * tenth // 10]
    for tenth in range(10):

        def flip(content, tenth=tenth):
            place = len(content) * tenth // 10
            return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]

        yield f"a bit changed at {tenth} tenths", flip
    yield "longer", lambda content: content + b"\0"


@pytest.mark.parametrize(("name", "spoil"), list(damages()), ids=lambda value: value if isinstance(value, str) else "")
def test_a_damaged_file_is_named_put_aside_and_the_one_before_it_used(tmp_path, name, spoil):
    found = saved(tmp_path, 10, 20)
    bad = newest(found)
    bad.write_bytes(spoil(bad.read_bytes()))
    told = []
    assert found.latest(told.append)["iteration"] == 10, name
    assert len(told) == 1
    assert bad.name in told[0]
    assert "cut short or changed" in told[0]
    assert "(iteration 10) is used instead" in told[0]
    assert bad.with_name(bad.name + ASIDE).is_file()
    assert found.latest(untold)["iteration"] == 10
    found.save(15, state_of(15))
    assert found.latest(untold)["iteration"] == 15


def test_where_none_is_whole_training_does_not_start_anew_in_silence(tmp_path):
    found = saved(tmp_path, 10, 20)
    for one in found.files():
        one.path.write_bytes(one.path.read_bytes()[:50])
    before = sorted(path.name for path in tmp_path.iterdir())
    for _ in range(2):
        with pytest.raises(SuiteError, match=r"no checkpoint .* can be used .*cut short.*; .*cut short.*remove the folder") as caught:
            found.latest(untold)
        assert caught.value.exit is Exit.NOT_READY
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    for one in found.files():
        one.path.rename(one.path.with_name(one.path.name + ASIDE))
    with pytest.raises(SuiteError, match="can be used"):
        found.latest(untold)


def test_another_cell_s_is_refused(tmp_path):
    saved(tmp_path, 1)
    with pytest.raises(SuiteError, match=f"belongs to the cell {CELL}, not to fedcba"):
        Checkpoints(tmp_path, "fedcba").latest(untold)


def test_the_layout_of_one_file_is_read_and_goes_when_there_are_newer_ones(tmp_path):
    checkpoint.save(tmp_path, state_of(7) | {"fingerprint": CELL, "iteration": 7})
    found = Checkpoints(tmp_path, CELL)
    assert found.latest(untold)["iteration"] == 7
    found.save(8, state_of(8))
    assert (tmp_path / SINGLE_FILE).is_file()
    newest(found).write_bytes(b"torn")
    told = []
    assert found.latest(told.append)["iteration"] == 7
    assert len(told) == 1
    found.save(8, state_of(8))
    found.save(9, state_of(9))
    assert not (tmp_path / SINGLE_FILE).exists()
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / SINGLE_FILE).write_bytes(b"PK\3\4 torn")
    with pytest.raises(SuiteError, match="is damaged, or not a checkpoint"):
        Checkpoints(tmp_path / "old", CELL).latest(untold)


def test_nothing_in_a_checkpoint_is_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    found = saved(tmp_path / "work", 1)
    found.save(2, {"trap": Trap()})
    assert found.latest(lambda _: None)["iteration"] == 1
    assert not (tmp_path / "sprung").exists()


# Disks


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def torch_full(*_, **__):
    raise RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0\nframe #0 ...")


@pytest.mark.parametrize(
    ("module", "name", "failure", "reason"),
    [
        (torch, "save", full, "No space left"),
        (torch, "save", torch_full, "unexpected pos"),
        (os, "fsync", full, "No space left"),
        (Path, "replace", full, "No space left"),
    ],
)
def test_a_full_disk_is_told_and_leaves_the_checkpoint_before_it(tmp_path, monkeypatch, module, name, failure, reason):
    found = saved(tmp_path, 1)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(module, name, failure)
        with pytest.raises(SuiteError, match=f"{reason}.*untouched.*the same command continues") as caught:
            found.save(2, state_of(2))
    assert caught.value.exit is Exit.NOT_READY
    assert "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert found.latest(untold)["iteration"] == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_torch_s_own_error_on_a_full_device_is_told(tmp_path, monkeypatch):
    found = saved(tmp_path, 1)
    monkeypatch.setattr(checkpoint, "temporary_file", lambda _: open("/dev/full", "wb"))  # noqa: PTH123, SIM115 - the block closes it
    with pytest.raises(SuiteError, match="cannot be written"):
        found.save(2, {"weights": torch.zeros(2**20)})
    assert found.latest(untold)["iteration"] == 1


def test_a_folder_that_cannot_be_written_is_found_before_work(tmp_path, monkeypatch):
    prove_writable(tmp_path / "new" / "folder", 1000)
    assert list((tmp_path / "new" / "folder").iterdir()) == []
    with pytest.raises(SuiteError, match=r"MiB free and the checkpoints need 1099511627776 MiB.*--ledger"):
        prove_writable(tmp_path, 2**60)
    (tmp_path / "file").touch()
    with pytest.raises(SuiteError, match="cannot be written: Not a directory"):
        prove_writable(tmp_path / "file" / "work", 1)

    def read_only(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(files.tempfile, "NamedTemporaryFile", read_only)
    with pytest.raises(SuiteError, match="cannot be written: Read-only file system"):
        prove_writable(tmp_path, 1)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_an_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(SuiteError, match="Permission denied"):
        prove_writable(tmp_path, 1)


# Killed writers


def write_for_ever(folder, told):
    found = Checkpoints(Path(folder), CELL)
    first = 1 + (found.latest(lambda _: None) or {"iteration": 0})["iteration"]
    for iteration in range(first, 10**9):
        found.save(iteration, state_of(iteration), float(-iteration))
        told.send_bytes(iteration.to_bytes(8, "big"))


@pytest.mark.slow
def test_thirty_killed_writers_lose_nothing_that_was_saved(tmp_path):
    processes = multiprocessing.get_context("forkserver")  # one process imports torch, the rest are its copies
    processes.set_forkserver_preload(["torch", "suite.training.checkpoints"])
    choice = random.Random(0)  # noqa: S311 - moments, not secrets
    last = 0
    for _ in range(30):
        ours, theirs = processes.Pipe(duplex=False)
        writer = processes.Process(target=write_for_ever, args=(str(tmp_path), theirs), daemon=True)
        writer.start()
        theirs.close()
        last = max(last, int.from_bytes(ours.recv_bytes(), "big"))
        deadline = time.monotonic() + choice.uniform(0.0, 0.05)
        while (left := deadline - time.monotonic()) > 0:
            if ours.poll(left):
                last = int.from_bytes(ours.recv_bytes(), "big")
        writer.kill()
        writer.join()
        while True:
            try:
                last = int.from_bytes(ours.recv_bytes(), "big")
            except EOFError:
                break
        found = Checkpoints(tmp_path, CELL)
        state = found.latest(untold)
        assert state["iteration"] in (last, last + 1)  # one may have been written and not yet told
        assert torch.equal(state["weights"], state_of(state["iteration"])["weights"])
        assert tensors.read(found.files()[0].path)["iteration"] == 1  # the best
        last = state["iteration"]
    assert len(found.files()) <= 4  # one more than kept, where the writer died before it removed the oldest
    found.save(last + 1, state_of(last + 1))
    assert [CHECKPOINT_NAME.fullmatch(path.name) is not None for path in tmp_path.iterdir()] == [True] * 3


# Weights of a finished cell


@pytest.mark.parametrize("averaged", [False, True])
def test_weights_are_what_a_network_is_loaded_from(tmp_path, averaged):
    import models
    from models.official import load_weights

    torch.manual_seed(0)
    network = models.create("mambair-sr-x2-tiny")
    path = tmp_path / "weights" / f"{CELL}.pt"
    tensors.save_weights(path, network.state_dict(), {"model": "mambair-sr-x2-tiny", "iteration": 3}, averaged=averaged)
    other = models.create("mambair-sr-x2-tiny")
    assert load_weights(other, tensors.read(path)) == ("params_ema" if averaged else "params")
    assert all(torch.equal(a, b) for a, b in zip(network.state_dict().values(), other.state_dict().values(), strict=True))
    kept = torch.load(path, weights_only=True)
    assert kept["metadata"]["model"] == "mambair-sr-x2-tiny"
    assert list(path.parent.iterdir()) == [path]


def test_a_changed_tensor_in_a_file_of_weights_is_found(tmp_path):
    path = tmp_path / "weights.pt"
    tensors.save_weights(path, {"a": torch.arange(5.0), "b": torch.tensor(3), "c": torch.ones(2, dtype=torch.bfloat16)}, {"seed": 0})
    assert tensors.read(path)["metadata"]["seed"] == 0
    needle = torch.arange(5.0).numpy().tobytes()
    path.write_bytes(path.read_bytes().replace(needle, needle[:-1] + b"\x41"))
    assert torch.load(path, weights_only=True)["params"]["a"][-1] != 4.0  # torch itself does not see it
    with pytest.raises(SuiteError, match="its tensors are not those that were written"):
        tensors.read(path)


def test_a_copy_of_the_folder_is_as_good(tmp_path):
    saved(tmp_path / "a", 1, 2)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert Checkpoints(tmp_path / "b", CELL).latest(untold)["iteration"] == 2
