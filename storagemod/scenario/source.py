"""Reading the files that people name: scenarios as text, contracts under a linking option."""

from __future__ import annotations

from pathlib import Path

from storagemod.errors import ValidationError
from storagemod.limits import Limits
from storagemod.scenario.fixtures import needs_prelude, prelude, splice
from storagemod.vm import Contract
from storagemod.wasm import read_source

DEFAULT_OPTION = "single"
"""The linking option of a contract that leaves open how it reaches its storage, where none is named."""

COMPILED_SUFFIXES = (".c", ".zig")
"""Of source files that are no contracts yet, but what `storagemod compile` makes contracts of."""


def read_text(path: Path, *, bytes_max: int) -> str:
    """The text of a file in UTF-8.

    Raises:
        ValidationError: It is no file that can be read, not UTF-8, or longer than ``bytes_max``.
    """
    try:
        with path.open("rb") as file:
            data = file.read(bytes_max + 1)
    except IsADirectoryError as error:
        raise ValidationError(f"{path} is a directory", cause=error, hint="name a file") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ValidationError(f"{path} cannot be read: {reason}", cause=error) from error
    if len(data) > bytes_max:
        raise ValidationError(f"{path} is longer than {bytes_max:,} bytes")
    try:
        return data.decode("utf-8-sig")  # editors of other systems put a byte order mark in front
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValidationError(f"{path}:{line}: not text in UTF-8", cause=error) from error


def load_contract(
    source: Path | str, *, label: str, option: str = DEFAULT_OPTION, limits: Limits | None = None
) -> Contract:
    """Compile and validate a contract, under a linking option where it leaves that open.

    Args:
        source: The path of a file of WAT or Wasm, or WAT text. Text with a line ``;; @storage`` is spliced.
        label: What to call it in messages: its path, if it has one.
        option: The linking option to splice in; a contract without such a line is taken as it is.
        limits: The limits to validate it with.

    Raises:
        ValidationError: It cannot be read, or is no contract.
        LinkError: It imports something that is not offered.
    """
    limits = limits or Limits()
    code = read_source(source, limits) if isinstance(source, Path) else source.encode()
    if isinstance(source, Path) and source.suffix in COMPILED_SUFFIXES:
        raise ValidationError(
            f"{label} is neither WAT nor Wasm", hint=f"compile it first: storagemod compile {source.name} -o FILE.wasm"
        )
    text = _text(code)
    if text is not None and needs_prelude(text):
        try:
            code = splice(text, prelude(option)).encode()
        except ValidationError as error:
            error.at(label)
            raise
    return Contract.load(code, name=label, limits=limits)


def leaves_open(source: Path | str, limits: Limits | None = None) -> bool:
    """Whether a contract leaves open how it reaches its storage: it is text with a line ``;; @storage``.

    Raises:
        ValidationError: It cannot be read.
    """
    code = read_source(source, limits or Limits()) if isinstance(source, Path) else source.encode()
    text = _text(code)
    return text is not None and needs_prelude(text)


def check_option(contract: Contract, option: str) -> None:
    """Check that a contract uses the linking option that was asked for, or has no storage to link.

    Raises:
        ValidationError: It uses others.
    """
    if contract.options and option not in contract.options:
        raise ValidationError(
            f"the linking option {option!r} is asked for, but the contract imports its storage in its own way: "
            f"{', '.join(sorted(contract.options))}",
            contract=contract.name,
            hint="to leave the option open, its source has a line `;; @storage`",
        )


def _text(code: bytes) -> str | None:
    """The code as text; ``None`` where it is none, which :meth:`Contract.load` judges."""
    if code.startswith(b"\0"):
        return None
    try:
        return code.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
