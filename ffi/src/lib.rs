//! What C sees: the ABI of multipath-tools' path checkers, in two forms.
//!
//! As *plugins* the checkers are loaded by libmultipath; [`export_checker!`] makes what it looks up.
//! In the form of a [library] they are linked into libmultipath, together with what its `checkers.c`
//! does, and we are the host of other plugins.
//!
//! Nothing here decides a path's state. A call of the host comes in through one of the functions that
//! [`export_checker!`] makes, passes the [`border`], is translated from the host's
//! [`struct checker`](layout) into a typed [`Call`](checkers_core::Call), and goes to the checker; its
//! verdict goes back the same way.
//!
//! | module | subject |
//! |---|---|
//! | `era` | which ABI is spoken |
//! | `host` | finding that out, and what the host offers |
//! | `symbols` | looking things up in the host |
//! | `layout` | `struct checker` of each era |
//! | `border` | panics and cancellation stop here |
//! | `calls` | the exported functions, written once for all checkers |
//! | `export` | the macro that exports them |
//! | `fork` | a child process is not left with locks that nothing releases |
//! | `library` | libmultipath's own side, for a build that has the checkers inside |
//! | `log_bridge` | log lines go to the host's `dlog` |
//! | `panics` | what a panic says on standard error |
//! | `refusal` | what is said of a host that is not known, once per process |
//! | `threads` | how a worker is started inside a daemon |

mod border;
pub mod calls;
mod era;
mod export;
mod fork;
mod host;
mod layout;
pub mod library;
mod log_bridge;
mod panics;
mod refusal;
mod symbols;
mod threads;

pub use era::Era;
pub use export::MessagePointer;
#[doc(hidden)]
pub use export::message_table;
pub use fork::{ForkHandlers, ForkLocks, register as register_fork_handlers};
pub use layout::Layout;
#[doc(hidden)]
pub use refusal::Reported;
