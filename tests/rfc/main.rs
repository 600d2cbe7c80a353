//! The requirements of the standards, one test for each, named after its clause.
//!
//! `README.md` in the folder above maps every requirement to its test.

#[path = "../support/mod.rs"]
mod support;

#[cfg(all(feature = "dpop", feature = "http-client", feature = "mtls"))]
mod fapi2;
mod mcp;
mod rfc6749;
mod rfc6750;
mod rfc7515;
mod rfc7517;
mod rfc7518;
mod rfc7519;
#[cfg(feature = "mtls")]
mod rfc7800;
mod rfc8693;
#[cfg(feature = "mtls")]
mod rfc8705;
mod rfc8707;
mod rfc8725;
mod rfc9068;
mod rfc9110;
#[cfg(feature = "http-client")]
mod rfc9396;
#[cfg(feature = "mtls")]
mod rfc9440;
#[cfg(feature = "dpop")]
mod rfc9449;
#[cfg(feature = "http-client")]
mod rfc9470;
mod rfc9728;
#[cfg(all(feature = "dpop", feature = "http-client"))]
#[path = "../support/scripted.rs"]
#[allow(dead_code, reason = "each test binary uses a part of it")]
mod scripted;
mod vectors;
