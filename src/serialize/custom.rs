//! Nodes that are not DataFusion's.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::{DFSchemaRef, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    Expr, Extension, LogicalPlan, Subquery, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use datafusion_proto::logical_plan::from_proto::parse_exprs;
use datafusion_proto::logical_plan::to_proto::serialize_exprs;
use datafusion_proto::protobuf::{self, LogicalExprNode};
use prost::Message;

use super::codec::{Codec, damaged};
use super::subquery::outer_columns;
use super::tables::{decoded_schema, encoded_schema};
use crate::error::Error;
use crate::frame::{MapNode, SetSorted};
use crate::keys::Apart;
use crate::relations::AsofNode;

/// A node of ours that can be written down.
pub(crate) trait WrittenNode: UserDefinedLogicalNode + Sized {
    /// The name of all nodes of this type where they are written down.
    const KIND: &'static str;

    /// What it is, besides its inputs, its expressions and its columns, as JSON. `None` if it cannot
    /// be written down.
    fn state(&self) -> Option<String>;

    /// The node that this is written of; `columns` are those it had.
    ///
    /// # Errors
    /// `Internal` or `Input` if it is written of none.
    fn read(
        state: &str,
        columns: SchemaRef,
        exprs: Vec<Expr>,
        inputs: Vec<LogicalPlan>,
    ) -> Result<Self>;
}

/// A node as it is written down.
#[derive(Clone, PartialEq, Message)]
struct Written {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(string, tag = "2")]
    state: String,
    #[prost(message, optional, tag = "3")]
    columns: Option<protobuf::Schema>,
    #[prost(message, repeated, tag = "4")]
    exprs: Vec<LogicalExprNode>,
    /// Whether it stands in, and for which place.
    #[prost(uint32, optional, tag = "5")]
    stand_in: Option<u32>,
}

pub(super) fn written(node: &Extension, codec: &Codec) -> Result<Vec<u8>> {
    let node = node.node.as_ref();
    if let Some(stand_in) = node.as_any().downcast_ref::<StandIn>() {
        let exprs = serialize_exprs(&stand_in.outer, codec)?;
        let written =
            Written { stand_in: Some(stand_in.place as u32), exprs, ..Written::default() };
        return Ok(written.encode_to_vec());
    }
    let (kind, state) = state_of::<AsofNode>(node)
        .or_else(|| state_of::<SetSorted>(node))
        .or_else(|| state_of::<MapNode>(node))
        .or_else(|| state_of::<Apart>(node))
        .ok_or_else(|| Error::query("only queries can be serialized"))?;
    let state = state.ok_or_else(|| {
        Error::query(format!("{} calls a function of this program", node.name()))
            .with_hint("serialize the query before it, and call the function on what is read again")
    })?;
    let columns = Some(encoded_schema(node.schema().as_arrow())?);
    let exprs = serialize_exprs(&node.expressions(), codec)?;
    let written = Written { kind: kind.to_string(), state, columns, exprs, stand_in: None };
    Ok(written.encode_to_vec())
}

fn state_of<N: WrittenNode + 'static>(
    node: &dyn UserDefinedLogicalNode,
) -> Option<(&str, Option<String>)> {
    node.as_any().downcast_ref::<N>().map(|node| (N::KIND, node.state()))
}

pub(super) fn read(bytes: &[u8], inputs: &[LogicalPlan], codec: &Codec) -> Result<Extension> {
    let written = Written::decode(bytes).map_err(damaged)?;
    let exprs = parse_exprs(&written.exprs, codec.task_context(), codec)?;
    if let Some(place) = written.stand_in {
        let place = place as usize;
        let schema = Arc::clone(codec.plan(place)?.schema());
        return Ok(Extension { node: Arc::new(StandIn { place, outer: exprs, schema }) });
    }
    let columns = decoded_schema(written.columns.as_ref())?;
    let parts = Parts { written: &written, columns, exprs, inputs: inputs.to_vec() };
    let node = match written.kind.as_str() {
        AsofNode::KIND => parts.node::<AsofNode>()?,
        SetSorted::KIND => parts.node::<SetSorted>()?,
        MapNode::KIND => parts.node::<MapNode>()?,
        Apart::KIND => parts.node::<Apart>()?,
        other => return Err(damaged(format!("no node {other}"))),
    };
    Ok(Extension { node })
}

struct Parts<'a> {
    written: &'a Written,
    columns: SchemaRef,
    exprs: Vec<Expr>,
    inputs: Vec<LogicalPlan>,
}

impl Parts<'_> {
    fn node<N: WrittenNode + 'static>(self) -> Result<Arc<dyn UserDefinedLogicalNode>> {
        let Parts { written, columns, exprs, inputs } = self;
        Ok(Arc::new(N::read(&written.state, columns, exprs, inputs)?))
    }
}

/// Stands for the plan of a place: for an input of a node, or alone for a subquery among the inputs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct StandIn {
    pub(super) place: usize,
    /// The outer columns of a subquery.
    pub(super) outer: Vec<Expr>,
    schema: DFSchemaRef,
}

impl StandIn {
    pub(super) fn for_input(place: usize, schema: DFSchemaRef) -> LogicalPlan {
        StandIn { place, outer: Vec::new(), schema }.plan()
    }

    pub(super) fn for_subquery(place: usize, subquery: &Subquery) -> Result<LogicalPlan> {
        let schema = Arc::clone(subquery.subquery.schema());
        Ok(StandIn { place, outer: outer_columns(subquery)?, schema }.plan())
    }

    fn plan(self) -> LogicalPlan {
        LogicalPlan::Extension(Extension { node: Arc::new(self) })
    }
}

impl PartialOrd for StandIn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self.place, &self.outer).partial_cmp(&(other.place, &other.outer))
    }
}

impl UserDefinedLogicalNodeCore for StandIn {
    fn name(&self) -> &'static str {
        "StandIn"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        Vec::new()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.outer.clone()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StandIn: {}", self.place)
    }

    fn with_exprs_and_inputs(&self, outer: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        match inputs.is_empty() {
            true => Ok(StandIn { outer, ..self.clone() }),
            false => internal_err!("what stands in for a plan has no inputs"),
        }
    }
}
