"""The group of commands, and what becomes of errors.

Exit statuses: 0 all is well; 1 an expectation failed; 2 the input or the usage is wrong; 70 a fault of this program;
74 the system would not let it write or work; 130 interrupted; 141 nobody reads the output any more.
"""

from __future__ import annotations

import importlib.metadata
import io
import os
import platform
import sys
import traceback
from collections.abc import Sequence

import click
from click.shell_completion import shell_complete

import storagemod
from storagemod.cli.bench import bench_command
from storagemod.cli.compare import compare_command
from storagemod.cli.compile import compile_command, header_command
from storagemod.cli.demo import demo_command
from storagemod.cli.doctor import doctor_command
from storagemod.cli.explore import explore_command
from storagemod.cli.inspect import inspect_command
from storagemod.cli.output import drop, note, note_error
from storagemod.cli.run import run_command
from storagemod.cli.snapshot import snapshot_command
from storagemod.cli.state import state_command
from storagemod.cli.statetest import statetest_command
from storagemod.cli.suggest import suggest_command
from storagemod.errors import StorageModError

BAD_INPUT = 2
FAULT = 70  # EX_SOFTWARE of sysexits.h
SYSTEM = 74  # EX_IOERR
INTERRUPTED = 130  # 128 and the number of SIGINT, as shells report it
NO_READER = 141  # the same with SIGPIPE

TRACEBACK_VARIABLE = "STORAGEMOD_TRACEBACK"
COMPLETE_VARIABLE = "_STORAGEMOD_COMPLETE"
"""What shells set to have words completed, as click's documentation says: ``bash_source``, for example."""

_PROGRAM = "storagemod"


def _print_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        engine = f"wasmtime {importlib.metadata.version('wasmtime')}, Python {platform.python_version()}"
        click.echo(f"storagemod {storagemod.__version__} ({engine})")
        context.exit()


_STATUSES = """\b
Exit status:
  0  all is well
  1  something was not as a scenario or a vector expects
  2  the input or the command line is wrong
"""


@click.group(invoke_without_command=True, epilog=_STATUSES, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="Say which version."
)
@click.pass_context
def cli(context: click.Context) -> int:
    """Run Wasm contracts whose storage is a Wasm module of its own, shared by all calls of a contract, however deep.

    New here? Try `storagemod demo`.
    """
    if context.invoked_subcommand is None:
        note(context.get_help())
        return BAD_INPUT
    return 0


for _command in (
    demo_command,
    run_command,
    compare_command,
    explore_command,
    suggest_command,
    compile_command,
    header_command,
    inspect_command,
    snapshot_command,
    statetest_command,
    state_command,
    doctor_command,
    bench_command,
):
    cli.add_command(_command)


def main(args: Sequence[str] | None = None) -> int:  # noqa: PLR0911 - a status for each way to end
    """Run the command line and give its exit status; no error leaves it as an exception.

    Args:
        args: The words after the program's name; by default those of the process.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a box-drawing character is no reason to fail where there is none
            stream.reconfigure(errors="backslashreplace")
    if sys.stdout is None:  # Python's word for a stream that was closed when it started
        note("error: the standard output is closed")
        return SYSTEM
    try:
        return _run(sys.argv[1:] if args is None else args)
    except click.ClickException as error:
        note(_usage(error))
        return BAD_INPUT
    except StorageModError as error:
        note_error(error)
        return BAD_INPUT
    except KeyboardInterrupt:
        note("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        drop(sys.stdout)
        return NO_READER
    except OSError as error:  # files that are read have errors of their own: this is the output, or the system
        drop(sys.stdout)
        note(f"error: {error.strerror or error}")
        return SYSTEM
    except Exception as error:  # noqa: BLE001 - whatever it is, a user is told what to do rather than shown a stack
        _report_fault(error)
        return FAULT


def _run(args: Sequence[str]) -> int:
    # Not cli.main(), which has statuses of its own for an interrupt and for a reader that is gone.
    instruction = os.environ.get(COMPLETE_VARIABLE)
    if instruction:
        if shell_complete(cli, {}, _PROGRAM, COMPLETE_VARIABLE, instruction):
            shells = " or ".join(f"{shell}_source" for shell in ("bash", "fish", "zsh"))
            raise click.UsageError(f"{COMPLETE_VARIABLE} must be {shells}, got {instruction!r}")
        sys.stdout.flush()
        return 0
    try:
        with cli.make_context(_PROGRAM, list(args)) as context:
            status: int = cli.invoke(context)
    except click.exceptions.Exit as request:  # --help, --version
        status = request.exit_code
    sys.stdout.flush()
    return status


def _usage(error: click.ClickException) -> str:
    """What to say of a command line that is wrong."""
    lines = [f"error: {error.format_message()}"]
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None:
        lines += [context.get_usage(), f"Try '{context.command_path} --help' for help."]
    return "\n".join(lines)


def _report_fault(error: Exception) -> None:
    if os.environ.get(TRACEBACK_VARIABLE) == "1":
        traceback.print_exception(error)
    note(
        f"error: this is a fault of storagemod {storagemod.__version__}, not yours: {type(error).__name__}: {error}\n"
        f"Please report it, with what {TRACEBACK_VARIABLE}=1 in the environment adds."
    )
