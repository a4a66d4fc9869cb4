//! Policy.
pub mod obligation;
pub mod permit;
