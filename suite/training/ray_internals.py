"""All that is used of Ray beyond its public interface, each part with the reason why no public one does it (Ray 2.60).

`python -m pytest -m ray_internals` runs each part against a real Ray, in two minutes; `tox run -e test` holds it. Run it before the
bounds of Ray in pyproject.toml are moved. What else Ray offers is used by its public names alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SNAPSHOT = "checkpoint_manager_snapshot.json"  # Ray Train's list of the checkpoints that count, in the folder of a training
CHECKPOINT_PREFIX = "checkpoint_"  # begins Ray Train's name for the folder of a checkpoint
TASK_MARK = ":task_name:"  # begins a line that Ray adds to a worker's log where a task begins
LOG_TAIL = 2000  # characters


def local_options(folder: Path) -> dict[str, Any]:
    """Return the arguments of `ray.init` that keep its sockets on the loopback interface and all its files in `folder`.

    The public way, `ray start --node-ip-address`, leaves processes behind when the one that started it is killed.
    """
    return {"_node_ip_address": "127.0.0.1", "_temp_dir": str(folder)}


def logs_of(folder: Path) -> Path:
    """Return the folder of the logs of the Ray whose files are in `folder`: where it lies is not told without a dashboard."""
    return folder / "session_latest" / "logs"


def last_words(logs: Path | None, task: str) -> list[str]:
    """Return the end of what the dead workers of the task of this name wrote to their error logs in `logs`, if they wrote anything.

    `ray.util.state.get_log` asks the dashboard, which a Ray of our own has not.
    """
    found = []
    for path in sorted(logs.rglob("worker-*.err")) if logs else []:  # Ray moves those of dead workers to `old` in its time
        _, mark, text = path.read_text(encoding="utf-8", errors="replace").rpartition(f"{TASK_MARK}{task}\n")
        if mark and TASK_MARK not in text and text.strip():
            found += ["The end of its worker's log:", text.strip()[-LOG_TAIL:]]
    return found


def check_dashboard() -> None:
    """Raise ImportError where what Ray's dashboard needs is not installed: `ray.init` would start without it, and not say so."""
    import ray.dashboard.optional_deps  # noqa: F401 - Ray's own list


def free_abandoned_groups() -> str:
    """Remove the placement groups of this job whose creator is dead, with the workers in them; return why that cannot be told, if so.

    Ray keeps the room of a training whose leading process, Ray Train's controller, was killed for as long as the job lives, and whatever
    needs those processors next would wait for the rest of the run. Ray Train's own cleaner asks the dashboard whether the controller
    lives; `ray.util.placement_group_table` does not tell of creators, and `ray.util.state` asks the dashboard, too.
    """
    try:
        import ray
        from ray._private.state import state
        from ray.core.generated.gcs_pb2 import PlacementGroupTableData as Row
        from ray.util import remove_placement_group
        from ray.util.placement_group import PlacementGroup

        rows = [Row.FromString(text) for text in state._connect_and_get_accessor().get_placement_group_table()]
        job = bytes.fromhex(ray.get_runtime_context().get_job_id())
        dead = [row for row in rows if row.creator_actor_dead and row.creator_job_id == job and row.state != Row.REMOVED]
        groups = [PlacementGroup(ray.PlacementGroupID(row.placement_group_id)) for row in dead if not row.is_detached]
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        return f"this Ray does not say which slots are free again ({type(error).__name__}: {error}); if nothing begins, start the run anew"
    for group in groups:
        remove_placement_group(group)
    return ""


def named_checkpoints(snapshot: bytes) -> set[str] | None:
    """Return the names of the folders of checkpoints in Ray Train's list; None for one that is torn.

    Ray writes the list in place and refuses the folder for ever where that was broken off; it has no call that looks or mends.
    """
    try:
        held = json.loads(snapshot)
        latest = held["latest_checkpoint_result"]
        return {one["checkpoint_dir_name"] for one in [*held["checkpoint_results"], *([latest] if latest else [])]}
    except (ValueError, KeyError, TypeError):
        return None
