//! Scenes for the model checker.
