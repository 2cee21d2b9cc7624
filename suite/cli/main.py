"""The command line: one verb a thing to do, each in a module of its own.

Results go to standard output, everything else to standard error; with `--json` standard output holds one JSON document.
What a user can fix is one message without a traceback, and the exit code of `suite.core.errors.Exit`. Nothing heavy is
imported before a verb needs it, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType, ModuleType

from suite.cli import data, run
from suite.cli.common import Parser
from suite.cli.health import check, check_design, doctor
from suite.cli.ledger import bundle, claims, compare, records, report, verify
from suite.cli.ledger import list as verb_list
from suite.cli.measure import evaluate, export, profile, restore, scan, score, suggest, weights
from suite.core.errors import Exit, SuiteError
from suite.core.output import Output, drop_output, explain_lost, note, open_streams

# A verb has SUMMARY and EXAMPLE for the help, add_arguments(parser), and run(options, out) -> Exit; `prepare(options)`, if it has one, is
# called before plug-ins are loaded, and torch with them, and with INSTALLED False it does without those of installed packages.
VERBS: Mapping[str, ModuleType] = MappingProxyType(
    {
        verb.__name__.rpartition(".")[2].replace("_", "-"): verb
        for verb in (
            run,
            verb_list,
            report,
            evaluate,
            restore,
            score,
            claims,
            export,
            compare,
            data,
            check,
            check_design,
            profile,
            suggest,
            scan,
            doctor,
            weights,
            records,
            bundle,
            verify,
        )
    }
)
EPILOG = """\
examples:
{examples}

exit codes: 0 done; 1 unexpected; 2 usage; 3 drift, or a bundle is refused; 4 some cells failed or are missing;
            5 nothing selected; 6 data, a package or the machine is not ready;
            130, 138, 143 stopped by SIGINT, SIGUSR1, SIGTERM (the same command continues)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; what is held back for standard output is written, or said to be lost."""
    try:
        open_streams()
        try:
            return _run(arguments)
        finally:  # argparse ends the process where it has printed the help
            with explain_lost():
                sys.stdout.flush()
    except SuiteError as error:
        drop_output()
        return _refuse(str(error), error.exit)
    except BrokenPipeError:  # `... | head`
        drop_output()
        return Exit.DONE


def _run(arguments: Sequence[str] | None) -> int:
    """Run the command line and return its exit code."""
    top = parser()
    options = top.parse_args(arguments)
    if options.verb is None:
        top.print_help(sys.stderr)
        return _refuse(f"no VERB is given. Begin with `python -m suite {run.EXAMPLE}`.", Exit.USAGE)
    out = Output(sys.stdout, wide=getattr(options, "wide", False))
    try:
        with contextlib.redirect_stdout(sys.stderr), _kernel(options), _plugins(options):  # Ray, plug-ins and others print where they like
            try:
                return int(VERBS[options.verb].run(options, out))
            except Exception as error:
                _raise_as_plugin_s(error)
                raise
    except SuiteError as error:
        return _refuse(str(error), error.exit)
    except KeyboardInterrupt:
        return _refuse("interrupted", Exit.INTERRUPTED)
    except (KeyError, OSError, RuntimeError, ValueError) as error:
        code = _code_of(error)
        if code is None:
            raise
        return _refuse(_describe(error), code)


def parser() -> Parser:
    """Return the parser; the chosen verb's name is `verb` of its result."""
    top = Parser(
        prog="python -m suite",
        description="Benchmark and reproducibility suite for state-space (Mamba) image restoration.",
        epilog=EPILOG.format(examples="\n".join(f"  python -m suite {verb.EXAMPLE}" for verb in VERBS.values())),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    verbs = top.add_subparsers(dest="verb", metavar="VERB")
    for name, verb in VERBS.items():
        what = verb.SUMMARY[0].upper() + verb.SUMMARY[1:] + "."
        example = f"Example: python -m suite {verb.EXAMPLE}"
        one = verbs.add_parser(name, help=verb.SUMMARY, description=what, epilog=example, allow_abbrev=False)
        verb.add_arguments(one)
    return top


@contextlib.contextmanager
def _kernel(options: argparse.Namespace) -> Iterator[None]:
    """Have the kernel of `--kernel-revision` asked for within the block, by this process and those that it starts."""
    asked = getattr(options, "kernel_revision", None)
    if not asked:
        yield
        return
    from models.scan.backends import REVISION

    before = os.environ.get(REVISION)
    os.environ[REVISION] = asked
    try:
        yield
    finally:
        if before is None:
            del os.environ[REVISION]
        else:
            os.environ[REVISION] = before


def _plugins(options: argparse.Namespace) -> contextlib.AbstractContextManager[object]:
    """Return the block within which the plug-ins are loaded of a verb that names networks."""
    if not hasattr(options, "plugin"):
        return contextlib.nullcontext()
    from suite.study.outside import plugins

    getattr(VERBS[options.verb], "prepare", lambda _options: None)(options)
    return plugins.loaded(options.plugin, installed=getattr(VERBS[options.verb], "INSTALLED", True))


def _raise_as_plugin_s(error: Exception) -> None:
    """Raise what went wrong in the code of a plug-in as what its author can mend; leave every other error alone."""
    plugins = sys.modules.get("suite.study.outside.plugins")  # if it is not loaded, nothing of a plug-in was run
    said = plugins.explain_failure(error) if plugins and not isinstance(error, SuiteError) else ""
    if said:
        raise SuiteError(said, exit=Exit.NOT_READY) from error


def _code_of(error: Exception) -> Exit | None:
    """Return the exit code of an error that a user can fix and that has none of its own, as those of `models/`; None for a defect."""
    from models.cache import FolderUnavailable
    from models.lookup import UnknownName
    from models.scan.backends import BackendUnavailable

    if isinstance(error, UnknownName):
        return Exit.USAGE
    if isinstance(error, BackendUnavailable | FolderUnavailable | PermissionError):
        return Exit.NOT_READY
    base = sys.modules.get("models.base")  # loads torch: if it is not loaded, nothing of it was raised
    return Exit.NOT_READY if base is not None and isinstance(error, base.ModelInputError) else None


def _describe(error: Exception) -> str:
    """Return an error's message, in words where it is the system's."""
    if isinstance(error, PermissionError) and error.filename:
        return f"{error.filename} cannot be read or written: {error.strerror}. Give permission, or name another place."
    return str(error)


def _refuse(message: str, code: Exit) -> Exit:
    note(f"python -m suite: {message}")
    return code
