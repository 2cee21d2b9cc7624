"""The C++ backend (being written)."""


def unavailable():
    return "it is being written.", "wait"
