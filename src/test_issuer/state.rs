//! The issuer's state: keys, counters and settings.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::AbortHandle;

use super::clients::{Clients, METHODS};
use super::fault::{Endpoint, Fault};
use super::handles::Tokens;
use super::keys::TestKey;
use crate::clock::Clock;

/// The lifetime of a token from the token endpoint, and of an injected token.
pub(super) const TOKEN_LIFETIME: Duration = Duration::from_secs(300);

pub(crate) struct Shared {
    pub(super) url: String,
    pub(super) path: String,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) state: Mutex<State>,
    pub(super) server: Mutex<Option<ServerTask>>,
    pub(super) address: Option<SocketAddr>,
}

pub(super) struct State {
    pub(super) keys: Vec<TestKey>,
    pub(super) minted_keys: u32,
    pub(super) extra_jwks: Vec<Value>,
    pub(super) documents: Documents,
    pub(super) advertised_issuer: Option<String>,
    pub(super) cache_control: Option<String>,
    pub(super) faults: HashMap<Endpoint, Fault>,
    pub(super) counts: Counts,
    pub(super) requests: Vec<String>,
    pub(super) tokens: Tokens,
    pub(super) clients: Clients,
    pub(super) introspections: Vec<IntrospectionCall>,
}

/// The task of the HTTP server. It ends when this value is dropped.
pub(super) struct ServerTask(pub(super) AbortHandle);

impl Drop for ServerTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The metadata documents that the issuer serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Documents {
    /// The documents of RFC 8414 and of OpenID Connect Discovery.
    #[default]
    Both,
    /// Only the document of RFC 8414.
    OAuth,
    /// Only the document of OpenID Connect Discovery, whose well-known name follows the issuer's
    /// path.
    OpenId,
}

/// The number of requests to each endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Requests for metadata documents, including failed ones.
    pub metadata: u32,
    /// Requests to other paths, and requests for a metadata document that is not served.
    pub not_found: u32,
    /// Requests for the key set.
    pub jwks: u32,
    /// Requests for tokens.
    pub token: u32,
    /// Calls of the introspection endpoint.
    pub introspection: u32,
    /// Calls of the revocation endpoint.
    pub revocation: u32,
}

/// A call of the introspection endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IntrospectionCall {
    /// The client, if its credentials were valid.
    pub client_id: Option<String>,
    /// The client's method of authentication: a name from the IANA registry, or `bearer`.
    pub method: Option<&'static str>,
    /// The parameter `token`.
    pub token: Option<String>,
    /// The parameter `token_type_hint`.
    pub token_type_hint: Option<String>,
    /// The `Accept` field.
    pub accept: Option<String>,
    /// The `Content-Type` field.
    pub content_type: Option<String>,
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn jwks(&self) -> String {
        let state = self.state();
        let own = state.keys.iter().filter_map(TestKey::jwk);
        let keys: Vec<_> = state.extra_jwks.iter().cloned().chain(own).collect();
        json!({ "keys": keys }).to_string()
    }

    pub(super) fn metadata(&self) -> String {
        let issuer = self.state().advertised_issuer.clone().unwrap_or_else(|| self.url.clone());
        json!({
            "issuer": issuer,
            "jwks_uri": format!("{}/jwks", self.url),
            "token_endpoint": format!("{}/token", self.url),
            "response_types_supported": ["code"],
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "introspection_endpoint": format!("{}/introspect", self.url),
            "introspection_endpoint_auth_methods_supported": METHODS,
            "revocation_endpoint": format!("{}/revoke", self.url),
            "revocation_endpoint_auth_methods_supported": METHODS,
        })
        .to_string()
    }

    pub(super) fn fault(&self, endpoint: Endpoint) -> Fault {
        self.state().faults.get(&endpoint).cloned().unwrap_or(Fault::None)
    }
}
