//! What path checkers cost and how long a call into one may take, C's and ours side by side.
//!
//! A *host* (`bench-host-b`, `-c`, `-d`) is a small executable that exports what `libmultipath` of
//! one ABI exports, loads one plugin, opens paths and does what it is told on its standard input, a
//! line at a time ([`serve`], [`single`]). It brings SCSI devices of its own: the `ioctl` that it exports answers
//! `SG_IO` at once, after a while, or not until told ([`stub`]). The programs that tell hosts what to
//! do are `bench`, which prints the table, and `endure`, which lets devices come, go and hang. For
//! many threads in one plugin there is a host of another kind, `race-host`.

pub mod aio_floor;
pub mod driver;
pub mod exports;
pub mod paths;
pub mod random;
pub mod rounds;
pub mod serve;
pub mod single;
pub mod stopwatch;
pub mod stub;
pub mod threads;
pub mod usage;
