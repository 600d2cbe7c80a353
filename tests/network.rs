//! The way out to authorization servers: bad connections heal by themselves, a proxy is used or the
//! configuration refused, and metadata is looked for under each of its names.

#![cfg(feature = "http-client")]

#[path = "support/scripted.rs"]
#[allow(dead_code, reason = "each test binary uses a part of it")]
mod scripted;
#[path = "support/mod.rs"]
mod support;
#[path = "support/tls.rs"]
#[allow(dead_code, reason = "each test binary uses a part of it")]
mod tls;

#[path = "network/discovery.rs"]
mod discovery;
#[path = "network/http1.rs"]
mod http1;
#[path = "network/http2.rs"]
mod http2;
#[path = "network/inside.rs"]
mod inside;
#[path = "network/places.rs"]
mod places;
#[path = "network/policies.rs"]
mod policies;
#[path = "network/proxy.rs"]
mod proxy;
#[path = "network/servers.rs"]
mod servers;

use tower_resource_server::ResourceServer;

use support::*;

async fn ask(server: &ResourceServer, token: &str) -> Reply {
    api(server.layer()).bearer(token).await
}
