// SPDX-License-Identifier: LGPL-2.0-or-later

//! Test hosts in which devices hang and the system refuses resources.
//!
//! | module | subject |
//! |---|---|
//! | `protocol` | what endure asks of a host, and what the host reports |
//! | `path` | one path of such a host |
//! | `child` | forked processes |
//! | `refusals`, `case` | role `shortage`: a resource is refused at every place in turn |
//! | `scenes` | role `scenes`: fork, signals, stops, cancelled threads |
//! | `races` | role `races`: many threads in one plugin |

mod case;
mod child;
mod path;
pub mod protocol;
pub mod races;
pub mod refusals;
pub mod scenes;
