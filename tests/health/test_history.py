"""The history of the watched numbers: what moved in which commit of the baseline, and the page of it."""

import re
import subprocess

import browser
import pytest

from suite.cli import main
from suite.core.errors import SuiteError
from suite.health import history
from suite.health.gate import GateBaseline, LogEntry, Watched

FILE = "baseline.json"


def git(folder, *words):
    named = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", "-C", str(folder), *named, *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path):
    """A repository with four commits of a baseline: the second moves a number within what is allowed, the third beyond; one is damaged."""
    git(tmp_path, "init", "-q")
    log: tuple[LogEntry, ...] = ()
    versions = [
        ("first", {"a/loss": 1.0, "a/gone": 2.0, "b/steps": "x1"}),
        ("rounding", {"a/loss": 1.0001, "a/gone": 2.0, "b/steps": "x1"}),
        ("a new rate", {"a/loss": 1.5, "b/steps": "x2", "b/new": 3.0}),
    ]
    for reason, values in versions:
        log = (*log, LogEntry(date="2026-01-01", commit="c", reason=reason, changed=1))
        numbers = {
            key: Watched(kind="digest" if isinstance(value, str) else "loss", value=value, spread=1e-4) for key, value in values.items()
        }
        made = GateBaseline(data="d", packages={}, machine={"cpu": "a <processor>"}, repeats="", log=log, numbers=numbers)
        (tmp_path / FILE).write_text(made.model_dump_json())
        git(tmp_path, "add", FILE)
        git(tmp_path, "commit", "-qm", reason)
    (tmp_path / FILE).write_text("{")
    git(tmp_path, "commit", "-qam", "damaged")
    return tmp_path


def test_a_number_moves_in_the_commit_that_moved_it_beyond_what_was_allowed(repository, capsys):
    versions = history.read_versions(repository / FILE)
    assert [(one.reasons, one.moved, one.added, one.removed) for one in versions] == [
        (("first",), 0, 3, 0),
        (("rounding",), 0, 0, 0),
        (("a new rate",), 2, 1, 1),
    ]
    assert re.fullmatch(r"left out: baseline.json of commit \w{12} is damaged, or of another schema\n", capsys.readouterr().err)
    lines = {line.key: line for line in history.draw_lines(versions)}
    assert lines["a/loss"].moved == lines["b/steps"].moved == (2,)
    assert lines["a/loss"].values == (1.0, 1.0001, 1.5)
    assert lines["a/gone"].values == (2.0, 2.0, None)
    assert lines["a/gone"].points == "3.0,10.0 60.0,10.0"
    assert lines["a/loss"].points == "3.0,17.0 60.0,17.0 117.0,3.0"
    assert (lines["b/steps"].points, lines["b/new"].points) == ("", "")


def test_the_page_holds_every_number_and_the_command_says_where_it_is(repository, tmp_path, capsys):
    page = tmp_path / "out" / "history.html"
    assert main.main(["check", "--baseline", str(repository / FILE), "--history", str(page)]) == 0
    assert f"{page}: 3 numbers over 3 commits of baseline.json" in capsys.readouterr().out
    text = page.read_text()
    assert all(f">{key}</th>" in text for key in ("a/loss", "a/gone", "b/steps", "b/new"))
    assert "a &lt;processor&gt;" in text


def test_axe_finds_nothing_on_the_page(chromium, repository, tmp_path):
    page = tmp_path / "history.html"
    page.write_text(history.history_text(history.read_versions(repository / FILE)))
    with browser.opened(chromium, page, scheme="dark") as seen:
        assert browser.find_violations(seen.page) == []
    seen.clean()


def test_without_a_history_it_is_said(repository):
    with pytest.raises(SuiteError, match="is in no commit"):
        history.read_versions(repository / "other.json")
