//! The bank, its storage mapped into memory.
#![no_std]

mod storagemod {
    include!(env!("STORAGEMOD_RS"));
}

#[path = "cells_mapped.rs"]
mod cells;
mod bank;
