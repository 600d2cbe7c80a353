//! A proxy is used as it was meant, or the configuration is refused: nothing is fetched past it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tower_resource_server::introspection::{ClientAuth, Introspection};
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{Issuer, ResourceServer};

use super::ask;
use super::scripted::{OAUTH, Scripted};
use super::support::*;
use super::tls::{Authority, Tls};

/// A proxy that opens tunnels (RFC 9110 §9.3.6) for those who know its password, if it has one.
pub struct Tunnels {
    pub address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Tunnels {
    async fn start(password: Option<&str>) -> Self {
        Self::leading(None, password).await
    }

    /// It leads to `address` whatever it is asked for.
    pub async fn to(address: SocketAddr) -> Self {
        Self::leading(Some(address), None).await
    }

    async fn leading(to: Option<SocketAddr>, password: Option<&str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&heads);
        let basic = password.map(|pair| format!("Basic {}", STANDARD.encode(pair)));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(tunnel(stream, to, Arc::clone(&log), basic.clone()));
            }
        });
        Self { address, heads }
    }

    fn tunnels(&self) -> usize {
        self.heads.lock().unwrap().len()
    }
}

async fn tunnel(
    mut stream: TcpStream,
    to: Option<SocketAddr>,
    log: Arc<Mutex<Vec<String>>>,
    basic: Option<String>,
) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    log.lock().unwrap().push(head.clone());
    let shown = head.lines().filter_map(|line| line.split_once(": "));
    let mut shown = shown.filter(|(name, _)| name.eq_ignore_ascii_case("proxy-authorization"));
    if basic.is_some() && shown.next().map(|(_, value)| value) != basic.as_deref() {
        let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(refusal).await.ok()?;
        return None;
    }
    let mut behind = match to {
        Some(to) => TcpStream::connect(to).await.ok()?,
        None => TcpStream::connect(head.split(' ').nth(1)?).await.ok()?,
    };
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
    copy_bidirectional(&mut stream, &mut behind).await.ok()?;
    None
}

/// An authorization server over TLS.
struct World {
    authority: Authority,
    host: Scripted,
    tls: Tls,
    issuer: TestIssuer,
}

impl World {
    async fn start() -> Self {
        let (authority, host) = (Authority::new(), Scripted::start().await);
        let behind = host.url.strip_prefix("http://").unwrap().parse().unwrap();
        let tls = Tls::start(&authority, behind, None).await;
        let issuer = TestIssuer::in_process(&tls.url(""));
        host.set_json("/jwks", &issuer.jwks());
        host.set_json("/introspect", &format!(r#"{{"active":true,"aud":"{AUDIENCE}"}}"#));
        host.set_metadata(OAUTH, issuer.url(), &tls.url("/jwks"));
        Self { authority, host, tls, issuer }
    }

    fn trusted(&self) -> Issuer {
        let introspection = Introspection::new(ClientAuth::client_secret_basic("api", "a secret"));
        Issuer::new(self.issuer.url())
            .only_root_certificates(self.authority.pem())
            .introspection(introspection.endpoint(self.tls.url("/introspect")))
    }
}

#[test]
fn a_proxy_that_can_not_work_is_a_config_error() {
    let jwks = TestIssuer::in_process(ISSUER).jwks();
    for (url, good) in [
        ("http://proxy.example.com:3128", true),
        ("https://proxy.example.com", true),
        ("http://user:s3cr3t@proxy.example.com:3128/", true),
        ("ftp://user:s3cr3t@proxy.example.com", false),
        ("socks5://proxy.example.com:1080", false),
        ("socks4a://proxy.example.com", false),
        ("gopher://proxy.example.com", false),
        ("proxy.example.com:3128", false),
        ("user:s3cr3t@proxy.example.com:3128", false),
        ("http://:3128", false),
        ("http://user:s3cr3t@:3128", false),
        ("http://proxy.example.com:0", false),
        ("http://user:s3cr3t@proxy.example.com:70000", false),
        ("http://user:s3cr3t%zz@proxy.example.com", false),
        ("http://proxy.example.com/s3cr3t", false),
        ("", false),
    ] {
        // Also where nothing is fetched yet: a reload may bring an issuer that is.
        for issuer in [Issuer::new(ISSUER), Issuer::new(ISSUER).jwks(jwks.as_str())] {
            let built = builder(issuer).proxy(url).build();
            assert_eq!(built.is_ok(), good, "{url}");
            if let Err(error) = built {
                let (text, debug) = (error.to_string(), format!("{error:?}"));
                assert!(text.contains("proxy") && !(text + &debug).contains("s3cr3t"), "{url}");
                assert_eq!(error.problems().len(), 1, "{url}");
            }
        }
    }
}

/// The neighbours: what is set and can't be is told at build, whatever the issuers need.
#[test]
fn other_settings_of_the_client_that_can_not_work_are_config_errors_too() {
    let jwks = TestIssuer::in_process(ISSUER).jwks();
    let pem = Authority::new().pem();
    for issuer in [Issuer::new(ISSUER), Issuer::new(ISSUER).jwks(jwks)] {
        for (agent, good) in [("api/1.0 (ops)", true), ("a\nb", false), ("a\0", false), ("", false)]
        {
            let built = builder(issuer.clone()).user_agent(agent).build();
            assert_eq!(built.is_ok(), good, "{agent:?}");
        }
        let other = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (name, roots, good) in [
            ("one", pem.clone(), true),
            ("two", pem.clone() + &Authority::new().pem(), true),
            ("none", String::new(), false),
            ("no certificate in it", other.to_owned(), false),
            ("one that is none", pem.clone() + other, false),
        ] {
            let built = builder(issuer.clone()).root_certificates(roots.clone()).build();
            assert_eq!(built.is_ok(), good, "{name}");
            let own = Issuer::new(ISSUER).only_root_certificates(roots);
            assert_eq!(builder(own).build().is_ok(), good, "{name}, of the issuer");
        }
    }
    let authority = Authority::new();
    let (own, other) = (authority.identity("api"), authority.identity("api"));
    let key_at = own.find("-----BEGIN PRIVATE").unwrap();
    for (name, identity, good) in [
        ("a certificate with its key", own.clone(), true),
        ("with the key of another", own[..key_at].to_owned() + &other[key_at..], false),
        ("without a key", own[..key_at].to_owned(), false),
        ("a key alone", own[key_at..].to_owned(), false),
        ("nothing", String::new(), false),
    ] {
        let auth = ClientAuth::mutual_tls("api", identity);
        let issuer = Issuer::new(ISSUER).introspection(Introspection::new(auth));
        assert_eq!(builder(issuer).build().is_ok(), good, "{name}");
    }
}

/// A certificate that is shown to nobody identifies nobody.
#[tokio::test]
async fn a_client_certificate_needs_an_endpoint_that_asks_for_it() {
    let authority = Authority::new();
    let auth = || ClientAuth::mutual_tls("api", authority.identity("api"));
    for (name, endpoint, good) in [
        ("https", "https://127.0.0.1/introspect", true),
        ("http on this machine", "http://127.0.0.1/introspect", false),
    ] {
        let introspection = Introspection::new(auth()).endpoint(endpoint);
        let issuer = Issuer::new(ISSUER).introspection(introspection);
        let built = builder(issuer).allow_http_loopback().build();
        assert_eq!(built.is_ok(), good, "{name}");
    }
    let host = Scripted::start().await;
    let document = serde_json::json!({
        "issuer": host.url,
        "introspection_endpoint": format!("{}/introspect", host.url),
    });
    host.set_json(OAUTH, &document.to_string());
    host.set_json("/introspect", &format!(r#"{{"active":true,"aud":"{AUDIENCE}"}}"#));
    for (name, auth, good) in [
        ("a secret", ClientAuth::client_secret_basic("api", "a secret"), true),
        ("a certificate", auth(), false),
    ] {
        let issuer = Issuer::new(&host.url).introspection(Introspection::new(auth));
        let server = builder(issuer).allow_http_loopback().build().unwrap();
        let reply = ask(&server, "opaque").await;
        if good { reply.assert_ok(name) } else { reply.assert_unavailable(name) }
    }
    assert_eq!(host.asked("/introspect"), 1);
}

#[tokio::test]
async fn what_is_fetched_goes_through_the_proxy_and_shows_its_password_there_alone() {
    for (password, url_part, good) in [
        (None, "", true),
        (Some("user:p@ss w%"), "user:p%40ss%20w%25@", true),
        (Some("user:"), "user@", true),
        (Some("user:secret"), "user:wrong@", false),
        (Some("user:secret"), "", false),
    ] {
        let (world, proxy) = (World::start().await, Tunnels::start(password).await);
        let server = builder(world.trusted())
            .proxy(format!("http://{url_part}{}", proxy.address))
            .build()
            .unwrap();
        let jwt = ask(&server, &world.issuer.token().sign()).await;
        let opaque = ask(&server, "opaque").await;
        for reply in [jwt, opaque] {
            if good { reply.assert_ok(url_part) } else { reply.assert_unavailable(url_part) }
        }
        assert!(proxy.tunnels() > 0, "{url_part}");
        assert_eq!(world.tls.connections() > 0, good, "{url_part}: never past the proxy");
        assert!(world.host.fields("proxy-authorization").iter().all(|(_, shown)| shown.is_none()));
        assert!(!format!("{server:?}").contains("secret"));
    }
}

#[tokio::test]
async fn an_issuer_may_be_an_exception_from_the_proxy() {
    let (inside, outside) = (World::start().await, World::start().await);
    let proxy = Tunnels::start(None).await;
    let server = ResourceServer::builder()
        .issuer(
            inside
                .trusted()
                .introspection(
                    Introspection::new(ClientAuth::client_secret_basic("api", "a secret"))
                        .endpoint(inside.tls.url("/introspect"))
                        .not_for_opaque_tokens()
                        .also_for_jwts(),
                )
                .no_proxy(),
        )
        .issuer(outside.trusted())
        .audience(AUDIENCE)
        .proxy(format!("http://{}", proxy.address))
        .build()
        .unwrap();
    ask(&server, &inside.issuer.token().sign()).await.assert_ok("the exception");
    assert_eq!((proxy.tunnels(), inside.tls.connections() > 0), (0, true), "directly");
    ask(&server, &outside.issuer.token().sign()).await.assert_ok("by the rule");
    ask(&server, "opaque").await.assert_ok("by the rule");
    let through = proxy.tunnels();
    assert!(through > 0, "through the proxy");
    // An engine goes on as it was made, so another exception needs another engine.
    server.reload([inside.trusted()], [AUDIENCE]).unwrap();
    ask(&server, &inside.issuer.token().sign()).await.assert_ok("no exception any more");
    assert!(proxy.tunnels() > through);
}

/// The root certificates of the system are not read for each issuer: that is most of what one issuer costs.
#[test]
fn a_hundred_issuers_share_the_root_certificates() {
    let build = |count: usize| {
        let mut server = ResourceServer::builder().issuer(ISSUER).audience(AUDIENCE);
        for number in 1..count {
            server = server.issuer(format!("https://as{number}.example.com"));
        }
        server.build().unwrap()
    };
    let one = allocation_counter::measure(|| drop(build(1))).count_total;
    let hundred = allocation_counter::measure(|| drop(build(100))).count_total;
    // Some 50 for each other issuer. A read for each would take thousands.
    let limit = one + 100 * 100;
    assert!(hundred < limit, "{one} and {hundred} allocations");
    let server = build(100);
    let names: Vec<_> = (0..100).map(|number| format!("https://new{number}.example.com")).collect();
    let reload =
        allocation_counter::measure(|| server.reload(names, [AUDIENCE]).unwrap()).count_total;
    assert!(reload < limit, "{one} and {reload} allocations for a reload");
}
