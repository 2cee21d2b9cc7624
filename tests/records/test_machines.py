"""The committed times by machine: written, extended, read, and what is refused."""

import pytest

from suite.core.errors import SuiteError
from suite.records.machines import MachineFile, MachineTime, list_times, read_machines, save_times

HERE = MachineFile(schema=1, cpu="Some(R) CPU @ 2.1GHz", cores=2, memory_gib=7.5, instructions="AVX2", times=())


def made(model="esrgan", ms=5.0, **more):
    fields = {"input_size": (64, 64), "backend": "none", "device": "cpu", "threads": 2, "quartiles_ms": (ms, ms), "samples": 3}
    return MachineTime(model=model, median_ms=ms, torch="2.8", date="2026-01-02", commit="c0ffee", **fields | more)


def write(folder, one):
    folder.mkdir(exist_ok=True)
    (folder / one.file).write_text(one.model_dump_json(by_alias=True))


def test_a_file_is_called_after_its_machine_and_is_read_again(tmp_path):
    one = HERE.extended([made()])
    assert one.file == "some-r-cpu-2-1ghz-2-cores.json"
    write(tmp_path, one)
    assert read_machines(tmp_path) == [one]
    assert read_machines(tmp_path / "none") == []


def test_a_time_replaces_the_one_of_the_same_call_alone():
    one = HERE.extended([made(ms=5.0), made(model="dncnn")]).extended([made(ms=4.0), made(input_size=(32, 32))])
    assert [(time.model, time.input_size, time.median_ms) for time in one.times] == [
        ("dncnn", (64, 64), 5.0),
        ("esrgan", (32, 32), 5.0),
        ("esrgan", (64, 64), 4.0),
    ]


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda text: text.replace('"median_ms":5.0', '"median_ms":-5.0'), "times.0.median_ms"),
        (lambda text: text.replace('"cores"', '"kernels"'), "cores"),
        (lambda text: text[:-5], "does not describe the times of a machine"),
        (lambda text: text.replace("Some(R)", "Other"), "Rename it"),
    ],
)
def test_a_damaged_file_is_named_with_what_is_wrong(tmp_path, change, part):
    one = HERE.extended([made()])
    write(tmp_path, one)
    path = tmp_path / one.file
    path.write_text(change(path.read_text()))
    with pytest.raises(SuiteError, match=part) as error:
        read_machines(tmp_path)
    assert str(path) in str(error.value)


def test_nothing_timed_is_not_saved(tmp_path):
    with pytest.raises(SuiteError, match="nothing was timed"):
        save_times(HERE, [], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_row_tells_machine_network_and_time():
    (row,) = list_times([HERE.extended([made()])])
    assert (row["machine"], row["network"], row["median, ms"]) == ("Some(R) CPU @ 2.1GHz, 2 cores, AVX2", "esrgan", "5.0")
