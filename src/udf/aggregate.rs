//! Closures that aggregate.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{ScalarValue, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
};

use super::types::{Output, Param, Value, converted, scalar, typed};
use super::{Same, guarded};
use crate::functions::aggregate::{Counts, DistinctAccumulator, Queue, Whole};

/// What is kept of a group: a [`Value`] or a tuple of up to four. Parts of a group are kept in
/// columns when they go from thread to thread or to disk.
pub trait State: Clone + Send + Sync + 'static {
    /// The types of the columns.
    #[doc(hidden)]
    fn types() -> Vec<DataType>;

    /// A value for each column.
    #[doc(hidden)]
    fn values(&self) -> Result<Vec<ScalarValue>>;

    /// The state in a row of the columns.
    #[doc(hidden)]
    fn at(columns: &[ArrayRef], row: usize) -> Result<Self>;
}

impl<V: Value> State for V {
    fn types() -> Vec<DataType> {
        vec![V::DATA_TYPE]
    }

    fn values(&self) -> Result<Vec<ScalarValue>> {
        Ok(vec![scalar(Some(self.clone()))?])
    }

    fn at(columns: &[ArrayRef], row: usize) -> Result<Self> {
        Ok(<V as Value>::at(typed(&columns[0])?, row))
    }
}

/// Tuples of these.
macro_rules! states {
    ($(($($value:ident $place:tt),+))*) => {$(
        impl<$($value: Value),+> State for ($($value,)+) {
            fn types() -> Vec<DataType> {
                vec![$($value::DATA_TYPE),+]
            }

            fn values(&self) -> Result<Vec<ScalarValue>> {
                Ok(vec![$(scalar(Some(self.$place.clone()))?),+])
            }

            fn at(columns: &[ArrayRef], row: usize) -> Result<Self> {
                Ok(($(<$value as Value>::at(typed(&columns[$place])?, row),)+))
            }
        }
    )*};
}

states! {
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
}

/// A closure that adds one to four [`Param`]s of a row to a state. `M` says which.
pub trait Accumulate<S, M>: Send + Sync + 'static {
    /// What it takes.
    #[doc(hidden)]
    fn types() -> Vec<DataType>;

    /// Adds rows to the state.
    #[doc(hidden)]
    fn add(&self, state: &mut S, arguments: &[ArrayRef]) -> Result<(), String>;
}

/// Closures of these parameters.
macro_rules! closures {
    ($(($($param:ident $column:ident $place:literal),+))*) => {$(
        impl<F, S, $($param),+> Accumulate<S, fn($($param),+)> for F
        where
            $($param: Param,)+
            F: Fn(&mut S, $($param),+) + for<'a> Fn(&mut S, $($param::Item<'a>),+)
                + Send + Sync + 'static,
        {
            fn types() -> Vec<DataType> {
                vec![$($param::DATA_TYPE),+]
            }

            fn add(&self, state: &mut S, arguments: &[ArrayRef]) -> Result<(), String> {
                fn call<S, $($param),+>(
                    closure: impl Fn(&mut S, $($param),+),
                    state: &mut S,
                    $($column: $param),+
                ) {
                    closure(state, $($column),+);
                }
                $(
                    let $column = typed::<$param::Column>(&arguments[$place])
                        .map_err(|error| error.to_string())?;
                )+
                for row in 0..arguments[0].len() {
                    $(let Some($column) = $param::at($column, row) else { continue };)+
                    call::<S, $($param::Item<'_>),+>(self, state, $($column),+);
                }
                Ok(())
            }
        }
    )*};
}

closures! {
    (A a 0)
    (A a 0, B b 1)
    (A a 0, B b 1, C c 2)
    (A a 0, B b 1, C c 2, D d 3)
}

pub(super) fn function<S: State, M: 'static, O: Output + 'static>(
    name: String,
    init: impl Fn() -> S + Send + Sync + 'static,
    accumulate: impl Accumulate<S, M>,
    merge: impl Fn(&mut S, S) + Send + Sync + 'static,
    finish: impl Fn(S) -> O + Send + Sync + 'static,
) -> AggregateUDF {
    fn types_of<S, M, F: Accumulate<S, M>>(_: &F) -> Vec<DataType> {
        F::types()
    }
    let arguments = types_of(&accumulate);
    let steps = Arc::new(Steps {
        name: name.clone(),
        init: Box::new(init),
        accumulate: Box::new(move |state: &mut S, columns: &[ArrayRef]| {
            accumulate.add(state, columns)
        }),
        merge: Box::new(merge),
        finish: Box::new(move |state| scalar(finish(state).outcome()?).map_err(|e| e.to_string())),
    });
    let start = move |sliding: bool| -> Result<Box<dyn Accumulator>> {
        let steps = Arc::clone(&steps);
        if sliding {
            return Ok(Box::new(Frame { steps, rows: Queue::default() }));
        }
        let state = steps.start()?;
        Ok(Box::new(Group { steps, state }))
    };
    AggregateUDF::from(Function {
        name,
        signature: Signature::user_defined(Volatility::Immutable),
        arguments,
        result: O::Value::DATA_TYPE,
        state: S::types(),
        start: Same(Arc::new(start)),
    })
}

/// Makes an accumulator: one whose first rows may leave again, or one whose rows stay.
type Start = dyn Fn(bool) -> Result<Box<dyn Accumulator>> + Send + Sync;

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Function {
    name: String,
    signature: Signature,
    arguments: Vec<DataType>,
    result: DataType,
    state: Vec<DataType>,
    start: Same<Start>,
}

impl AggregateUDFImpl for Function {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        converted(&self.name, &self.arguments, given)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.result.clone())
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            let once = Once { start: self.start.clone() };
            return Ok(Box::new(DistinctAccumulator::with_nulls(args.expr_fields, once)?));
        }
        (self.start.0)(false)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct { self.accumulator(args) } else { (self.start.0)(true) }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        if args.is_distinct {
            return Ok(Counts::state_fields(args.name, args.input_fields));
        }
        let field = |(place, data_type): (usize, &DataType)| {
            let name = format_state_name(args.name, &format!("state{place}"));
            Arc::new(Field::new(name, data_type.clone(), true))
        };
        Ok(self.state.iter().enumerate().map(field).collect())
    }
}

/// The aggregate of rows that are all there.
#[derive(Debug)]
struct Once {
    start: Same<Start>,
}

impl Whole for Once {
    fn whole(&self, values: &[ArrayRef]) -> Result<ScalarValue> {
        let mut group = (self.start.0)(false)?;
        group.update_batch(values)?;
        group.evaluate()
    }
}

type Merge<S> = dyn Fn(&mut S, S) + Send + Sync;

type Add<S> = dyn Fn(&mut S, &[ArrayRef]) -> Result<(), String> + Send + Sync;

/// The closures of an aggregate.
struct Steps<S> {
    name: String,
    init: Box<dyn Fn() -> S + Send + Sync>,
    accumulate: Box<Add<S>>,
    merge: Box<Merge<S>>,
    finish: Box<dyn Fn(S) -> Result<ScalarValue, String> + Send + Sync>,
}

impl<S> Steps<S> {
    fn start(&self) -> Result<S> {
        guarded(&self.name, || Ok((self.init)()))
    }

    fn add(&self, state: &mut S, values: &[ArrayRef]) -> Result<()> {
        guarded(&self.name, || (self.accumulate)(state, values))
    }

    fn merge(&self, state: &mut S, other: S) -> Result<()> {
        guarded(&self.name, || {
            (self.merge)(state, other);
            Ok(())
        })
    }

    fn finish(&self, state: S) -> Result<ScalarValue> {
        guarded(&self.name, || (self.finish)(state))
    }
}

/// The state of a group.
struct Group<S> {
    steps: Arc<Steps<S>>,
    state: S,
}

impl<S: State> std::fmt::Debug for Group<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a group of {}", self.steps.name)
    }
}

impl<S: State> Accumulator for Group<S> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.steps.add(&mut self.state, values)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for row in 0..states[0].len() {
            // A group without a row of its own, such as that of an outer join, has none.
            if states[0].is_null(row) {
                continue;
            }
            self.steps.merge(&mut self.state, S::at(states, row)?)?;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.state.values()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.steps.finish(self.state.clone())
    }

    fn size(&self) -> usize {
        // Texts are on the heap.
        let values = self.state.values().unwrap_or_default();
        size_of::<Self>() + values.iter().map(ScalarValue::size).sum::<usize>()
    }
}

/// The rows of a window's frame, each as a state.
struct Frame<S> {
    steps: Arc<Steps<S>>,
    rows: Queue<S>,
}

impl<S> std::fmt::Debug for Frame<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a frame of {}", self.steps.name)
    }
}

impl<S: State> Accumulator for Frame<S> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for row in 0..values[0].len() {
            let values: Vec<ArrayRef> = values.iter().map(|column| column.slice(row, 1)).collect();
            let mut state = self.steps.start()?;
            self.steps.add(&mut state, &values)?;
            self.rows.push(state, |all, row| self.steps.merge(all, row))?;
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        // Rows leave in the order in which they came.
        let mut leaving = 0..values[0].len();
        leaving.try_for_each(|_| self.rows.pop(|all, row| self.steps.merge(all, row)))
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let state = match self.rows.whole(|all, row| self.steps.merge(all, row))? {
            Some(state) => state,
            None => self.steps.start()?,
        };
        self.steps.finish(state)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        internal_err!("windows keep no states")
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        internal_err!("windows merge no states")
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.rows.size()
    }
}
