//! The data plane: one inference call from start to finish.
