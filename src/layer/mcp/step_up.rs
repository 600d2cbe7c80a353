//! A refusal from inside a tool.

use std::sync::{Arc, Mutex, PoisonError};

use http::Extensions;

use crate::rejection::Refusal;

/// A slot for the refusal of a tool. The layer puts an empty slot into the extensions of each request.
#[derive(Clone, Default)]
pub(super) struct ToolRefusal(Arc<Mutex<Slot>>);

#[derive(Default)]
enum Slot {
    #[default]
    Open,
    Taken(Refusal),
    /// The response has begun.
    Closed,
}

impl ToolRefusal {
    /// Closes the slot when the response begins. Returns the refusal that the tool has put there, if any.
    pub(super) fn close(&self) -> Option<Refusal> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *slot, Slot::Closed) {
            Slot::Taken(refusal) => Some(refusal),
            Slot::Open | Slot::Closed => None,
        }
    }

    /// Returns `false` if the response has begun.
    fn put(&self, refusal: Refusal) -> bool {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_open = !matches!(*slot, Slot::Closed);
        if is_open {
            *slot = Slot::Taken(refusal);
        }
        is_open
    }
}

impl Refusal {
    /// Makes this refusal the response of the whole HTTP request. Call this method in a tool of an MCP server, if
    /// [`AccessToken::require`](crate::AccessToken::require) returned the refusal. `extensions` are the extensions of
    /// the HTTP request: rmcp passes the `Parts` of the request to a tool.
    ///
    /// Returns `false` if the call has no effect: no layer of [`protect_mcp`](crate::ResourceServer::protect_mcp) is
    /// around the service, or the response has already begun. A stream of events can begin before the tool runs. So use
    /// a server that answers with JSON (`with_json_response(true)` and `with_legacy_session_mode(false)` of rmcp). In a
    /// batch, the refusal replaces the results of all calls.
    pub fn respond_instead(self, extensions: &Extensions) -> bool {
        let slot = extensions.get::<ToolRefusal>();
        slot.is_some_and(|slot| slot.put(self))
    }
}
