//! What every compatibility suite needs: a loader for plugins, `struct checker` of every ABI, what
//! `libmultipath` exports, devices that fail or hang on command, fault injection, and the ledger of
//! differences.

pub mod abi;
pub mod aio_faults;
pub mod aio_rings;
pub mod async_plugin;
pub mod checker_struct;
pub mod devices;
pub mod host;
pub mod interpose;
pub mod ipc;
pub mod ledger;
pub mod output;
pub mod plugin;
pub mod process;
pub mod scsi;
pub mod side;
pub mod state;
pub mod summary;
pub mod surroundings;
pub mod threads;
mod trouble;

pub use trouble::{Doing, Result, Trouble, os};
