//! The set in use and all data about it. Both are published together, so that the data always
//! belongs to this set.

use std::sync::Arc;

use bytes::Bytes;

use crate::keys::freshness::Life;
use crate::keys::set::KeySet;
use crate::keys::source::fetched::Validator;

pub(crate) struct Snapshot {
    pub(crate) keys: Arc<KeySet>,
    pub(crate) life: Life,
    /// The set as received, for seeds and to detect whether the next set differs.
    pub(crate) document: Bytes,
    pub(crate) validator: Option<Validator>,
    /// Whether the set is a seed that no fetch of this process has confirmed.
    pub(crate) seed: bool,
}
