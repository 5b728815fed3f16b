//! The columns of Arrow files in object stores.
//!
//! DataFusion looks for them behind the shortest head that such a file can have, but what arrow writes
//! has a longer one. They are in the footer, too.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::convert::fb_to_schema;
use arrow::ipc::reader::read_footer_length;
use arrow::ipc::root_as_footer;
use datafusion::catalog::Session;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::arrow::ArrowFormat;
use datafusion::error::Result;
use object_store::ObjectMeta;

use super::store::FileStore;
use crate::error::Error;

/// The length of the footer, and the letters that a file ends with.
const TAIL_BYTES: u64 = 10;

/// The columns of all files together.
///
/// # Errors
/// `Io` if a file cannot be read; `Input` if it is no Arrow file.
pub(super) async fn columns(
    state: &dyn Session,
    store: &FileStore,
    objects: &[ObjectMeta],
) -> Result<SchemaRef> {
    let mut schemas = Vec::with_capacity(objects.len());
    for object in objects {
        schemas.push(match of_footer(store, object).await? {
            Some(schema) => schema,
            // It has batches one after another and no footer.
            None => {
                let one = std::slice::from_ref(object);
                let schema = ArrowFormat.infer_schema(state, store.objects(), one).await?;
                Arc::unwrap_or_clone(schema)
            }
        });
    }
    Ok(Arc::new(Schema::try_merge(schemas)?))
}

/// The columns that the footer of a file names, if it has one.
async fn of_footer(store: &FileStore, object: &ObjectMeta) -> Result<Option<Schema>> {
    let Some(end) = object.size.checked_sub(TAIL_BYTES) else { return Ok(None) };
    let tail = store.get_range(object, end..object.size).await?;
    let length = <[u8; TAIL_BYTES as usize]>::try_from(tail.as_ref());
    let Some(Ok(length)) = length.ok().map(read_footer_length) else { return Ok(None) };
    let damaged = || {
        let path = store.shown(&object.location);
        Error::input(format!("\"{path}\" is no readable Arrow file: its footer is damaged"))
    };
    let start = end.checked_sub(length as u64).ok_or_else(damaged)?;
    let bytes = store.get_range(object, start..end).await?;
    let footer = root_as_footer(&bytes).map_err(|_| damaged())?;
    Ok(Some(fb_to_schema(footer.schema().ok_or_else(damaged)?)))
}
