//! What is left of a frame when rows are excluded, as frames.

use std::sync::Arc;

use datafusion::common::{ScalarValue, not_impl_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{
    AggregateUDF, Expr, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition,
};

use super::Exclusion;

/// A part of a frame.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    /// The rows of a frame in the order of the window.
    Frame(WindowFrame),
    /// Peers on one side of the row.
    Peers(WindowFrame),
    /// The row.
    Itself,
}

impl Part {
    /// The window of an aggregate over this part; `None` for the row itself.
    pub(super) fn window(
        &self,
        function: &WindowFunction,
        aggregate: &Arc<AggregateUDF>,
    ) -> Option<Expr> {
        let mut params = function.params.clone();
        match self {
            Part::Itself => return None,
            Part::Frame(frame) => params.window_frame = frame.clone(),
            Part::Peers(frame) => {
                params.window_frame = frame.clone();
                let order = std::mem::take(&mut params.order_by);
                params.partition_by.extend(order.into_iter().map(|sort| sort.expr));
            }
        }
        let fun = WindowFunctionDefinition::AggregateUDF(Arc::clone(aggregate));
        Some(Expr::WindowFunction(Box::new(WindowFunction { fun, params })))
    }
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

/// What is left of the frame of a window.
///
/// # Errors
/// `NotImplemented` where a part begins or ends with peers, and the frame somewhere else.
pub(super) fn parts(params: &WindowFunctionParams, exclusion: Exclusion) -> Result<Vec<Part>> {
    let WindowFrame { units, start_bound, end_bound, .. } = &params.window_frame;
    let (units, start, end) = match (units, end_of(start_bound), end_of(end_bound)) {
        (WindowFrameUnits::Rows | WindowFrameUnits::Groups, Some(start), Some(end)) => {
            (*units, start, end)
        }
        (WindowFrameUnits::Range, Some(None | Some(0)), Some(None | Some(0))) => {
            let ends = (end_of(start_bound).flatten(), end_of(end_bound).flatten());
            (WindowFrameUnits::Groups, ends.0, ends.1)
        }
        _ => return not_impl_err!("EXCLUDE in a frame of RANGE with a distance"),
    };
    let holds_row = start.is_none_or(|start| start <= 0) && end.is_none_or(|end| end >= 0);
    let is_ordered = !params.order_by.is_empty();
    if exclusion == Exclusion::CurrentRow && units == WindowFrameUnits::Rows {
        return Ok(around(units, start, end));
    }
    let at_peers = |end: End| matches!(end, None | Some(0));
    if units == WindowFrameUnits::Rows && !(at_peers(start) && at_peers(end)) {
        return not_impl_err!("EXCLUDE GROUP and TIES in a frame of so many ROWS");
    }
    // Without an order all rows are peers.
    let mut parts =
        if is_ordered { around(WindowFrameUnits::Groups, start, end) } else { Vec::new() };
    if holds_row {
        match exclusion {
            Exclusion::CurrentRow => parts.extend(peers()),
            Exclusion::Ties => parts.push(Part::Itself),
            Exclusion::Group | Exclusion::NoOthers => {}
        }
    }
    Ok(parts)
}
