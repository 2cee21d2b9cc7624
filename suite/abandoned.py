"""Room that Ray keeps for workers for ever: that of a training whose leading process, Ray Train's controller, was killed.

Ray Train has a cleaner for it, which asks Ray's dashboard whether the controller lives; a Ray of our own has none. Without it, whatever
needs those processors next would wait for the rest of the run.
"""

from __future__ import annotations


def give_back() -> int:
    """Removes the placement groups of this job whose creator is dead, with the workers in them; gives their number.

    Ray tells of creators by its own protocol alone, which is not public: a Ray that has changed it is left to its own cleaner.
    """
    import ray
    from ray.util import remove_placement_group
    from ray.util.placement_group import PlacementGroup

    try:
        from ray._private.state import state
        from ray.core.generated.gcs_pb2 import PlacementGroupTableData as Row

        rows = [Row.FromString(text) for text in state._connect_and_get_accessor().get_placement_group_table()]
        job = bytes.fromhex(ray.get_runtime_context().get_job_id())
        dead = [row for row in rows if row.creator_actor_dead and row.creator_job_id == job and row.state != Row.REMOVED]
        groups = [PlacementGroup(ray.PlacementGroupID(row.placement_group_id)) for row in dead if not row.is_detached]
    except (ImportError, AttributeError, TypeError, ValueError):
        return 0
    for group in groups:
        remove_placement_group(group)
    return len(groups)
