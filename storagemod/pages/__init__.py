"""Images, mappings, write trackers, the journal and digests: bytes and pages, and nothing of contracts."""

from storagemod.pages.backend import BACKENDS, PageBackend, choose_backend, why_not_shared, why_unavailable
from storagemod.pages.draft import Draft
from storagemod.pages.file_image import FileImage, OverlayImage, PageFile
from storagemod.pages.hash_tree import DIGEST_BYTES, EMPTY_NODE, TREE_PAGES_MAX, HashTree, NodeKey, page_digest
from storagemod.pages.image import NO_IMAGE, Image, MemoryImage, WritableImage, read_image
from storagemod.pages.live import LiveMemory, LiveRegion, PageChange, UndoLog
from storagemod.pages.page import (
    PAGE_BYTES,
    PAGES_PER_WASM_PAGE,
    WORD_BYTES,
    ZERO_PAGE,
    Run,
    differing_bytes,
    merged_runs,
)
from storagemod.pages.shared import FrameFile, SharedView
from storagemod.pages.write_set import WriteSet, erased

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
    "Draft",
    "FileImage",
    "FrameFile",
    "HashTree",
    "Image",
    "LiveMemory",
    "LiveRegion",
    "MemoryImage",
    "NodeKey",
    "OverlayImage",
    "PageChange",
    "PageBackend",
    "PageFile",
    "Run",
    "SharedView",
    "UndoLog",
    "WritableImage",
    "WriteSet",
    "choose_backend",
    "differing_bytes",
    "erased",
    "merged_runs",
    "page_digest",
    "read_image",
    "why_not_shared",
    "why_unavailable",
]
