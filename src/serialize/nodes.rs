//! The nodes of a plan, each encoded by itself.

use std::cell::RefCell;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Spans};
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Expr, Extension, Limit, LogicalPlan, Projection, Subquery, Union};
use datafusion_proto::bytes::{
    logical_plan_from_bytes_with_extension_codec, logical_plan_to_bytes_with_extension_codec,
};
use datafusion_proto::logical_plan::from_proto::parse_exprs;
use datafusion_proto::logical_plan::to_proto::serialize_exprs;
use datafusion_proto::protobuf::{DfSchema, LogicalExprNode};
use prost::{Message, Oneof};

use super::codec::{Codec, damaged};
use super::custom::StandIn;
use super::subquery;
use crate::error::{Error, Result};

/// A node and which ones, of those before it, its inputs are.
#[derive(Clone, PartialEq, Message)]
pub(super) struct WrittenPlan {
    #[prost(uint32, repeated, tag = "1")]
    inputs: Vec<u32>,
    #[prost(oneof = "Node", tags = "2, 3, 4, 5")]
    node: Option<Node>,
}

/// A node without its inputs. Three are not left to DataFusion, which reads other ones: it resolves
/// the columns of a projection again, takes unions two by two, and bounds a limit that has none.
#[derive(Clone, PartialEq, Oneof)]
enum Node {
    /// A message `LogicalPlanNode` of DataFusion.
    #[prost(bytes, tag = "2")]
    DataFusion(Vec<u8>),
    #[prost(message, tag = "3")]
    Projection(WrittenProjection),
    #[prost(message, tag = "4")]
    Limit(WrittenLimit),
    #[prost(message, tag = "5")]
    Union(WrittenUnion),
}

#[derive(Clone, PartialEq, Message)]
struct WrittenProjection {
    #[prost(message, repeated, tag = "1")]
    exprs: Vec<LogicalExprNode>,
}

#[derive(Clone, PartialEq, Message)]
struct WrittenLimit {
    /// None, or one.
    #[prost(message, repeated, tag = "1")]
    skip: Vec<LogicalExprNode>,
    #[prost(message, repeated, tag = "2")]
    fetch: Vec<LogicalExprNode>,
}

/// Columns that the inputs alone do not tell.
#[derive(Clone, PartialEq, Message)]
struct WrittenUnion {
    #[prost(message, optional, tag = "1")]
    schema: Option<DfSchema>,
}

/// Writes a plan down.
pub(super) struct Writer<'a> {
    reader: Reader<'a>,
    written: Vec<WrittenPlan>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(codec: &'a Codec) -> Self {
        Writer { reader: Reader::new(codec), written: Vec::new() }
    }

    /// All nodes, of which the last one is the plan.
    ///
    /// # Errors
    /// `Query` for a node that cannot be written down, or would be another one when it is read.
    pub(super) fn written(mut self, plan: &LogicalPlan) -> Result<Vec<WrittenPlan>> {
        self.add(plan)?;
        Ok(self.written)
    }

    /// Adds a plan and gives its place.
    fn add(&mut self, plan: &LogicalPlan) -> Result<usize> {
        use LogicalPlan as P;
        if matches!(
            plan,
            P::Dml(_) | P::Ddl(_) | P::Copy(_) | P::Statement(_) | P::DescribeTable(_)
        ) {
            return Err(Error::query("only queries can be serialized"));
        }
        let mut inputs = Vec::new();
        for input in plan.inputs() {
            inputs.push(self.add(input)?);
        }
        // The plans in its expressions come before it, too.
        let this = RefCell::new(self);
        let with_stand_ins = plan.clone().map_expressions(|expr| {
            expr.transform_up(|expr| {
                let plan = subquery::plan_in(&expr);
                let place = plan.map(|plan| this.borrow_mut().add(plan)).transpose()?;
                Ok(match subquery::stand_in(&expr, place)? {
                    Some(stand_in) => Transformed::yes(stand_in),
                    None => Transformed::no(expr),
                })
            })
        })?;
        let this = this.into_inner();
        let mut places = inputs.iter();
        let with_stand_ins = with_stand_ins.data.map_children(|input| {
            let place = places.next().copied();
            let place = place.ok_or_else(|| Error::internal("an input of a node is hidden"))?;
            let schema = Arc::clone(input.schema());
            Ok(Transformed::yes(StandIn::for_input(place, schema)))
        })?;
        let node = match with_stand_ins.data {
            LogicalPlan::Subquery(subquery) => StandIn::for_subquery(inputs[0], &subquery)?,
            node => node,
        };
        let codec = this.reader.codec;
        let node = this.node(&node).map_err(|err| cannot(plan, codec.error(err)))?;
        codec.unheard()?;
        let inputs = inputs.into_iter().map(|place| place as u32).collect();
        let written = WrittenPlan { inputs, node: Some(node) };
        let read = this.reader.add(&written).map_err(|err| cannot(plan, err))?;
        if read.display().to_string() != plan.display().to_string() {
            let differs = Error::query(format!("it would be read as {}", read.display()));
            return Err(cannot(plan, differs));
        }
        // DataFusion leaves schemas in plans that no longer follow from the expressions.
        if read.schema() != plan.schema()
            && read.schema() != plan.clone().recompute_schema()?.schema()
        {
            let columns = |plan: &LogicalPlan| format!("{:?}", plan.schema());
            let what =
                format!("the columns {} would be read for {}", columns(&read), columns(plan));
            return Err(cannot(plan, Error::query(what)));
        }
        this.written.push(written);
        Ok(this.written.len() - 1)
    }

    fn node(&self, node: &LogicalPlan) -> DataFusionResult<Node> {
        let codec = self.reader.codec;
        Ok(match node {
            LogicalPlan::Union(union) => {
                Node::Union(WrittenUnion { schema: Some(DfSchema::try_from(&union.schema)?) })
            }
            LogicalPlan::Projection(projection) => {
                let exprs = serialize_exprs(&projection.expr, codec)?;
                Node::Projection(WrittenProjection { exprs })
            }
            LogicalPlan::Limit(limit) => {
                let written = |bound: &Option<Box<Expr>>| serialize_exprs(bound.as_deref(), codec);
                let (skip, fetch) = (written(&limit.skip)?, written(&limit.fetch)?);
                Node::Limit(WrittenLimit { skip, fetch })
            }
            node => {
                let bytes = logical_plan_to_bytes_with_extension_codec(node, codec)?;
                Node::DataFusion(bytes.to_vec())
            }
        })
    }
}

fn cannot(node: &LogicalPlan, err: Error) -> Error {
    let error = Error::query(format!("cannot serialize {}: {err}", node.display()));
    match err.hint() {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// Reads a plan.
pub(super) struct Reader<'a> {
    codec: &'a Codec,
}

impl<'a> Reader<'a> {
    pub(super) fn new(codec: &'a Codec) -> Self {
        Reader { codec }
    }

    /// The plan.
    ///
    /// # Errors
    /// `Input` if the nodes are no plan; `Query` if the session lacks a function.
    pub(super) fn read(self, nodes: &[WrittenPlan]) -> Result<Arc<LogicalPlan>> {
        let mut plan = None;
        for node in nodes {
            plan = Some(self.add(node)?);
        }
        plan.ok_or_else(|| Error::input("a serialized query has no plan"))
    }

    /// Reads a node, whose inputs have been read.
    fn add(&self, written: &WrittenPlan) -> Result<Arc<LogicalPlan>> {
        let inputs = written.inputs.iter().map(|place| self.codec.plan(*place as usize));
        let inputs = inputs.collect::<DataFusionResult<Vec<_>>>()?;
        let node = self.node(&written.node, inputs);
        let plan = node.map_err(|err| self.codec.error(err))?;
        let plan = Arc::new(plan);
        self.codec.add_plan(Arc::clone(&plan));
        Ok(plan)
    }

    fn node(
        &self,
        written: &Option<Node>,
        inputs: Vec<Arc<LogicalPlan>>,
    ) -> DataFusionResult<LogicalPlan> {
        let context = self.codec.task_context();
        let exprs = |written: &[LogicalExprNode]| {
            let exprs = parse_exprs(written, context, self.codec)?;
            exprs
                .into_iter()
                .map(|expr| Ok(self.with_plans(expr)?.data))
                .collect::<DataFusionResult<Vec<_>>>()
        };
        let only = || match inputs.as_slice() {
            [input] => Ok(Arc::clone(input)),
            _ => Err(damaged("a node has too many inputs, or none")),
        };
        match written {
            Some(Node::Union(WrittenUnion { schema })) => {
                let schema = schema.as_ref().ok_or_else(|| damaged("a union without columns"))?;
                let schema = Arc::new(DFSchema::try_from(schema)?);
                Ok(LogicalPlan::Union(Union { inputs, schema }))
            }
            Some(Node::Projection(written)) => {
                let projection = Projection::try_new(exprs(&written.exprs)?, only()?)?;
                Ok(LogicalPlan::Projection(projection))
            }
            Some(Node::Limit(WrittenLimit { skip, fetch })) => {
                let (mut skip, mut fetch) = (exprs(skip)?, exprs(fetch)?);
                let (skip, fetch) = (skip.pop().map(Box::new), fetch.pop().map(Box::new));
                Ok(LogicalPlan::Limit(Limit { skip, fetch, input: only()? }))
            }
            Some(Node::DataFusion(bytes)) => {
                let node =
                    logical_plan_from_bytes_with_extension_codec(bytes, context, self.codec)?;
                self.with_inputs(node, &inputs)
            }
            None => Err(damaged("a node is missing")),
        }
    }

    /// A node with what it has stand-ins for.
    fn with_inputs(
        &self,
        node: LogicalPlan,
        inputs: &[Arc<LogicalPlan>],
    ) -> DataFusionResult<LogicalPlan> {
        if let LogicalPlan::Extension(Extension { node }) = &node
            && let Some(stand_in) = node.as_any().downcast_ref::<StandIn>()
        {
            let outer = stand_in.outer.iter().cloned();
            let outer = outer.map(|expr| Ok(self.with_plans(expr)?.data));
            let outer_ref_columns = outer.collect::<DataFusionResult<_>>()?;
            let subquery = self.codec.plan(stand_in.place)?;
            let spans = Spans::new();
            return Ok(LogicalPlan::Subquery(Subquery { subquery, outer_ref_columns, spans }));
        }
        let mut changed = false;
        let node = node.map_expressions(|expr| {
            let expr = self.with_plans(expr)?;
            changed |= expr.transformed;
            Ok(expr)
        })?;
        let mut inputs = inputs.iter();
        let node = node.data.map_children(|_| {
            let input = inputs.next().ok_or_else(|| damaged("a node lacks an input"))?;
            Ok(Transformed::yes(input.as_ref().clone()))
        })?;
        match changed {
            true => node.data.recompute_schema(),
            false => Ok(node.data),
        }
    }

    fn with_plans(&self, expr: Expr) -> DataFusionResult<Transformed<Expr>> {
        expr.transform_up(|expr| subquery::replaced(expr, self.codec))
    }
}
