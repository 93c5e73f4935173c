"""How a contract reaches its storage, one file for each linking option, and how it reaches other contracts."""

from storagemod.linking.binding import check_callee, check_links
from storagemod.linking.contract import MAIN, MEMORY_EXPORT, Contract, load_binary
from storagemod.linking.contract_calls import PREFIX, ContractImport
from storagemod.linking.copied import CopiedMappings
from storagemod.linking.keyed import SLOTS_REGION
from storagemod.linking.layout import DEFAULT_REGION, Access, Layout, Region
from storagemod.linking.option import LinkingOption
from storagemod.linking.options import OPTIONS, check_option_name, option_for, option_names
from storagemod.linking.paged import FrameTable, PagedMappings
from storagemod.linking.rules import outside_region, static_growth, static_write
from storagemod.linking.slots import Slots
from storagemod.linking.storage import (
    GuardedMemory,
    LiveStorage,
    Rights,
    open_storage,
    prepare,
)
from storagemod.linking.storage_map import Mappings
from storagemod.linking.storage_module import storage_module, storage_module_wat

__all__ = [
    "DEFAULT_REGION",
    "MAIN",
    "MEMORY_EXPORT",
    "OPTIONS",
    "PREFIX",
    "SLOTS_REGION",
    "Access",
    "Contract",
    "ContractImport",
    "CopiedMappings",
    "FrameTable",
    "GuardedMemory",
    "Layout",
    "LinkingOption",
    "LiveStorage",
    "Mappings",
    "PagedMappings",
    "Region",
    "Rights",
    "Slots",
    "check_callee",
    "check_links",
    "check_option_name",
    "load_binary",
    "open_storage",
    "option_for",
    "option_names",
    "outside_region",
    "prepare",
    "static_growth",
    "static_write",
    "storage_module",
    "storage_module_wat",
]
