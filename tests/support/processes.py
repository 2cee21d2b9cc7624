"""What runs on this machine, as /proc tells it, and waiting for it to change."""

import contextlib
import time
from pathlib import Path

from suite.runner import cluster

PATIENCE = 90.0  # seconds; a busy machine starts Ray slowly


def wait_for(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE} s for {what}"
        time.sleep(0.1)


def stat_of(process):
    """Parent and state letter of a process; None where it is gone."""
    try:
        after_name = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(after_name[1]), after_name[0]


def parent_of(process):
    """The number of a process's parent; None where it is gone."""
    found = stat_of(process)
    return found and found[0]


def descendants(process):
    parents = {int(path.name): found[0] for path in Path("/proc").glob("[0-9]*") if (found := stat_of(path.name))}
    family = {process}
    while grown := {child for child, parent in parents.items() if parent in family} - family:
        family |= grown
    return family - {process}


def alive(process):
    found = stat_of(process)
    return found is not None and found[1] != "Z"  # a zombie has ended; it waits for its parent


def command_line(process):
    """The words of a process's command, or an empty text where it is gone."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def ray_folders(process):
    """Temporary folders that the launcher made for the driver with this process number."""
    locks = Path("/tmp").glob(f"{cluster.FOLDER_PREFIX}*/.lock")  # noqa: S108 - the launcher's own choice is under test
    return [lock.parent for lock in locks if lock.read_text() == str(process)]


def listening_elsewhere(processes):
    """Sockets of the processes that listen on another address than the loopback interface's."""
    inodes = set()
    for process in processes:
        with contextlib.suppress(OSError):
            for descriptor in Path(f"/proc/{process}/fd").iterdir():
                with contextlib.suppress(OSError):
                    inodes.add(str(descriptor.readlink()))
    local = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes and fields[1].split(":")[0] not in local:
                found.append(fields[1])
    return found
