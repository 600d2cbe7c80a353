//! Accepts connections with tokio-rustls, and puts the client's certificate into the extensions of each
//! request.

use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tower_resource_server::sender::ClientCertificate;

use crate::Problem;

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

pub async fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    app: Router,
) -> Result<(), Problem> {
    let acceptor = TlsAcceptor::from(tls);
    loop {
        // A failed connection or too many open files must not end the program.
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                eprintln!("accept: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (acceptor, app) = (acceptor.clone(), app.clone());
        tokio::spawn(async move {
            let Ok(Ok(stream)) = timeout(HANDSHAKE, acceptor.accept(stream)).await else { return };
            // The first certificate is the client's own. The handshake has shown that the client has its key.
            let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
            let app = match chain.first() {
                Some(own) => app.layer(Extension(ClientCertificate::from_der(own))),
                None => app,
            };
            let service = TowerToHyperService::new(app);
            let server = auto::Builder::new(TokioExecutor::new());
            if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
                eprintln!("connection: {error}");
            }
        });
    }
}
