//! Functions of one kind of value, by the names Polars has for them: `col("t").dt().year()`.

mod date_time;
mod moments;
mod nested;
mod text;

pub use date_time::DateTime;
pub use moments::Roll;
pub use nested::{Json, List};
pub use text::Text;
