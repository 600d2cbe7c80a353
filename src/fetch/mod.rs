//! All network access of the crate.
//!
//! Every request has a deadline. Every answer has a size limit, which is checked while the answer
//! streams in. Redirects are not followed: the source of keys is configured, and a server can't
//! change it. URLs must be https; http is possible only for this machine or for named hosts, and
//! only if that is enabled. Requests ask for no content coding, so that the limit applies to the
//! decoded document.

#[cfg(feature = "http-client")]
mod answer;
#[cfg(feature = "http-client")]
mod cache_control;
#[cfg(feature = "http-client")]
mod cause;
#[cfg(feature = "http-client")]
mod client;
#[cfg(feature = "http-client")]
mod discovery;
mod document;
#[cfg(feature = "http-client")]
mod error;
mod failure;
#[cfg(feature = "http-client")]
mod names;
#[cfg(feature = "http-client")]
mod pool;
#[cfg(feature = "http-client")]
mod proxy;
#[cfg(feature = "http-client")]
mod settings;

#[cfg(all(test, feature = "http-client"))]
pub(crate) use answer::HttpAnswer;
#[cfg(feature = "http-client")]
pub(crate) use answer::{FormAnswer, redirect_target};
#[cfg(feature = "http-client")]
pub(crate) use client::{Client, Form};
#[cfg(feature = "http-client")]
pub(crate) use discovery::Discovery;
#[cfg(feature = "http-client")]
pub(crate) use document::MAX_BODY;
pub(crate) use document::MAX_DOCUMENT;
pub(crate) use document::{raw_members, without_mark};
#[cfg(feature = "http-client")]
pub(crate) use error::{FetchError, fetched_url};
pub(crate) use failure::Failure;
#[cfg(feature = "http-client")]
pub(crate) use settings::{ClientSettings, MAX_DEADLINE};
