"""The virtual machine: contracts, how they reach storage, and transactions."""

from storagemod.vm.accounts import Accounts
from storagemod.vm.aliased import Aliased, AliasedMappings, check_aliasing
from storagemod.vm.contract import (
    MAIN,
    MEMORY_EXPORT,
    PREFIX,
    CodeRules,
    Contract,
    ContractImport,
    check_callee,
    check_links,
    check_option,
    contract_import,
    load_binary,
    read_binary,
)
from storagemod.vm.direct import DirectRuns
from storagemod.vm.ethereum import ALIASES, DEBUG_FUNCTIONS, DEBUG_NAMESPACE, FUNCTIONS, NAMESPACE, Finished
from storagemod.vm.frame import Frame
from storagemod.vm.keyed import SLOTS_REGION
from storagemod.vm.layout import DEFAULT_REGION, WINDOW, Access, Layout, Region
from storagemod.vm.machine import Costs, Machine
from storagemod.vm.methods import instruction_for
from storagemod.vm.option import LinkingOption, ServedByHost
from storagemod.vm.options import OPTIONS, check_option_name, hosted_region, is_storage, option_for, option_names
from storagemod.vm.schedule import GasSchedule
from storagemod.vm.slots import Slots
from storagemod.vm.storage_module import storage_module, storage_module_wat

__all__ = [
    "ALIASES",
    "DEBUG_FUNCTIONS",
    "DEBUG_NAMESPACE",
    "DEFAULT_REGION",
    "FUNCTIONS",
    "MAIN",
    "MEMORY_EXPORT",
    "NAMESPACE",
    "OPTIONS",
    "PREFIX",
    "SLOTS_REGION",
    "WINDOW",
    "Access",
    "Accounts",
    "Aliased",
    "AliasedMappings",
    "CodeRules",
    "Contract",
    "ContractImport",
    "Costs",
    "DirectRuns",
    "Finished",
    "Frame",
    "GasSchedule",
    "Layout",
    "LinkingOption",
    "Machine",
    "Region",
    "ServedByHost",
    "Slots",
    "check_aliasing",
    "check_callee",
    "check_links",
    "check_option",
    "check_option_name",
    "contract_import",
    "hosted_region",
    "instruction_for",
    "is_storage",
    "load_binary",
    "option_for",
    "option_names",
    "read_binary",
    "storage_module",
    "storage_module_wat",
]
