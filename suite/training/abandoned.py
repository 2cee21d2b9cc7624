"""Room that Ray keeps for workers for ever: that of a training whose leading process, Ray Train's controller, was killed.

Ray Train has a cleaner for it, which asks Ray's dashboard whether the controller lives; a Ray of our own has none. Without it, whatever
needs those processors next would wait for the rest of the run.
"""

from __future__ import annotations


def give_back() -> str:
    """Removes the placement groups of this job whose creator is dead, with the workers in them; gives why it cannot tell, if so.

    Ray tells of creators by its own protocol alone, which is not public, and another Ray may have changed it.
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
        return f"this Ray does not say whose room is free again ({type(error).__name__}: {error}); if nothing begins, start the run anew"
    for group in groups:
        remove_placement_group(group)
    return ""
