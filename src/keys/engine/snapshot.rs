//! The set in use, with all that is known of it: published as one, so that nothing of it can be of
//! another set.

use std::sync::Arc;

use bytes::Bytes;

use crate::keys::freshness::Life;
use crate::keys::set::KeySet;
use crate::keys::source::fetched::Validator;

pub(crate) struct Snapshot {
    pub(crate) keys: Arc<KeySet>,
    pub(crate) life: Life,
    /// The set as it came, for seeds and to tell whether the next one is another.
    pub(crate) document: Bytes,
    pub(crate) validator: Option<Validator>,
    /// Whether it is a seed, and no fetch of this process has confirmed it.
    pub(crate) seed: bool,
}
