//! The counter, its storage behind the functions of the storage module.
#![no_std]

mod storagemod {
    include!(env!("STORAGEMOD_RS"));
}

#[path = "cells_methods.rs"]
mod cells;
mod counter;
