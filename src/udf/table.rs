//! Closures that give tables.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{ScalarValue, plan_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::Expr;

use super::types::{Value, typed};
use super::{Same, guarded};
use crate::error::Error;
use crate::frame::DataFrame;

/// What a closure for FROM gives: a [`DataFrame`] or a `Result` of one.
pub trait IntoFrame {
    /// The frame.
    #[doc(hidden)]
    fn into_frame(self) -> crate::Result<DataFrame>;
}

impl IntoFrame for DataFrame {
    fn into_frame(self) -> crate::Result<DataFrame> {
        Ok(self)
    }
}

impl<E: Into<Error>> IntoFrame for std::result::Result<DataFrame, E> {
    fn into_frame(self) -> crate::Result<DataFrame> {
        self.map_err(Into::into)
    }
}

/// A closure of up to four [`Value`]s that gives a table. `M` says which.
pub trait TableClosure<M>: Send + Sync + 'static {
    /// What it takes.
    #[doc(hidden)]
    fn types() -> Vec<DataType>;

    /// The table for these values, none of which is NULL.
    #[doc(hidden)]
    fn frame(&self, arguments: &[ScalarValue]) -> Result<crate::Result<DataFrame>>;
}

/// Closures of these parameters.
macro_rules! closures {
    ($(($($param:ident $place:literal),*))*) => {$(
        impl<F, T, $($param),*> TableClosure<fn($($param),*) -> T> for F
        where
            $($param: Value,)*
            T: IntoFrame,
            F: Fn($($param),*) -> T + Send + Sync + 'static,
        {
            fn types() -> Vec<DataType> {
                vec![$($param::DATA_TYPE),*]
            }

            fn frame(&self, _arguments: &[ScalarValue]) -> Result<crate::Result<DataFrame>> {
                Ok(self($(value::<$param>(&_arguments[$place])?),*).into_frame())
            }
        }
    )*};
}

closures! {
    ()
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
}

fn value<V: Value>(value: &ScalarValue) -> Result<V> {
    Ok(V::at(typed(&value.to_array()?)?, 0))
}

pub(super) fn function<M: 'static>(
    name: String,
    closure: impl TableClosure<M>,
) -> Arc<dyn TableFunctionImpl> {
    fn types_of<M, F: TableClosure<M>>(_: &F) -> Vec<DataType> {
        F::types()
    }
    let arguments = types_of(&closure);
    let frame = move |arguments: &[ScalarValue]| closure.frame(arguments);
    Arc::new(Function { name, arguments, frame: Same(Arc::new(frame)) })
}

type Frame = dyn Fn(&[ScalarValue]) -> Result<crate::Result<DataFrame>> + Send + Sync;

#[derive(Debug)]
struct Function {
    name: String,
    arguments: Vec<DataType>,
    frame: Same<Frame>,
}

impl TableFunctionImpl for Function {
    fn call_with_args(&self, args: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let exprs = args.exprs();
        if exprs.len() != self.arguments.len() {
            let (wanted, given) = (self.arguments.len(), exprs.len());
            return plan_err!("{}() takes {wanted} arguments, not {given}", self.name);
        }
        let constant = |(expr, data_type): (&Expr, &DataType)| match expr {
            Expr::Literal(value, _) if !value.is_null() => value.cast_to(data_type),
            other => plan_err!("{}() takes constants, not {other}", self.name),
        };
        let values: Vec<ScalarValue> =
            exprs.iter().zip(&self.arguments).map(constant).collect::<Result<_>>()?;
        let frame = guarded(&self.name, || Ok((self.frame.0)(&values)))??;
        let frame = frame.map_err(|error| DataFusionError::External(Box::new(error)))?;
        Ok(frame.into_table())
    }
}
