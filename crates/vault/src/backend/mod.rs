//! Places that keep secrets, one file each.

pub mod embedded;
