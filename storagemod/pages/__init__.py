"""Images, mappings, write trackers, the journal and digests: bytes and pages, and nothing of contracts."""

from storagemod.pages.digest import DIGEST_BYTES, RegionDigest
from storagemod.pages.image import Image, MemoryImage, read_image
from storagemod.pages.journal import Checkpoint, Journal, JournaledRegion, Written
from storagemod.pages.mapping import CopyMapping, LiveMemory, Mapping
from storagemod.pages.page import PAGE_BYTES, WORD_BYTES, ZERO_PAGE, Run, merged_runs
from storagemod.pages.tracker import CompareTracker, WriteTracker
from storagemod.pages.write_set import WriteSet, overwrite

__all__ = [
    "DIGEST_BYTES",
    "PAGE_BYTES",
    "WORD_BYTES",
    "ZERO_PAGE",
    "Checkpoint",
    "CompareTracker",
    "CopyMapping",
    "Image",
    "Journal",
    "JournaledRegion",
    "LiveMemory",
    "Mapping",
    "MemoryImage",
    "RegionDigest",
    "Run",
    "WriteSet",
    "WriteTracker",
    "Written",
    "merged_runs",
    "overwrite",
    "read_image",
]
