//! Functions of one kind of value, by the names Polars has for them: `col("t").dt().year()`.

mod date_time;
mod edit;
mod moments;
mod nested;
mod rounding;
mod text;
mod zone;

pub use date_time::DateTime;
pub(super) use edit::Edit;
pub use moments::Roll;
pub(super) use moments::{Change, Unclear, changed};
pub(super) use nested::Length;
pub use nested::{Json, List};
pub(super) use rounding::Rounding;
pub use text::Text;
