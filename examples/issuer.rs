//! The bundled issuer as a separate program, to try the other examples. It gives a token to every
//! caller.
//!
//! `cargo run --example issuer -- 127.0.0.1:9000`

use tower_resource_server::test_issuer::TestIssuer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9000".to_owned());
    let issuer = TestIssuer::builder().bind(address.parse()?).start().await?;
    println!("issuer {}", issuer.url());
    println!(
        "curl -s -u app:any-secret -d 'grant_type=client_credentials&scope=read' {}/token",
        issuer.url()
    );
    tokio::signal::ctrl_c().await?;
    Ok(())
}
