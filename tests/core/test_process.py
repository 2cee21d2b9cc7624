"""Processes of our own: what is said comes by kind, whatever the module prints; one that fails leaves its last words."""

import os
import threading

import pytest

from suite.core.process import DIED, READY, ChildDied, ask, asking_each, environment_for


def test_what_a_function_says_comes_alone_and_a_failure_leaves_its_last_words(tmp_path):
    code = 'print("at import")\n\ndef answer(asked, say):\n    print("when called")\n    say("twice", 2 * asked)\n'
    (tmp_path / "loud.py").write_text(code)
    environment = environment_for(1)
    environment["PYTHONPATH"] = os.pathsep.join([environment["PYTHONPATH"], str(tmp_path)])
    assert list(ask("loud:answer", 21, environment, "a test")) == [("twice", 42)]
    with pytest.raises(ChildDied, match=r"the process of a test ended with 1:[\s\S]*at import[\s\S]*no attribute 'nothing'"):
        list(ask("loud:nothing", 21, environment, "a test"))


@pytest.fixture
def answering(tmp_path):
    code = (
        "import os, signal, time\n\n\ndef answer(asked, say):\n"
        "    if asked == 'die':\n        os._exit(3)\n"
        "    if asked == 'interrupt':\n        os.kill(os.getpid(), signal.SIGINT)\n"
        "    if asked == 'wait':\n        time.sleep(600)\n"
        "    say('process', os.getpid())\n    say('twice', 2 * asked)\n"
    )
    (tmp_path / "helper.py").write_text(code)
    environment = environment_for(1)
    environment["PYTHONPATH"] = os.pathsep.join([environment["PYTHONPATH"], str(tmp_path)])

    def call(questions, processes, heard, enough):
        told = threading.Semaphore(0)

        def take(number, kind, value):
            heard.append((number, kind, value))
            if kind in (READY, DIED):
                told.release()

        with asking_each("helper:answer", questions, processes, environment, take):
            for _ in range(enough):
                assert told.acquire(timeout=120)

    return call


def test_questions_are_shared_out_and_each_is_answered_once(answering):
    heard = []
    answering([1, 2, 3, "interrupt", 5], 2, heard, 5)
    twice = {number: value for number, kind, value in heard if kind == "twice"}
    assert twice == {0: 2, 1: 4, 2: 6, 3: 2 * "interrupt", 4: 10}
    assert len({value for _, kind, value in heard if kind == "process"}) <= 2
    assert sorted(number for number, kind, _ in heard if kind == READY) == [0, 1, 2, 3, 4]


def test_a_process_that_dies_costs_its_question_and_the_last_one_all_that_are_left(answering):
    heard = []
    answering([1, "die", 3], 1, heard, 3)
    assert [(number, kind) for number, kind, _ in heard if kind in (READY, DIED)] == [(0, READY), (1, DIED), (2, DIED)]
    assert next(value for _, kind, value in heard if kind == DIED).code == 3


def test_the_end_of_the_block_ends_the_processes(answering):
    heard = []
    answering([1, "wait", 3], 1, heard, 1)
    (process,) = (value for _, kind, value in heard if kind == "process")
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
