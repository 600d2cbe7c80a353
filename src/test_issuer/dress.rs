//! The names that an authorization server uses for the claims of its tokens.

use serde_json::Value;

/// The names of a token's claims.
#[derive(Clone, Debug)]
pub(super) struct Dress {
    pub(super) audience: String,
    pub(super) scope: String,
    pub(super) scope_is_array: bool,
}

impl Default for Dress {
    fn default() -> Self {
        Self { audience: "aud".to_owned(), scope: "scope".to_owned(), scope_is_array: false }
    }
}

impl Dress {
    pub(super) fn scope(&self, scope: &str) -> Value {
        match self.scope_is_array {
            true => scope.split(' ').filter(|word| !word.is_empty()).collect(),
            false => scope.into(),
        }
    }
}
