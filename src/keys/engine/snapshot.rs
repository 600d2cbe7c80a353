//! The set in use and the data about this set. Both are published together, so that they always
//! belong together.

use std::sync::Arc;

use bytes::Bytes;

use crate::keys::freshness::Life;
use crate::keys::set::KeySet;
use crate::keys::source::fetched::{Part, Validator};

pub(crate) struct Snapshot {
    pub(crate) keys: Arc<KeySet>,
    pub(crate) life: Life,
    /// The document of the set as received. It is needed for seeds, and to detect whether the next
    /// document differs.
    pub(crate) document: Bytes,
    pub(crate) validator: Option<Validator>,
    /// The last good set of each place, if the set was merged from several places.
    pub(crate) parts: Arc<[Part]>,
    /// Whether the set is a seed, and no fetch of this process has succeeded. Some parts of a later set
    /// may still come from the seed.
    pub(crate) seed: bool,
}
