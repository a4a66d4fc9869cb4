//! What both listeners need to know about HTTP messages, and how the process says that it is stopping.

pub mod body;
pub mod drain;
pub mod head;
