//! The documents of the ledger.

use alerts::store::{ItemKey, decode};
use lambda_kit::moment::Moment;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::MonitorError;
use crate::ports::Ledger;

/// A document that the ledger keeps.
pub(crate) trait Stored: Serialize + DeserializeOwned + Default {
    /// The document's name.
    const NAME: &'static str;
}

/// Reads a document with its revision. A document that is not readable is reset.
pub(crate) async fn load<T: Stored>(
    ledger: &dyn Ledger,
    watched: &str,
    now: Moment,
) -> Result<(u64, T), MonitorError> {
    let Some(document) = ledger.document(T::NAME).await? else { return Ok((0, T::default())) };
    let key = ItemKey::new(format!("ledger of {watched}"), T::NAME);
    Ok((document.revision, decode(&key, &document.body, now).unwrap_or_default()))
}

/// Writes a document. Returns false if another invocation wrote it since `revision`.
pub(crate) async fn save<T: Stored>(
    ledger: &dyn Ledger,
    revision: u64,
    state: &T,
) -> Result<bool, MonitorError> {
    let body =
        serde_json::to_string(state).map_err(|source| MonitorError::Document { name: T::NAME, source })?;
    Ok(ledger.save(T::NAME, revision, &body).await?)
}
