//! A request's wait for keys.

use std::sync::Arc;

use crate::crypto::Algorithm;
use crate::keys::Lookup;
use crate::keys::freshness::Wait;
use crate::keys::remote::RemoteKeys;
use crate::runtime;

/// A wait for the end of an attempt to fetch, at most as long as its limit.
pub(crate) struct KeyWait {
    keys: Arc<RemoteKeys>,
    wait: Wait,
    sought: Option<Sought>,
}

/// The key that a request looks for.
struct Sought {
    kid: Option<Box<str>>,
    algorithm: Algorithm,
    iss: Box<str>,
}

impl KeyWait {
    pub(crate) fn new(
        keys: Arc<RemoteKeys>,
        wait: Wait,
        (kid, algorithm, iss): (Option<&str>, Algorithm, &str),
    ) -> Self {
        // An attempt that was under way may have been answered before the request's key was
        // published. One that was started for the request can't.
        let sought =
            wait.joined.then(|| Sought { kid: kid.map(Into::into), algorithm, iss: iss.into() });
        Self { keys, wait, sought }
    }

    /// Returns when there is more to know, or when the limit is reached: the caller looks again.
    pub(crate) async fn done(self) {
        let end = async {
            self.keys.ended(self.wait.attempt).await;
            let Some(Sought { kid, algorithm, iss }) = &self.sought else { return };
            if let Lookup::Wait(again) = self.keys.find(kid.as_deref(), *algorithm, iss, false) {
                self.keys.ended(again.wait.attempt).await;
            }
        };
        let _ = runtime::within(self.wait.limit, end).await;
    }
}

impl Drop for KeyWait {
    fn drop(&mut self) {
        if self.wait.counted {
            self.keys.wait_is_over();
        }
    }
}
