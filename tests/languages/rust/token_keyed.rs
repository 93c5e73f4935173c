//! The token, its storage in 32-byte values by 32-byte keys.
#![no_std]

mod storagemod {
    include!(env!("STORAGEMOD_RS"));
}

#[path = "cells_keyed.rs"]
mod cells;
mod token;
