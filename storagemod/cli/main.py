"""The group of commands, and what becomes of errors.

Exit statuses: 0 all is well; 1 an expectation failed; 2 the input or the usage is wrong; 70 a fault of this program;
74 the system would not let it write or work; 130 interrupted; 141 nobody reads the output any more.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Sequence

import click

import storagemod
from storagemod.cli.compile import compile_command
from storagemod.cli.demo import demo_command
from storagemod.cli.inspect import inspect_command
from storagemod.cli.run import run_command
from storagemod.errors import StorageModError

BAD_INPUT = 2
FAULT = 70  # EX_SOFTWARE of sysexits.h
SYSTEM = 74  # EX_IOERR
INTERRUPTED = 130  # 128 and the number of SIGINT, as shells report it
NO_READER = 141  # the same with SIGPIPE

TRACEBACK_VARIABLE = "STORAGEMOD_TRACEBACK"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(storagemod.__version__, prog_name="storagemod")
def cli() -> None:
    """Run Wasm contracts whose storage is a module of its own, shared by re-entrant calls.

    New here? Try `storagemod demo`.
    """


for _command in (demo_command, run_command, compile_command, inspect_command):
    cli.add_command(_command)


def main(args: Sequence[str] | None = None) -> int:  # noqa: PLR0911 - a status for each way to end
    """Run the command line and give its exit status; no error leaves it as an exception.

    Args:
        args: The words after the program's name; by default those of the process.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a box-drawing character is no reason to fail where there is none
            stream.reconfigure(errors="backslashreplace")
    try:
        return _run(sys.argv[1:] if args is None else args)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except StorageModError as error:
        click.echo(f"error: {error}", err=True)
        return BAD_INPUT
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return NO_READER
    except OSError as error:  # files that are read have errors of their own: this is the output, or the system
        _drop_output()
        click.echo(f"error: {error.strerror or error}", err=True)
        return SYSTEM
    except Exception as error:  # noqa: BLE001 - whatever it is, a user is told what to do rather than shown a stack
        _report_fault(error)
        return FAULT


def _run(args: Sequence[str]) -> int:
    # Not cli.main(), which has statuses of its own for an interrupt and for a reader that is gone.
    try:
        with cli.make_context("storagemod", list(args)) as context:
            status: int = cli.invoke(context)
    except click.exceptions.Exit as request:  # --help, --version
        status = request.exit_code
    sys.stdout.flush()
    return status


def _report_fault(error: Exception) -> None:
    if os.environ.get(TRACEBACK_VARIABLE) == "1":
        traceback.print_exception(error)
    click.echo(
        f"error: this is a fault of storagemod {storagemod.__version__}, not yours: {type(error).__name__}: {error}\n"
        f"Please report it, with what {TRACEBACK_VARIABLE}=1 in the environment adds.",
        err=True,
    )


def _drop_output() -> None:
    """Let what is still to be written go nowhere, or Python complains when it flushes at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
