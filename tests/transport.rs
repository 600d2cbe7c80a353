//! How one issuer is reached: roots of its own, and a token for its key server, as a pod reaches the
//! API server of its cluster.

#![cfg(feature = "http-client")]

#[path = "support/scratch.rs"]
mod scratch;
#[path = "support/scripted.rs"]
#[allow(dead_code, reason = "each test binary uses a part of it")]
mod scripted;
#[path = "support/mod.rs"]
mod support;
#[path = "support/tls.rs"]
#[allow(dead_code, reason = "each test binary uses a part of it")]
mod tls;

use std::path::PathBuf;
use std::time::Duration;

use tower_resource_server::clock::TestClock;
use tower_resource_server::introspection::{ClientAuth, Introspection};
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{Issuer, Profile, ResourceServer, providers};

use scratch::Scratch;
use scripted::{OAUTH, OPENID, Scripted};
use support::*;
use tls::{Authority, Tls};

const JWKS: &str = "/openid/v1/jwks";

/// An API server with a CA of its own, and what a pod finds mounted.
struct Cluster {
    authority: Authority,
    host: Scripted,
    tls: Tls,
    issuer: TestIssuer,
    mount: Scratch,
}

impl Cluster {
    async fn start() -> Self {
        let (authority, host) = (Authority::new(), Scripted::start().await);
        let behind = host.url.strip_prefix("http://").unwrap().parse().unwrap();
        let tls = Tls::start(&authority, behind, None).await;
        let issuer = TestIssuer::in_process(ISSUER);
        host.set_json(JWKS, &issuer.jwks());
        let mount = Scratch::new();
        mount.write("token", "first.pod-token_1");
        Self { authority, host, tls, issuer, mount }
    }

    /// The issuer, reached over TLS without trusting its CA and without a token.
    fn bare(&self) -> Issuer {
        Issuer::new(ISSUER).jwks_uri(self.tls.url(JWKS))
    }

    fn token_file(&self) -> PathBuf {
        self.mount.path("token")
    }

    fn trusted(&self) -> Issuer {
        self.bare()
            .only_root_certificates(self.authority.pem())
            .bearer_token_file(self.token_file())
    }

    fn token(&self) -> String {
        self.issuer.token().expires_in(100_000).sign()
    }

    /// What the key server was shown so far.
    fn shown(&self) -> Vec<Option<String>> {
        let asked = self.host.authorizations();
        assert!(asked.iter().all(|(path, _)| path == JWKS), "{asked:?}");
        asked.into_iter().map(|(_, shown)| shown).collect()
    }
}

async fn ask(server: &ResourceServer, token: &str) -> Reply {
    api(server.layer()).bearer(token).await
}

#[tokio::test]
async fn keys_of_a_cluster_are_fetched_with_its_ca_and_the_token_of_the_pod() {
    let cluster = Cluster::start().await;
    let clock = TestClock::starting_now();
    let server = builder(cluster.trusted()).clock(clock.clone()).build().unwrap();
    ask(&server, &cluster.token()).await.assert_ok("with both");
    assert_eq!(cluster.shown(), [Some("Bearer first.pod-token_1".to_owned())]);
    // It was replaced, and the white space around it is no part of it.
    cluster.mount.write("token", " second.pod-token_2\n");
    clock.advance(Duration::from_secs(11));
    cluster.issuer.rotate();
    cluster.host.set_json(JWKS, &cluster.issuer.jwks());
    ask(&server, &cluster.token()).await.assert_ok("a rotation");
    assert_eq!(cluster.shown().last().unwrap().as_deref(), Some("Bearer second.pod-token_2"));
}

#[tokio::test]
async fn roots_of_an_issuer_are_the_only_ones_it_is_trusted_by() {
    let (cluster, stranger) = (Cluster::start().await, Authority::new());
    let own = || cluster.authority.pem();
    let token = cluster.token();
    for (name, issuer, of_server, good) in [
        ("none", cluster.bare(), None, false),
        ("its own", cluster.bare().only_root_certificates(own()), None, true),
        ("the server's", cluster.bare(), Some(own()), true),
        ("another", cluster.bare().only_root_certificates(stranger.pem()), None, false),
        (
            "another, and the server's would do",
            cluster.bare().only_root_certificates(stranger.pem()),
            Some(own()),
            false,
        ),
        (
            "two, one of them its own",
            cluster.bare().only_root_certificates(stranger.pem()).only_root_certificates(own()),
            None,
            true,
        ),
        (
            "two in one text",
            cluster.bare().only_root_certificates(stranger.pem() + &own()),
            None,
            true,
        ),
    ] {
        let server = builder(issuer);
        let server = match of_server {
            Some(pem) => server.root_certificates(pem),
            None => server,
        };
        let reply = ask(&server.build().unwrap(), &token).await;
        if good { reply.assert_ok(name) } else { reply.assert_unavailable(name) }
    }
}

#[tokio::test]
async fn roots_of_one_issuer_are_not_trusted_for_another() {
    let cluster = Cluster::start().await;
    let other = TestIssuer::in_process("https://other.example.com");
    let elsewhere = Issuer::new(other.url()).jwks_uri(cluster.tls.url("/other"));
    cluster.host.set_json("/other", &other.jwks());
    let server = ResourceServer::builder().issuer(cluster.trusted()).issuer(elsewhere);
    let server = server.audience(AUDIENCE).build().unwrap();
    ask(&server, &cluster.token()).await.assert_ok("its own");
    ask(&server, &other.token().sign()).await.assert_unavailable("another");
}

#[tokio::test]
async fn roots_of_an_issuer_serve_its_metadata_and_introspection_too() {
    let cluster = Cluster::start().await;
    let url = cluster.tls.url("");
    let issuer = TestIssuer::in_process(&url);
    cluster.host.set_json("/jwks", &issuer.jwks());
    cluster.host.set_metadata(OAUTH, &url, &issuer.jwks_uri());
    cluster.host.set_json("/introspect", r#"{"active":true,"aud":"https://api.example.com"}"#);
    let introspection = || {
        Introspection::new(ClientAuth::client_secret_basic("api", "a secret"))
            .endpoint(cluster.tls.url("/introspect"))
    };
    for (name, issuer_of, good) in [
        ("without", Issuer::new(&url).introspection(introspection()), false),
        (
            "with",
            Issuer::new(&url)
                .introspection(introspection())
                .only_root_certificates(cluster.authority.pem()),
            true,
        ),
    ] {
        let server = builder(issuer_of).build().unwrap();
        let (jwt, opaque) =
            (ask(&server, &issuer.token().sign()).await, ask(&server, "opaque").await);
        for reply in [jwt, opaque] {
            if good { reply.assert_ok(name) } else { reply.assert_unavailable(name) }
        }
    }
}

/// Whoever answers for the key server once must not get the token sent elsewhere.
#[tokio::test]
async fn the_token_goes_to_the_configured_url_alone() {
    let (cluster, elsewhere) = (Cluster::start().await, Scripted::start().await);
    elsewhere.set_json("/jwks", &cluster.issuer.jwks());
    let location = format!("location: {}/jwks\r\n", elsewhere.url);
    cluster.host.set(JWKS, Scripted::answer("307 Temporary Redirect", &location, ""));
    let server = builder(cluster.trusted()).allow_http_loopback().build().unwrap();
    ask(&server, &cluster.token()).await.assert_unavailable("a redirect");
    assert_eq!(cluster.shown().len(), 1);
    assert!(elsewhere.requests.lock().unwrap().is_empty(), "not followed");

    // Metadata is asked for without it, and so is what metadata names.
    let url = cluster.tls.url("");
    let issuer = TestIssuer::in_process(&url);
    cluster.host.set_json(JWKS, &issuer.jwks());
    let document = serde_json::json!({
        "issuer": url,
        "jwks_uri": cluster.tls.url("/elsewhere"),
        "introspection_endpoint": cluster.tls.url("/introspect"),
    });
    cluster.host.set_json(OPENID, &document.to_string());
    let trusted = Issuer::new(&url)
        .jwks_uri(cluster.tls.url(JWKS))
        .only_root_certificates(cluster.authority.pem())
        .bearer_token_file(cluster.token_file())
        .introspection(Introspection::new(ClientAuth::client_secret_basic("api", "a secret")));
    let server = builder(trusted).build().unwrap();
    ask(&server, &issuer.token().sign()).await.assert_ok("keys");
    ask(&server, "opaque").await.assert_unavailable("introspection is not there");
    for (path, shown) in cluster.host.authorizations() {
        let bearer = shown.is_some_and(|shown| shown.contains("pod-token"));
        assert_eq!(bearer, path == JWKS, "{path}");
    }
    assert!(cluster.host.asked(OAUTH) > 0 && cluster.host.asked("/introspect") > 0);
    assert_eq!(cluster.host.asked("/elsewhere"), 0);
}

#[tokio::test]
async fn without_a_token_to_show_nobody_is_asked() {
    let cluster = Cluster::start().await;
    let full = "t".repeat(16 * 1024);
    for (name, content, good) in [
        ("a token", Some("abc-._~+/=".to_owned()), true),
        ("of 16 KiB", Some(full.clone()), true),
        ("of 16 KiB and 1", Some(full + "t"), false),
        ("empty", Some(String::new()), false),
        ("white space", Some(" \n".to_owned()), false),
        ("two words", Some("a b".to_owned()), false),
        ("two lines", Some("a\nb".to_owned()), false),
        ("a line of another field", Some("a\r\nx: y".to_owned()), false),
        ("octets above 0x7F", Some("ä".to_owned()), false),
        ("missing", None, false),
    ] {
        match content {
            Some(content) => drop(cluster.mount.write("token", content)),
            None => std::fs::remove_file(cluster.token_file()).unwrap(),
        }
        let asked = cluster.shown().len();
        let server = builder(cluster.trusted()).build().unwrap();
        let reply = ask(&server, &cluster.token()).await;
        if good {
            reply.assert_ok(name)
        } else {
            reply.assert_unavailable(name)
        }
        assert_eq!(cluster.shown().len(), asked + usize::from(good), "{name}");
    }
}

#[test]
fn a_token_is_shown_where_a_url_is_configured_and_secure() {
    let jwks = TestIssuer::in_process(ISSUER).jwks();
    let file = "/nowhere/token";
    for (name, issuer, word) in [
        ("discovery", Issuer::new(ISSUER).bearer_token_file(file), Some("metadata names")),
        ("keys in code", Issuer::new(ISSUER).jwks(jwks).bearer_token_file(file), Some("jwks_uri")),
        (
            "no path",
            Issuer::new(ISSUER).jwks_uri("https://as.example.com/jwks").bearer_token_file(""),
            Some("must not be empty"),
        ),
        (
            "http",
            Issuer::new(ISSUER).jwks_uri("http://as.example.com/jwks").bearer_token_file(file),
            Some("must be https"),
        ),
        (
            "http on this machine, without the switch",
            Issuer::new(ISSUER).jwks_uri("http://127.0.0.1/jwks").bearer_token_file(file),
            Some("allow_http_loopback"),
        ),
        (
            "https",
            Issuer::new(ISSUER).jwks_uri("https://as.example.com/jwks").bearer_token_file(file),
            None,
        ),
    ] {
        let problem = builder(issuer).build().err().map(|error| error.to_string());
        match word {
            Some(word) => assert!(problem.unwrap().contains(word), "{name}"),
            None => assert_eq!(problem, None, "{name}"),
        }
    }
    for pem in ["", "no certificate", "-----BEGIN CERTIFICATE-----"] {
        let issuer = Issuer::new(ISSUER).only_root_certificates(pem);
        let problem = builder(issuer).build().unwrap_err().to_string();
        assert!(problem.contains("only_root_certificates"), "{problem}");
        let of_server = builder(Issuer::new(ISSUER)).root_certificates(pem).build();
        assert!(of_server.is_err(), "{pem:?}");
    }
}

/// What goes by http goes to this very machine, where no proxy has anything to do with it.
#[tokio::test]
async fn a_proxy_sees_nothing_of_what_is_asked_by_http() {
    let (cluster, proxy) = (Cluster::start().await, Scripted::start().await);
    let uri = format!("{}{JWKS}", cluster.host.url);
    let plain = Issuer::new(ISSUER).jwks_uri(uri).bearer_token_file(cluster.token_file());
    let by_proxy = |issuer| builder(issuer).allow_http_loopback().proxy(proxy.url.as_str());
    ask(&by_proxy(plain).build().unwrap(), &cluster.token()).await.assert_ok("by http");
    assert_eq!(cluster.shown(), [Some("Bearer first.pod-token_1".to_owned())]);
    assert!(proxy.requests.lock().unwrap().is_empty());
    // By https it is asked, for a tunnel, and is shown nothing.
    let server = by_proxy(cluster.trusted()).build().unwrap();
    ask(&server, &cluster.token()).await.assert_unavailable("a proxy that opens no tunnel");
    assert_eq!(
        proxy.authorizations(),
        [(cluster.tls.url("")["https://".len()..].to_owned(), None)]
    );
}

#[tokio::test]
async fn a_reload_with_another_transport_fetches_anew() {
    let cluster = Cluster::start().await;
    let server = builder(cluster.trusted()).build().unwrap();
    let token = cluster.token();
    ask(&server, &token).await.assert_ok("before");
    let fetched = || cluster.shown().len();
    server.reload([cluster.trusted()], [AUDIENCE]).unwrap();
    ask(&server, &token).await.assert_ok("the same");
    assert_eq!(fetched(), 1);
    let other = cluster.mount.write("other", "another.pod-token");
    let roots = || cluster.bare().only_root_certificates(cluster.authority.pem());
    server.reload([roots().bearer_token_file(other)], [AUDIENCE]).unwrap();
    ask(&server, &token).await.assert_ok("another token file");
    assert_eq!(cluster.shown().last().unwrap().as_deref(), Some("Bearer another.pod-token"));
    server.reload([roots()], [AUDIENCE]).unwrap();
    ask(&server, &token).await.assert_ok("no token file");
    assert_eq!(cluster.shown().last().unwrap().as_deref(), None);
    assert_eq!(fetched(), 3);
    server.reload([cluster.bare()], [AUDIENCE]).unwrap();
    ask(&server, &token).await.assert_unavailable("roots that do not vouch for it");
    assert_eq!(fetched(), 3);
}

/// All that `kubernetes_in_cluster` puts together, at another address.
#[tokio::test]
async fn a_service_account_of_the_cluster_is_let_in() {
    let cluster = Cluster::start().await;
    let trusted = providers::kubernetes(ISSUER)
        .jwks_uri(cluster.tls.url(JWKS))
        .only_root_certificates(cluster.authority.pem())
        .bearer_token_file(cluster.token_file());
    let server = builder(trusted.clone()).build().unwrap();
    let pod = || {
        let pod = serde_json::json!({ "namespace": "default", "serviceaccount": { "name": "a" } });
        let token = cluster.issuer.token().header("typ", "JWT").without("client_id");
        token.subject("system:serviceaccount:default:a").claim("kubernetes.io", pod)
    };
    ask(&server, &pod().sign()).await.assert_ok("a pod");
    ask(&server, &pod().without("kubernetes.io").sign()).await.assert_invalid_token("no pod");
    let other = builder(trusted.profile(Profile::rfc9068())).build().unwrap();
    ask(&other, &pod().sign()).await.assert_invalid_token("by another profile");
}

/// The roots of the system are read from the environment, which a process gets at its start: so this
/// test runs itself as another process, for which the cluster's CA is one of the system's.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn roots_of_the_system_do_not_vouch_for_an_issuer_with_its_own() {
    const TOKEN: &str = "TRANSPORT_TEST_TOKEN";
    const URI: &str = "TRANSPORT_TEST_URI";
    if let (Ok(token), Ok(uri)) = (std::env::var(TOKEN), std::env::var(URI)) {
        let issuer = || Issuer::new(ISSUER).jwks_uri(uri.as_str());
        let server = builder(issuer()).build().unwrap();
        ask(&server, &token).await.assert_ok("the system's roots");
        let stranger = issuer().only_root_certificates(Authority::new().pem());
        let server = builder(stranger).build().unwrap();
        ask(&server, &token).await.assert_unavailable("the system's roots, beside its own");
        return;
    }
    let cluster = Cluster::start().await;
    let ca = cluster.mount.write("ca.crt", cluster.authority.pem());
    let output = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "roots_of_the_system_do_not_vouch_for_an_issuer_with_its_own"])
        .env("SSL_CERT_FILE", ca)
        .env(TOKEN, cluster.token())
        .env(URI, cluster.tls.url(JWKS))
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(cluster.shown().len(), 1, "the child process asked once");
}
