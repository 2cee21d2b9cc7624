"""The address of a Ray cluster: where it came from, and what is said where nothing is there."""

import argparse
import os
import socket
import types
from pathlib import Path

import pytest

from suite.cli import run
from suite.core import paths
from suite.core.errors import Exit, SuiteError
from suite.runner import cluster


@pytest.fixture
def dead():
    """An address at which nothing listens."""
    with socket.socket() as free:  # bound, and not listening
        free.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{free.getsockname()[1]}"


def test_a_dead_cluster_of_the_variable_is_named_by_it_at_once(dead, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", dead)
    with pytest.raises(SuiteError) as caught, cluster.join_ray(None, dead):
        pass
    assert caught.value.exit == Exit.NOT_READY
    said = str(caught.value)
    assert said.startswith(f"$RAY_ADDRESS is {dead}: the Ray cluster there cannot be joined: nothing answers there (Connection refused)")
    assert "`env -u RAY_ADDRESS python -m suite run ...` runs on this machine alone" in said
    assert "--address" not in said


def test_a_dead_cluster_of_the_option_is_named_by_it(dead, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "another:6379")
    with pytest.raises(SuiteError, match=rf"--address {dead}: .*Leave out --address") as caught, cluster.join_ray(None, dead):
        pass
    assert "RAY_ADDRESS" not in str(caught.value)


def test_ray_s_client_is_refused_by_the_name_of_what_gave_it(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")
    with pytest.raises(SuiteError, match=r"\$RAY_ADDRESS is ray://head:10001: Ray's client"), cluster.join_ray(None, "ray://head:10001"):
        pass


@pytest.mark.parametrize("address", ["auto", "head", "host:port", "/tmp/ray/session"])  # noqa: S108
def test_only_a_host_and_a_port_can_be_asked(address):
    assert cluster.explain_silence(address) == ""


def test_an_address_that_answers_and_one_that_cannot_be_one():
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert cluster.explain_silence(f"127.0.0.1:{server.getsockname()[1]}") == ""
    assert "nothing answers there" in cluster.explain_silence("127.0.0.1:99999999")


@pytest.mark.parametrize(
    ("given", "variable", "joined"),
    [(None, "", None), (None, "local", None), (None, "auto", "auto"), ("head:6379", "auto", "head:6379"), ("local", "auto", None)],
)
def test_the_address_is_the_option_s_or_the_variable_s_and_local_is_none(given, variable, joined, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", variable)
    assert run._address(argparse.Namespace(address=given)) == joined


def test_ray_begins_where_there_is_no_code_and_its_workers_know_where_the_user_stands(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    seen = {}

    def init(**_):
        seen["stands"], seen["holds"] = os.environ[paths.WORKING_FOLDER], [path.name for path in Path.cwd().iterdir()]

    with cluster.start_ray(types.SimpleNamespace(init=init, shutdown=lambda: None), 1, dashboard=False):
        assert Path.cwd() == tmp_path
    assert seen == {"stands": str(tmp_path), "holds": [".lock"]}
    assert paths.WORKING_FOLDER not in os.environ


@pytest.mark.parametrize("installed", [False, True])
def test_a_cluster_is_joined_from_the_checkout_or_from_an_empty_folder(installed, tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cluster, "is_installed", lambda: installed)
    monkeypatch.setattr(cluster, "_try_to_join", lambda _: "")
    seen = []
    ray = types.SimpleNamespace(init=lambda **_: seen.append((Path.cwd(), [*Path.cwd().iterdir()])), shutdown=lambda: None)
    with cluster.join_ray(ray, "auto"):
        assert Path.cwd() == tmp_path
    ((place, holds),) = seen
    assert (holds == []) if installed else (place == paths.ROOT)
