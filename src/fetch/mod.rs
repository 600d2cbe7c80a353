//! All network access of the crate.
//!
//! Every request has a deadline. Every answer has a size limit, which is checked while the answer
//! streams in. Redirects are not followed: the source of keys is configured, and a server can't
//! change it. URLs must be https; http is possible only for this machine or for named hosts, and
//! only if that is enabled. Requests ask for no content coding, so that the limit applies to the
//! decoded document.

#[cfg(feature = "remote")]
mod answer;
#[cfg(feature = "remote")]
mod cache_control;
#[cfg(feature = "remote")]
mod cause;
#[cfg(feature = "remote")]
mod client;
#[cfg(feature = "remote")]
mod discovery;
mod document;
#[cfg(feature = "remote")]
mod error;
mod failure;
#[cfg(feature = "remote")]
mod names;
#[cfg(feature = "remote")]
mod pool;
#[cfg(feature = "remote")]
mod proxy;
#[cfg(feature = "remote")]
mod settings;

#[cfg(all(test, feature = "remote"))]
pub(crate) use answer::Answer;
#[cfg(feature = "remote")]
pub(crate) use answer::{FormAnswer, redirect_target};
#[cfg(feature = "remote")]
pub(crate) use client::{Client, Form};
#[cfg(feature = "remote")]
pub(crate) use discovery::Discovery;
#[cfg(feature = "remote")]
pub(crate) use document::MAX_BODY;
pub(crate) use document::MAX_DOCUMENT;
pub(crate) use document::without_mark;
#[cfg(feature = "remote")]
pub(crate) use error::{FetchError, fetched_url};
pub(crate) use failure::Failure;
#[cfg(feature = "remote")]
pub(crate) use settings::{ClientSettings, MAX_DEADLINE};
