//! What does not fit beside one item: defaults and their reasons, attacks and what stops them, how
//! keys are kept fresh, opaque and revoked tokens, non-features, what each vendor's authorization
//! server sends, and [a complete axum program](axum#a-complete-program).

#[doc = include_str!("attacks.md")]
pub mod attacks {}

#[doc = include_str!("axum.md")]
pub mod axum {}

#[doc = include_str!("defaults.md")]
pub mod defaults {}

#[doc = include_str!("introspection.md")]
pub mod introspection {}

#[doc = include_str!("keys.md")]
pub mod keys {}

#[doc = include_str!("non_features.md")]
pub mod non_features {}

#[doc = include_str!("providers.md")]
pub mod providers {}
