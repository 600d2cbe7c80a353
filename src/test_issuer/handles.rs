//! The tokens that the issuer minted. Decides whether a token is active, and finds its claims.

use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::crypto::sha256;

/// Opaque tokens with their claims, and the digests of JWTs. A JWT contains its claims itself.
#[derive(Default)]
pub(crate) struct Tokens {
    handles: HashMap<String, Map<String, Value>>,
    jwts: HashSet<[u8; 32]>,
    revoked: HashSet<String>,
}

impl Tokens {
    pub(crate) fn remember_handle(&mut self, handle: &str, claims: Map<String, Value>) {
        self.handles.insert(handle.to_owned(), claims);
    }

    pub(crate) fn remember_jwt(&mut self, token: &str) {
        self.jwts.insert(sha256(token.as_bytes()));
    }

    pub(crate) fn revoke(&mut self, token: &str) {
        self.revoked.insert(token.to_owned());
    }

    /// The claims of an active token (RFC 7662 §2.2): a token that this issuer minted, and that is
    /// neither revoked nor expired.
    pub(crate) fn active(&self, token: &str, now: u64) -> Option<Map<String, Value>> {
        if self.revoked.contains(token) {
            return None;
        }
        let claims = match self.handles.get(token) {
            Some(claims) => claims.clone(),
            None if self.jwts.contains(&sha256(token.as_bytes())) => {
                let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
                serde_json::from_slice(&payload).ok()?
            }
            None => return None,
        };
        let expired =
            claims.get("exp").and_then(Value::as_f64).is_some_and(|exp| exp <= now as f64);
        (!expired).then_some(claims)
    }
}
