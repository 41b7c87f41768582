//! Root keys: where they come from, and refusing those that are not safe.
