//! Text and token files as inputs.
