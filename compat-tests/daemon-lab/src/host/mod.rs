// SPDX-License-Identifier: LGPL-2.0-or-later
//! The half that runs on the host: suite trees, guests, directories of runs.

pub(crate) mod exec;
pub(crate) mod guest_run;
pub(crate) mod log_directory;
pub(crate) mod plan;
pub(crate) mod plugin_source;
pub(crate) mod queue;
pub(crate) mod recorded;
pub(crate) mod tree;
pub(crate) mod vm;
