//! What is left of a frame when rows are excluded, as frames.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_window::expr_fn::rank;
use datafusion::logical_expr::expr::{WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{
    AggregateUDF, Expr, ExprFunctionExt, WindowFrame, WindowFrameBound, WindowFrameUnits,
    WindowFunctionDefinition, lit, when,
};

use super::clipped::{Side, clipped};
use super::{Columns, Exclusion};

/// A part of a frame.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    /// The rows of a frame in the order of the window.
    Frame(WindowFrame),
    /// Peers on one side of the row.
    Peers(WindowFrame),
    /// The rows of a frame on one side of the peers.
    Clipped(WindowFrame, Side),
    /// The row.
    Itself,
}

impl Part {
    /// The window of an aggregate over this part; `None` for the row itself. It may read where the
    /// peers are.
    pub(super) fn window(
        &self,
        function: &WindowFunction,
        aggregate: &Arc<AggregateUDF>,
        peers: &mut Columns,
    ) -> Result<Option<Expr>> {
        let mut params = function.params.clone();
        let mut fun = WindowFunctionDefinition::AggregateUDF(Arc::clone(aggregate));
        match self {
            Part::Itself => return Ok(None),
            Part::Frame(frame) => params.window_frame = frame.clone(),
            Part::Peers(frame) => {
                params.window_frame = frame.clone();
                let order = std::mem::take(&mut params.order_by);
                params.partition_by.extend(order.into_iter().map(|sort| sort.expr));
            }
            Part::Clipped(frame, side) => {
                params.window_frame = frame.clone();
                if let Some(filter) = params.filter.take() {
                    // All of these aggregates leave out NULL.
                    for arg in &mut params.args {
                        *arg = when(filter.as_ref().clone(), arg.clone()).end()?;
                    }
                }
                let places = places_of_peers(&function.params)?;
                params.args.extend(places.map(|place| peers.add(place)));
                fun = WindowFunctionDefinition::WindowUDF(clipped(aggregate, *side));
            }
        }
        Ok(Some(Expr::WindowFunction(Box::new(WindowFunction { fun, params }))))
    }
}

/// The windows that say where the peers of a row are: the number of the first one, and how many
/// there are.
fn places_of_peers(params: &WindowFunctionParams) -> Result<[Expr; 2]> {
    let (keys, order) = (params.partition_by.clone(), params.order_by.clone());
    let same = keys.iter().cloned().chain(order.iter().map(|sort| sort.expr.clone())).collect();
    let first = rank().partition_by(keys).order_by(order).build()?;
    let count = WindowFunctionDefinition::AggregateUDF(count_udaf());
    let count = Expr::from(WindowFunction::new(count, vec![lit(1_i64)]));
    Ok([first, count.partition_by(same).build()?])
}

/// An end of a frame, in rows or groups from the row; `None` if it is that of the partition.
type End = Option<i64>;

fn end_of(bound: &WindowFrameBound) -> Option<End> {
    use WindowFrameBound::{CurrentRow, Following, Preceding};
    match bound {
        CurrentRow => Some(Some(0)),
        bound if bound.is_unbounded() => Some(None),
        Preceding(ScalarValue::UInt64(Some(n))) => Some(Some(-i64::try_from(*n).ok()?)),
        Following(ScalarValue::UInt64(Some(n))) => Some(Some(i64::try_from(*n).ok()?)),
        _ => None,
    }
}

/// The frame between two ends, where it is not empty.
fn between(units: WindowFrameUnits, start: End, end: End) -> Option<WindowFrame> {
    if matches!((start, end), (Some(start), Some(end)) if start > end) {
        return None;
    }
    let bound = |end: End, unbounded: WindowFrameBound| match end {
        None => unbounded,
        Some(0) => WindowFrameBound::CurrentRow,
        Some(n) => {
            let distance = ScalarValue::UInt64(Some(n.unsigned_abs()));
            if n < 0 {
                WindowFrameBound::Preceding(distance)
            } else {
                WindowFrameBound::Following(distance)
            }
        }
    };
    let none = ScalarValue::UInt64(None);
    let start = bound(start, WindowFrameBound::Preceding(none.clone()));
    let end = bound(end, WindowFrameBound::Following(none));
    Some(WindowFrame::new_bounds(units, start, end))
}

/// The parts of a frame before and after the row, or its group.
fn around(units: WindowFrameUnits, start: End, end: End) -> Vec<Part> {
    let before = between(units, start, Some(end.map_or(-1, |end| end.min(-1))));
    let after = between(units, Some(start.map_or(1, |start| start.max(1))), end);
    [before, after].into_iter().flatten().map(Part::Frame).collect()
}

/// The peers of a row without it.
fn peers() -> Vec<Part> {
    let rows = |start, end| between(WindowFrameUnits::Rows, start, end).map(Part::Peers);
    [rows(None, Some(-1)), rows(Some(1), None)].into_iter().flatten().collect()
}

/// Whether a frame with these ends holds the row itself.
fn holds_row(frame: &WindowFrame) -> bool {
    use WindowFrameBound::{Following, Preceding};
    let is_zero = |distance: &ScalarValue| {
        ScalarValue::new_zero(&distance.data_type()).is_ok_and(|zero| zero == *distance)
    };
    let is_after = matches!(&frame.start_bound, Following(distance) if !is_zero(distance));
    let is_before = matches!(&frame.end_bound, Preceding(distance) if !is_zero(distance));
    !is_after && !is_before
}

/// What is left of the frame of a window.
pub(super) fn parts(params: &WindowFunctionParams, exclusion: Exclusion) -> Vec<Part> {
    use WindowFrameUnits::{Groups, Rows};
    let frame = &params.window_frame;
    let at_peers = |end: End| matches!(end, None | Some(0));
    let mut parts = match (frame.units, end_of(&frame.start_bound), end_of(&frame.end_bound)) {
        (Rows, Some(start), Some(end)) if exclusion == Exclusion::CurrentRow => {
            return around(Rows, start, end);
        }
        // Without an order all rows are peers.
        _ if params.order_by.is_empty() => Vec::new(),
        (Groups, Some(start), Some(end)) => around(Groups, start, end),
        // Beside the peers, these are the same groups in any unit.
        (_, Some(start), Some(end)) if at_peers(start) && at_peers(end) => {
            around(Groups, start, end)
        }
        _ => Vec::from([Side::Before, Side::After].map(|side| Part::Clipped(frame.clone(), side))),
    };
    if holds_row(frame) {
        match exclusion {
            Exclusion::CurrentRow => parts.extend(peers()),
            Exclusion::Ties => parts.push(Part::Itself),
            Exclusion::Group | Exclusion::NoOthers => {}
        }
    }
    parts
}
