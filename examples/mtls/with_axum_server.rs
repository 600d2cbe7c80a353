//! Accepts connections with axum-server. Its acceptor puts a `TlsInfo` into the extensions of each request,
//! with the certificates that the client sent in the handshake.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::map_request;
use axum_server::tls::TlsInfo;
use axum_server::tls_rustls::{RustlsConfig, from_tcp_rustls};
use tokio::net::TcpListener;
use tokio_rustls::rustls::ServerConfig;
use tower_resource_server::sender::ClientCertificate;

use crate::Problem;

pub async fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    app: Router,
) -> Result<(), Problem> {
    // The layer that is added last runs first, so this layer runs before the layer that checks the
    // token.
    let app = app.layer(map_request(with_certificate));
    let listener = listener.into_std()?;
    from_tcp_rustls(listener, RustlsConfig::from_config(tls))?
        .serve(app.into_make_service())
        .await?;
    Ok(())
}

async fn with_certificate(mut request: Request) -> Request {
    let info = request.extensions().get::<Arc<TlsInfo>>();
    // The first certificate is the client's own. The handshake has shown that the client has its
    // key.
    if let Some(own) = info.and_then(|info| info.peer_certificates.first()) {
        let own = ClientCertificate::from_der(own);
        request.extensions_mut().insert(own);
    }
    request
}
