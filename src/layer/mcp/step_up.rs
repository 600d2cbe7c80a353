//! A refusal from inside a tool.

use std::sync::{Arc, Mutex, PoisonError};

use http::Extensions;

use crate::rejection::Refusal;

/// Where a tool puts its refusal. The layer puts it into the extensions of each request.
#[derive(Clone, Default)]
pub(super) struct ToolRefusal(Arc<Mutex<Option<Refusal>>>);

impl ToolRefusal {
    pub(super) fn take(&self) -> Option<Refusal> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, refusal: Refusal) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
    }
}

impl Refusal {
    /// Makes this refusal the response of the whole request, for a tool of an MCP server that has found with
    /// [`AccessToken::require`](crate::AccessToken::require) that the token lacks something. `extensions` are those
    /// of the HTTP request: rmcp passes its `Parts` to a tool.
    ///
    /// Returns `false` if no layer of [`protect_mcp`](crate::ResourceServer::protect_mcp) is around the service. It
    /// has no effect if the response has already begun: use a server that answers with JSON
    /// (`with_json_response(true)` and `with_legacy_session_mode(false)` of rmcp), not with a stream of events.
    pub fn respond_instead(self, extensions: &Extensions) -> bool {
        let slot = extensions.get::<ToolRefusal>();
        slot.map(|slot| slot.put(self)).is_some()
    }
}
