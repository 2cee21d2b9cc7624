"""What may not be shown to others, taken out of texts: user names, home folders, hosts, addresses, and the values of secrets."""

from __future__ import annotations

import contextlib
import getpass
import os
import platform
import re
import socket
import traceback
from pathlib import Path

from suite.core.errors import SuiteError
from suite.core.paths import ROOT

SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSW|KEY|CREDENTIAL|AUTH|COOKIE", re.IGNORECASE)  # of a variable of the environment
SETTING_NAME = re.compile(r"_(MODE|METHOD|TYPE|PROVIDER)$", re.IGNORECASE)  # RAY_AUTH_MODE=token: a choice among words, no secret
SHORTEST = 4  # characters of a secret: 1, true and the like are none
USER_NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME", "SUDO_USER")
HOST_NAMES = ("HOSTNAME", "HOST", "COMPUTERNAME")
ADDRESS_NAMES = ("RAY_ADDRESS", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")  # of a cluster, of proxies
PATTERNS = (
    (re.compile(r"//[^/\s@]+@"), "//<secret>@"),  # of an address: name, or name and password
    (re.compile(r"\b(?:hf|ghp|gho|ghs|github_pat|glpat|sk|pypi|xox[a-z])[-_][A-Za-z0-9_\-]{16,}"), "<secret>"),
    (re.compile(r"(?<![\w.])/(?:home|Users)/[^/\s:'\"]+"), "~"),
    (re.compile(r"\b(?!127\.)(?:\d{1,3}\.){3}\d{1,3}\b(?!\.)"), "<host>"),
)


def redact(text: str) -> str:
    """Return `text` without what tells who or where its writer is. Secrets go first: they may hold a name."""
    for value in sorted(_secrets(), key=len, reverse=True):
        text = text.replace(value, "<secret>")
    for folder in sorted(_homes(), key=len, reverse=True):
        text = re.sub(rf"{re.escape(folder)}(?![\w\-])", "~", text)
    for pattern, stands in PATTERNS:
        text = pattern.sub(stands, text)
    for names, stands in ((_hosts(), "<host>"), (_users(), "<user>")):
        for name in sorted(names, key=len, reverse=True):
            text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", stands, text, flags=re.IGNORECASE)
    return text


def _secrets() -> set[str]:
    named = {value for name, value in os.environ.items() if SECRET_NAME.search(name) and not SETTING_NAME.search(name)}
    return {value for value in named if len(value) >= SHORTEST}


def _homes() -> set[str]:
    found = {os.environ.get("HOME", ""), os.environ.get("USERPROFILE", "")}
    with contextlib.suppress(RuntimeError, OSError):  # no home is known
        found |= {str(Path.home()), str(Path.home().resolve())}
    return {folder.rstrip("/\\") for folder in found if len(folder.rstrip("/\\")) > 1}


def _users() -> set[str]:
    found = {os.environ.get(name, "") for name in USER_NAMES}
    with contextlib.suppress(ImportError, KeyError, OSError):  # not on this system, or a number without a name
        found.add(getpass.getuser())
        import pwd

        found.add(pwd.getpwuid(os.getuid()).pw_name)
    return {name for name in found if name}


def _hosts() -> set[str]:
    """Return this machine's names, and the hosts of addresses that the environment names."""
    addresses = [os.environ.get(name, "").rpartition("//")[2].rpartition("@")[2] for name in ADDRESS_NAMES]
    named = {address.partition("/")[0].partition(":")[0] for address in addresses} - {"auto", "local", "127.0.0.1"}
    found = named | {os.environ.get(name, "") for name in HOST_NAMES} | {platform.node(), socket.gethostname()}
    return {name for host in found for name in (host, host.partition(".")[0]) if name and name != "localhost"}


def error_text(error: BaseException) -> str:
    """Return type, message and traceback without anybody's folders; for a SuiteError, the message alone."""
    if isinstance(error, SuiteError):
        return f"SuiteError: {error}"
    text = "".join(traceback.format_exception(error)).strip()
    text = text.replace(f"{ROOT}{os.sep}", "")
    for folder in sorted(_homes(), key=len, reverse=True):
        text = text.replace(folder, "~")
    return text
