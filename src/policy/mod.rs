//! Step 8 of a request: decides whether the token may use the route. Pure.
//!
//! A [`Policy`] is an expression over conditions on the token: scopes, roles, claims, the login, the user or client.
//! Each route evaluates its own policy, after the token is validated. Every condition denies by default: a token
//! without a scope claim has an empty scope. A claim that is missing or of another type meets neither a condition nor
//! the negated condition; only [`Claim::absent`] accepts a missing claim. Empty policies are impossible.
//!
//! A [`Requirement`] is a policy with user-supplied checks. The checks run last and can only refuse. They
//! are not part of the expression, so `any_of` cannot use a check to grant access.
//!
//! | the decision depends on | write |
//! |---|---|
//! | the token only | [`ResourceServer::require`](crate::ResourceServer::require) or [`protect`](crate::ResourceServer::protect) |
//! | the request, too: a path, a header | [`ResourceServer::require_with`](crate::ResourceServer::require_with) |
//! | the method and the route, for a whole service | [`ResourceServer::protect_routes`](crate::ResourceServer::protect_routes) |
//! | something that only the handler knows | [`AccessToken::require`](crate::AccessToken::require) |
//!
//! A branch of a policy is one of the sets of conditions that suffice, such as one alternative of an `any_of`. A
//! refused client learns what one branch requires: the scopes, or the login. [`Refusal`](crate::refusal::Refusal) has
//! the table of responses.
//!
//! ```
//! use tower_resource_server::scope;
//! use tower_resource_server::policy::{all_of, any_of, claim, role};
//!
//! let read = scope("notes:read");
//! let edit = all_of(["notes:read", "notes:write"]);
//! let either = any_of([edit, role("editor")]);
//! let tenant = all_of([scope("notes:read"), claim("tenant").equals("acme")]);
//! # let _ = (read, either, tenant);
//! ```

mod branch;
mod check;
mod claim;
mod claim_test;
mod details;
pub(crate) mod expression;
mod leaf;
mod mcp;
mod node;
mod openapi;
mod requirement;
mod routes;
#[cfg(test)]
mod tests;
mod value;

pub use crate::lookup_error::LookupError;
pub(crate) use branch::{Branch, MAX_BRANCHES, Unmet, invitation};
#[cfg(feature = "axum")]
pub(crate) use check::wrong_claims_type;
pub(crate) use check::{Lookup, Lookups, typed};
pub use claim::{AuthorizationDetails, Claim, authorization_details, claim, claim_at};
pub use expression::{
    Policy, acr, all_of, any_of, audience, authenticated, client, client_id, dpop_bound, issuer,
    max_age, not, role, sender_constrained, subject, token_age, user,
};
pub(crate) use mcp::{Budget, CallRule, Demand, Message, Operations, Unfound, compare, messages};
pub use mcp::{McpCall, McpPolicy};
pub use requirement::Requirement;
#[cfg(feature = "http-client")]
pub use requirement::introspected_now;
pub use routes::Routes;
pub(crate) use routes::{Entry, Reading, Table};
pub use value::ClaimValue;
