//! The set in use and the data about this set. Both are published together, so that they always
//! belong together.

use std::sync::{Arc, Mutex};

use bytes::Bytes;

use crate::keys::freshness::Life;
use crate::keys::set::KeySet;
use crate::keys::source::fetched::Validator;

pub(crate) struct Snapshot {
    pub(crate) keys: Arc<KeySet>,
    pub(crate) life: Life,
    /// The document of the set as received, or merged from several sets. It is needed for seeds, and to
    /// detect whether the next document differs.
    pub(crate) document: Bytes,
    pub(crate) validator: Option<Validator>,
    /// Whether the set is a seed, and no fetch of this process has succeeded.
    pub(crate) seed: bool,
    /// Whether the engine has already tried to replace this set after it expired. See
    /// [`RemoteKeys::current`](crate::keys::engine::remote::RemoteKeys::current).
    pub(crate) replacement_tried: Mutex<bool>,
}
