"""Of each plug-in the newest version's records stand; those of the suite's own networks all do."""

import fake_cells

from suite.records.newest import describe_older, keep_newest, name_plugin

A, B = "a" * 64, "b" * 64


def record(model, plugin, day, seed=0):
    made = fake_cells.ran(fake_cells.spec("mambair-sr-x2")).provenance.model_copy(
        update={"finished": f"2026-01-{day:02d}T00:00:00+00:00", "plugins": {"mine.py": plugin} if plugin else {}}
    )
    return fake_cells.record(fake_cells.spec(model, plugin=plugin, seed=seed), provenance=made)


def test_the_newest_version_stands_and_the_others_are_told():
    own = [record("mambair-sr-x2", "", day, seed) for day, seed in ((1, 0), (9, 1))]
    old, new = [record("ladder-x4", A, day, seed) for day, seed in ((1, 0), (3, 1))], record("ladder-x4", B, 2, 0)
    kept, older = keep_newest([*own, *old, new])
    assert kept == (*own, *old)
    assert older == {"ladder-x4": 1}
    kept, older = keep_newest([*old, record("ladder-x4", B, 4)])
    assert [one.spec.plugin for one in kept] == [B]
    assert describe_older(older).startswith("2 records are of an earlier version")
    assert describe_older({}) == ""


def test_a_record_names_its_plug_in():
    assert name_plugin(record("ladder-x4", A, 1)) == "mine.py"
    assert name_plugin(record("mambair-sr-x2", "", 1)) == ""


def test_only_a_plug_in_s_network_has_another_fingerprint():
    assert fake_cells.spec("ladder-x4", plugin=A).fingerprint != fake_cells.spec("ladder-x4", plugin=B).fingerprint
    assert fake_cells.spec("mambair-sr-x2").fingerprint == fake_cells.spec("mambair-sr-x2", plugin="").fingerprint
