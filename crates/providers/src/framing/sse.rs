//! Server-sent events: a push parser that is linear and bounded, and a writer.
