"""What can go wrong, one class for each kind of cause.

Every error says, as far as it is known, which contract it concerns, how deep in the tree of calls it happened, what
lay behind it and what the reader can do about it.
"""

from __future__ import annotations

_SHOWN_MAX = 100


def shown(value: object) -> str:
    """Format a value that a user chose, for a message: on one line, at most 100 characters, whatever it is."""
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > _SHOWN_MAX * 3:
        return f"an integer of {value.bit_length():,} bits"  # Python writes no more than 4,300 digits
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - the class is the user's, and so is its error; there is another one to tell
        text = f"a {type(value).__name__}"
    text = one_line(text)
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}…"


def one_line(text: str) -> str:
    r"""Escape what is not printable in a text that a file or a contract chose, newlines included, as in ``\n``."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


class StorageModError(Exception):
    """The base of every error that this package raises on purpose.

    Attributes:
        message: What happened, in one sentence.
        contract: The label or address of the contract concerned, or ``None``.
        depth: The depth of the call that failed, 1 for the top-level call, or ``None`` outside a call.
        cause: The error that lay behind this one, or ``None``.
        hint: What the reader can do, or ``None``.
        aborts: Whether it ends the whole transaction. What depends on the machine and not on the contracts must not
            be caught by a caller, or the same transaction would end differently elsewhere (rule 8).
    """

    aborts = False

    def __init__(
        self,
        message: str,
        *,
        contract: str | None = None,
        depth: int | None = None,
        cause: BaseException | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.contract = contract
        self.depth = depth
        self.cause = cause
        self.hint = hint

    def at(self, contract: str, depth: int | None = None) -> StorageModError:
        """Fill in where it happened, unless that is known already; return the error itself."""
        if self.contract is None:
            self.contract = contract
            self.depth = depth
        return self

    def __reduce__(self) -> tuple[object, ...]:
        """Return what copies and pickles are made of. Causes of other libraries are kept as text."""
        state = self.__dict__.copy()
        cause = self.cause
        if cause is not None and not isinstance(cause, StorageModError) and type(cause).__module__ != "builtins":
            state["cause"] = RuntimeError(f"{type(cause).__name__}: {cause}")
        return _new_error, (type(self), self.args), state

    def __str__(self) -> str:
        where = ""
        if self.contract is not None:
            contract = one_line(self.contract)
            where = f"{contract}: " if self.depth is None else f"{contract} at call depth {self.depth}: "
        return where + self.message + (f" ({self.hint})" if self.hint else "")


def _new_error(kind: type[StorageModError], args: tuple[object, ...]) -> StorageModError:
    """Return an error without its attributes, which are set next: its class may want them by name."""
    base = OSError if issubclass(kind, OSError) else Exception  # its own `__new__` is looked up in the other order
    return base.__new__(kind, *args)


class ValidationError(StorageModError, ValueError):
    """Code, an argument or a setting is not what it has to be. Nothing was run."""


class LinkError(StorageModError, LookupError):
    """An import cannot be served: nothing of that name is offered, or its type or limits do not match."""


class TrapError(StorageModError, RuntimeError):
    """A call broke a rule of WebAssembly or of its host, and was undone.

    Attributes:
        code: A stable short name of the cause, such as ``unreachable``, ``memory_out_of_bounds`` or ``static_write``.
        function: The function that was running, by its identifier, or else its first export, or else its number; or
            ``None``.
        function_index: Its index in its module, or ``None``.
        fault: Where an access to a linear memory was stopped by the machine: the offset, and the memory's length, both
            in bytes; ``None`` for other causes.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        function: str | None = None,
        function_index: int | None = None,
        fault: tuple[int, int] | None = None,
        contract: str | None = None,
        depth: int | None = None,
        cause: BaseException | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, contract=contract, depth=depth, cause=cause, hint=hint)
        self.code = code
        self.function = function
        self.function_index = function_index
        self.fault = fault


class RevertError(StorageModError, RuntimeError):
    """A contract gave up on purpose and was undone.

    Attributes:
        output: What it handed to its caller, in bytes.
    """

    def __init__(
        self, message: str, *, output: bytes = b"", contract: str | None = None, depth: int | None = None
    ) -> None:
        super().__init__(message, contract=contract, depth=depth)
        self.output = output


class ReentryError(StorageModError, RuntimeError):
    """A contract's re-entry policy refused a call; the callee did not run."""


class BalanceError(StorageModError, ValueError):
    """An account cannot pay the value that a call is to carry."""


class LimitError(StorageModError, RuntimeError):
    """A limit of :class:`storagemod.Limits` was reached."""


class OutOfGasError(LimitError):
    """A call used up the gas that it was given."""


class DeadlineError(LimitError, TimeoutError):
    """A transaction ran longer than its wall-clock deadline, or was interrupted; all of it was undone."""

    aborts = True


class StackError(LimitError):
    """This process cannot nest another call safely; the transaction was undone."""

    aborts = True


class StateError(StorageModError, RuntimeError):
    """Committed state cannot be read or written as asked: it is absent, busy or damaged."""

    aborts = True


class ScenarioError(StorageModError, ValueError):
    """A scenario file cannot be understood.

    Attributes:
        path: The file, or ``None``.
        line: The line, counted from 1, or ``None`` where no single line is to blame.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str | None = None,
        line: int | None = None,
        cause: BaseException | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, cause=cause, hint=hint)
        self.path = path
        self.line = line

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.path, self.line) if part is not None)
        return (f"{place}: " if place else "") + super().__str__()
