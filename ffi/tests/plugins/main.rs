// SPDX-License-Identifier: LGPL-2.0-or-later

//! Plugins, and the library form, under hosts that do what no real host does, in a system that fails, hangs
//! or lies.
//!
//! Each test runs in a process of its own ([`isolated`]), into which a [shim](system) is preloaded that
//! replaces functions of the C library.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod arenas;
mod fork;
mod hang;
mod isolated;
mod library_shortage;
mod order;
mod path;
mod shortage;
mod stack;
mod steady;
mod system;
mod tls;
mod unknown_host;
