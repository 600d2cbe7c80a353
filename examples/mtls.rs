//! Tokens that are bound to the client's certificate (mutual TLS, RFC 8705). This program accepts the TLS
//! connections itself, with tokio-rustls: `cargo run --example mtls --features mtls`, then run the lines
//! that it prints.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::routing::get;
use axum::{Extension, Json, Router};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tower_resource_server::policy::sender_constrained;
use tower_resource_server::sender::ClientCertificate;
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{AccessToken, ResourceServer};

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

type Problem = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Problem> {
    tracing_subscriber::fmt().with_env_filter("tower_resource_server=info").init();
    let issuer = TestIssuer::start().await?;
    let api = ResourceServer::builder()
        .issuer(issuer.url())
        .audience("https://api.example.com")
        .allow_http_loopback() // only because this issuer speaks http, on this machine
        .build()?;
    let app = Router::new()
        .route("/notes", get(notes))
        // Also refuses tokens that are not bound.
        .route("/secrets", get(notes).route_layer(api.require(sender_constrained())))
        .layer(api.layer());

    let authority = authority()?;
    let listener = match TcpListener::bind("127.0.0.1:3000").await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind("127.0.0.1:0").await?,
    };
    print_commands(&issuer, &authority, listener.local_addr()?.port())?;
    let acceptor = TlsAcceptor::from(Arc::new(tls(&authority)?));
    loop {
        // A failed connection, or too many open files, must not end the program.
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
            // The first certificate is the client's own. The handshake has shown that it has the key.
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

async fn notes(token: AccessToken) -> Json<Value> {
    Json(json!({ "subject": token.subject(), "bound": token.is_sender_constrained() }))
}

type Authority = CertifiedIssuer<'static, KeyPair>;

/// A certificate authority for the server and its clients.
fn authority() -> Result<Authority, Problem> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "authority of the example");
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

/// Asks each client for a certificate, and also accepts clients without one.
fn tls(authority: &Authority) -> Result<ServerConfig, Problem> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone())?;
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()?;
    let key = KeyPair::generate()?;
    let own = CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, authority)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    Ok(ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![own.der().clone()], key)?)
}

/// Writes a client's certificate and its private key to a file for curl. Returns the certificate.
fn client(authority: &Authority, file: &Path) -> Result<CertificateDer<'static>, Problem> {
    let key = KeyPair::generate()?;
    let params = CertificateParams::new(vec!["client".to_owned()])?;
    let certificate = params.signed_by(&key, authority)?;
    fs::write(file, certificate.pem() + &key.serialize_pem())?;
    Ok(certificate.der().clone())
}

fn print_commands(issuer: &TestIssuer, authority: &Authority, port: u16) -> Result<(), Problem> {
    let folder = std::env::temp_dir().join(format!("mtls-example-{}", std::process::id()));
    // It has private keys, so only this user may open it.
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&folder)?;
    let [ca, own, other] = ["ca.pem", "client.pem", "other.pem"].map(|name| folder.join(name));
    fs::write(&ca, authority.pem())?;
    let certificate = client(authority, &own)?;
    client(authority, &other)?;

    let token = || issuer.token().subject("alice").expires_in(3600);
    let bound = token().bound_to_certificate(&certificate).sign();
    let unbound = token().sign();
    let command = |what: &str, file: Option<&Path>, token: &str, path: &str| {
        let with = file.map(|file| format!(" --cert {}", file.display())).unwrap_or_default();
        println!(
            "# {what}\ncurl -i --cacert {}{with} -H 'Authorization: Bearer {token}' \
             https://localhost:{port}{path}\n",
            ca.display()
        );
    };
    command("200: the token is bound to this client's certificate", Some(&own), &bound, "/notes");
    command(
        "401 invalid_token: another client has stolen the token",
        Some(&other),
        &bound,
        "/notes",
    );
    command("401 invalid_token: the client has no certificate", None, &bound, "/notes");
    command("200: this token is not bound", None, &unbound, "/notes");
    command("200: the route asks for a bound token", Some(&own), &bound, "/secrets");
    command("401 invalid_token: the token is not bound", Some(&own), &unbound, "/secrets");
    println!("Below is the API's log: it tells why each refused request was refused.");
    Ok(())
}
