"""Images, live regions, write trackers, the undo log and digests: bytes and pages, and nothing of contracts."""

from storagemod.pages._libc import PROT_NONE, PROT_READ, PROT_READ_WRITE, protect
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
    coded_length,
    decoded_length,
    erased,
    image_length,
    read_image,
)
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

__all__ = [
    "BACKENDS",
    "DIGEST_BYTES",
    "EMPTY_NODE",
    "NO_IMAGE",
    "PAGES_PER_WASM_PAGE",
    "PAGE_BYTES",
    "PROT_NONE",
    "PROT_READ",
    "PROT_READ_WRITE",
    "TREE_PAGES_MAX",
    "WORD_BYTES",
    "ZERO_PAGE",
    "Extent",
    "FileImage",
    "FrameFile",
    "HashTree",
    "Image",
    "ImageEdit",
    "LiveMemory",
    "LiveRegion",
    "MemoryFile",
    "MemoryImage",
    "NodeKey",
    "OverlayImage",
    "PageBackend",
    "PageChange",
    "PageFile",
    "RegionDiff",
    "Run",
    "SharedView",
    "UndoLog",
    "WritableImage",
    "choose_backend",
    "coded_length",
    "decoded_length",
    "differing_bytes",
    "erased",
    "image_length",
    "merged_runs",
    "page_digest",
    "protect",
    "read_image",
    "why_not_shared",
    "why_unavailable",
]
