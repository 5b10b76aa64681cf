// SPDX-License-Identifier: LGPL-2.0-or-later

//! Differential tests: the plugin of a multipath-tools release and this project's are loaded as
//! `libmultipath` loads them, driven by the same cases, and everything that a host or an administrator
//! can see is compared after every call.

pub mod directio;
pub mod scsi;
