// SPDX-License-Identifier: LGPL-2.0-or-later

//! Pseudo-random numbers, the same ones each time.

/// Marsaglia's xorshift; the number that it begins with must not be 0.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next one, below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % limit.max(1)
    }
}
