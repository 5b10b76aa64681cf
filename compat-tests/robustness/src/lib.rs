//! Devices that hang and systems that refuse memory, threads, descriptors or AIO contexts.

pub mod shortage;
