//! Windows by the names of the WINDOW clause: `OVER w`, `OVER (w ORDER BY a)`.
//!
//! DataFusion knows the first form in the select list only, and of the second it forgets the name.

use datafusion::sql::sqlparser::ast::{
    Ident, NamedWindowDefinition, NamedWindowExpr, WindowSpec, WindowType,
};

use super::Resolver;
use super::exact::{at, same};
use crate::error::{Error, Result};
use crate::exclude::is_mark;

impl Resolver<'_> {
    /// Takes the windows of a SELECT into its scope. Each can go on from those before it.
    pub(super) fn windows(&mut self, windows: &mut Vec<NamedWindowDefinition>) -> Result<()> {
        for NamedWindowDefinition(name, window) in std::mem::take(windows) {
            if self.named_window(&name).is_some() {
                let error = Error::query(format!("the window \"{}\" is there twice", name.value));
                return Err(at(error, name.span));
            }
            let mut window = match window {
                NamedWindowExpr::NamedWindow(other) => WindowType::NamedWindow(other),
                NamedWindowExpr::WindowSpec(spec) => WindowType::WindowSpec(spec),
            };
            self.window(&mut window)?;
            self.scope_mut().windows.push((name, window));
        }
        Ok(())
    }

    /// Puts a window in the place of its name.
    pub(super) fn window(&self, window: &mut WindowType) -> Result<()> {
        let name = match window {
            WindowType::NamedWindow(name) => name.clone(),
            WindowType::WindowSpec(spec) => match spec.window_name.take() {
                Some(name) => name,
                None => return Ok(()),
            },
        };
        let Some(named) = self.named_window(&name) else {
            let error = Error::query(format!("no window \"{}\"", name.value));
            return Err(at(error.with_hint("define it: WINDOW w AS (…)"), name.span));
        };
        match (window, named) {
            (WindowType::WindowSpec(spec), WindowType::WindowSpec(named)) => {
                continued(spec, named).map_err(|error| at(error, name.span))
            }
            (window, named) => {
                *window = named.clone();
                Ok(())
            }
        }
    }

    fn named_window(&self, name: &Ident) -> Option<&WindowType> {
        let windows = &self.scopes.last()?.windows;
        windows.iter().find(|(known, _)| same(name, &known.value)).map(|(_, window)| window)
    }
}

/// A window that goes on from a named one: it has its partitions, and may add an order and a frame.
fn continued(spec: &mut WindowSpec, named: &WindowSpec) -> Result<()> {
    let refused = |what: &str| {
        Err(Error::query(format!(
            "a window that goes on from another one cannot change its {what}"
        ))
        .with_hint("write the whole window: OVER (PARTITION BY … ORDER BY … ROWS …)"))
    };
    // The mark of an EXCLUDE stands among the partitions.
    if !spec.partition_by.iter().all(is_mark) {
        return refused("PARTITION BY");
    }
    if !spec.order_by.is_empty() && !named.order_by.is_empty() {
        return refused("ORDER BY");
    }
    if named.window_frame.is_some() {
        return refused("frame");
    }
    spec.partition_by.splice(0..0, named.partition_by.iter().cloned());
    if spec.order_by.is_empty() {
        spec.order_by.clone_from(&named.order_by);
    }
    Ok(())
}
