//! The `quartermaster` program.

fn main() {}
