//! The envelope: bytes in, sealed bytes out, and back.
