// SPDX-License-Identifier: LGPL-2.0-or-later
//! Outcomes as text: the timeline, tables, the comparison with upstream, JSON.

pub(crate) mod compare;
pub(crate) mod json_rows;
pub(crate) mod state_sequence;
pub(crate) mod statistics;
pub(crate) mod summary;
pub(crate) mod tables;
pub(crate) mod timeline;
