//! Queries as bytes, which this or another process makes a frame of.
//!
//! - this module: the methods, and what is in the bytes
//! - `tables`: what is scanned: files with how they are read, tables by their names, or rows
//! - `nodes`: the nodes of a plan, one after the other, each after its inputs
//! - `codec`: what DataFusion's encoding of a node leaves to us; `functions`, `subquery` and `custom`
//!   are parts of it
//!
//! A node is encoded by itself, with stand-ins for its inputs and for the plans in its expressions:
//! a plan may be of any depth, and DataFusion does not encode all that expressions can hold. What has
//! been encoded is decoded at once and compared, so that nothing is lost without a word.

mod codec;
mod custom;
mod functions;
mod nodes;
mod subquery;
mod tables;

use std::sync::Arc;

use datafusion::dataframe::DataFrame as Plan;
use prost::Message;

use crate::error::{Error, Result};
use crate::frame::DataFrame;
use crate::session::Session;
use codec::Codec;
pub(crate) use custom::WrittenNode;
use nodes::{Reader, Writer};
use tables::{Tables, WrittenTable};

/// What the bytes begin with; the CRC-32 of the rest follows, low byte first, and then a [`Written`].
const MAGIC: &[u8] = b"BRIMPLAN";

/// A query.
#[derive(Clone, PartialEq, Message)]
struct Written {
    /// Of this program; no other version reads it.
    #[prost(string, tag = "1")]
    version: String,
    #[prost(message, repeated, tag = "2")]
    tables: Vec<WrittenTable>,
    /// The last one is the plan.
    #[prost(message, repeated, tag = "3")]
    nodes: Vec<nodes::WrittenPlan>,
}

fn version() -> String {
    format!("{} on DataFusion {}", env!("CARGO_PKG_VERSION"), datafusion::DATAFUSION_VERSION)
}

impl DataFrame {
    /// The query as bytes, for [`Session::deserialize`] in this process or another one of the same
    /// version.
    ///
    /// Files are named by absolute paths or URLs, with how they are read: their format, columns and
    /// types are not found out again. Views are part of the query, and so is what was persisted, as
    /// the query it came from. Tables of the session are named, and have to be there when the query
    /// is read; rows that only this frame has are in the bytes, up to 16 MiB. Settings, and what time
    /// it is, are those of the session that reads the query.
    ///
    /// # Errors
    /// `Query` if there are functions of this program in it, unless the session knows them by name,
    /// or too many rows.
    pub async fn serialize(&self) -> Result<Vec<u8>> {
        let state = self.session().state();
        let plan = tables::inlined(self.logical_plan().clone())?;
        let tables = Tables::of(&state, &plan).await?;
        let nodes = Writer::new(&Codec::new(state.clone(), tables.providers())).written(&plan)?;
        let tables = tables.written(&state).await?;
        let written = Written { version: version(), tables, nodes }.encode_to_vec();
        let checksum = crc32fast::hash(&written).to_le_bytes();
        Ok([MAGIC, checksum.as_slice(), written.as_slice()].concat())
    }
}

impl Session {
    /// The query of which [`DataFrame::serialize`] made these bytes. A checksum tells whether they are
    /// all there; who made them has to be trusted, as a query may read any file.
    ///
    /// # Errors
    /// `Input` if they are no query, or one of another version; `Query` if this session lacks a
    /// table, a function or a store of the query, or has another one of that name.
    pub async fn deserialize(&self, bytes: &[u8]) -> Result<DataFrame> {
        let Some(bytes) = bytes.strip_prefix(MAGIC) else {
            return Err(Error::input("these bytes are no serialized query"));
        };
        let Some((_, bytes)) = bytes
            .split_first_chunk()
            .filter(|(checksum, bytes)| crc32fast::hash(bytes) == u32::from_le_bytes(**checksum))
        else {
            return Err(Error::damaged("its checksum differs"));
        };
        let written = Written::decode(bytes).map_err(Error::damaged)?;
        if written.version != version() {
            return Err(Error::input(format!(
                "the query was serialized by version {}, and this is version {}",
                written.version,
                version()
            ))
            .with_hint("serialize it again with this version"));
        }
        let state = self.state();
        let mut providers = Vec::with_capacity(written.tables.len());
        for table in &written.tables {
            providers.push(table.provider(&state).await?);
        }
        let codec = Codec::new(state.clone(), providers);
        let plan = Reader::new(&codec).read(&written.nodes)?;
        Ok(DataFrame::new(self.clone(), Plan::new(state, Arc::unwrap_or_clone(plan))))
    }
}
