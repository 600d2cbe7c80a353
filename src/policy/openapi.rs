//! What an OpenAPI document says about a route.

use std::collections::BTreeMap;

use crate::policy::branch::Branch;
use crate::policy::expression::Policy;
use crate::policy::requirement::Requirement;

impl Policy {
    /// The `security` of an operation in an OpenAPI document: one entry for each branch of the policy, each
    /// with the scopes of the branch under the name of the security scheme. One of the entries must be
    /// satisfied. The result is plain data that serializes to the format of OpenAPI.
    ///
    /// Conditions other than scopes do not appear, since OpenAPI has no place for them. Two branches with the
    /// same scopes are one entry. [`ResourceServer::openapi_scheme`](crate::ResourceServer::openapi_scheme)
    /// returns the security scheme itself.
    ///
    /// ```
    /// use serde_json::json;
    /// use tower_resource_server::policy::{all_of, any_of};
    /// use tower_resource_server::scope;
    ///
    /// let policy = any_of([all_of(["notes:read", "notes:write"]), scope("notes:admin")]);
    /// let security = serde_json::to_value(policy.openapi_security("login"))?;
    /// assert_eq!(
    ///     security,
    ///     json!([{ "login": ["notes:read", "notes:write"] }, { "login": ["notes:admin"] }])
    /// );
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn openapi_security(&self, scheme: &str) -> Vec<BTreeMap<String, Vec<String>>> {
        security(&self.branches(), scheme)
    }
}

impl<C> Requirement<C> {
    /// As [`Policy::openapi_security`].
    pub fn openapi_security(&self, scheme: &str) -> Vec<BTreeMap<String, Vec<String>>> {
        security(&self.branches(), scheme)
    }
}

fn security(branches: &[Branch], scheme: &str) -> Vec<BTreeMap<String, Vec<String>>> {
    let mut entries = Vec::new();
    for branch in branches {
        let scopes = branch.scopes().iter().map(ToString::to_string).collect();
        let entry = BTreeMap::from([(scheme.to_owned(), scopes)]);
        if !entries.contains(&entry) {
            entries.push(entry);
        }
    }
    entries
}
