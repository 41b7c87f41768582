//! Token counts by kind.

/// Tokens of one answer. The kinds do not overlap, except that reasoning is part of output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Prompt tokens that no cache served or stored.
    pub uncached_input_tokens: u64,
    /// Prompt tokens read from a cache.
    pub cache_read_tokens: u64,
    /// Prompt tokens written to a cache for five minutes.
    pub cache_write_5m_tokens: u64,
    /// Prompt tokens written to a cache for an hour.
    pub cache_write_1h_tokens: u64,
    /// Generated tokens, reasoning included.
    pub output_tokens: u64,
    /// Generated tokens that were reasoning.
    pub reasoning_tokens: u64,
}

impl Usage {
    /// All prompt tokens.
    #[must_use]
    pub const fn input_tokens(&self) -> u64 {
        self.uncached_input_tokens
            + self.cache_read_tokens
            + self.cache_write_5m_tokens
            + self.cache_write_1h_tokens
    }
}
