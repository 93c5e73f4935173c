"""Images, mappings, write trackers, the journal and digests: bytes and pages, and nothing of contracts."""

from storagemod.pages.backend import BACKENDS, PageBackend, choose_backend, why_not_shared, why_unavailable
from storagemod.pages.file_image import FileImage, MemoryFile, OverlayImage, PageFile
from storagemod.pages.hash_tree import DIGEST_BYTES, EMPTY_NODE, TREE_PAGES_MAX, HashTree, NodeKey, page_digest
from storagemod.pages.image import (
    NO_IMAGE,
    Extent,
    Image,
    ImageEdit,
    MemoryImage,
    RegionDiff,
    WritableImage,
    erased,
    read_image,
)
from storagemod.pages.journal import Checkpoint, Journal, JournaledRegion, Written
from storagemod.pages.mapping import LiveMemory
from storagemod.pages.page import (
    PAGE_BYTES,
    PAGES_PER_WASM_PAGE,
    WORD_BYTES,
    ZERO_PAGE,
    Run,
    differing_bytes,
    merged_runs,
)
from storagemod.pages.shared import Window

__all__ = [
    "BACKENDS",
    "DIGEST_BYTES",
    "EMPTY_NODE",
    "NO_IMAGE",
    "PAGES_PER_WASM_PAGE",
    "PAGE_BYTES",
    "TREE_PAGES_MAX",
    "WORD_BYTES",
    "ZERO_PAGE",
    "Checkpoint",
    "Extent",
    "FileImage",
    "HashTree",
    "Image",
    "ImageEdit",
    "Journal",
    "JournaledRegion",
    "LiveMemory",
    "MemoryFile",
    "MemoryImage",
    "NodeKey",
    "OverlayImage",
    "PageBackend",
    "PageFile",
    "RegionDiff",
    "Run",
    "Window",
    "WritableImage",
    "Written",
    "choose_backend",
    "differing_bytes",
    "erased",
    "merged_runs",
    "page_digest",
    "read_image",
    "why_not_shared",
    "why_unavailable",
]
