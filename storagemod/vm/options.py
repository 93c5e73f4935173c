"""The linking options that exist, and which of them serves an import."""

from __future__ import annotations

from difflib import get_close_matches

from storagemod.errors import ValidationError
from storagemod.limits import Limits
from storagemod.vm.aliased import Aliased
from storagemod.vm.copied import Copied
from storagemod.vm.keyed import Keyed
from storagemod.vm.layout import Region
from storagemod.vm.methods import Methods
from storagemod.vm.option import LinkingOption, ServedByHost
from storagemod.vm.paged import Paged
from storagemod.vm.shared_memories import Regions, Single
from storagemod.vm.window import Window
from storagemod.wasm import Import

OPTIONS: tuple[LinkingOption, ...] = (Single(), Regions(), Methods(), Keyed(), Copied(), Paged(), Aliased(), Window())
"""In the order in which they are shown."""


def option_names() -> tuple[str, ...]:
    """The names of all options."""
    return tuple(option.name for option in OPTIONS)


def is_storage(item: Import) -> bool:
    """Whether an import is one of storage: a linking option serves it."""
    return any(option.claims(item) for option in OPTIONS)


def served_names(module: str) -> set[str]:
    """The names under which options offer host functions in a namespace."""
    served = [option for option in OPTIONS if isinstance(option, ServedByHost)]
    return {each.name for option in served for each in option.functions.values() if each.module == module}


def options_for(item: Import) -> tuple[LinkingOption, ...]:
    """The options that can serve an import of storage: one, or those that map storage."""
    return tuple(option for option in OPTIONS if option.claims(item))


def option_for(item: Import) -> LinkingOption:
    """The option that serves an import of storage. Those that map storage link alike, and differ when it runs."""
    return options_for(item)[0]


def hosted_region(name: str, limits: Limits) -> Region | None:
    """The region of that name which only the host reaches, whatever the contract; ``None`` if no option has one.

    Raises:
        ValidationError: The limits do not allow it.
    """
    served = (option for option in OPTIONS if isinstance(option, ServedByHost) and option.region_name == name)
    option = next(served, None)
    return None if option is None else option.region(limits)


def check_option_name(name: str) -> str:
    """The name itself.

    Raises:
        ValidationError: No option has that name.
    """
    if name not in option_names():
        close = get_close_matches(name, option_names(), n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"the options are {', '.join(option_names())}"
        raise ValidationError(f"there is no linking option {name!r}", hint=hint)
    return name
