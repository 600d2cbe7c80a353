//! Authorization servers that have another name inside a network than in their tokens, and http there.

use tower_resource_server::introspection::{ClientAuth, Introspection};
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{Issuer, ResourceServer, danger};

use super::ask;
use super::scripted::{OAUTH, OPENID, Scripted};
use super::support::*;

const METADATA: &str = "/realms/demo/metadata";

/// An issuer that is `https://as.example.com` in tokens and an http host inside. The host reaches this
/// very machine, and is none of those that `allow_http_loopback` is for.
struct World {
    host: Scripted,
    inside: String,
    issuer: TestIssuer,
}

impl World {
    async fn start() -> Self {
        let host = Scripted::start().await;
        let inside = host.url.replace("127.0.0.1", "0.0.0.0");
        let issuer = issuer();
        host.set_json("/jwks", &issuer.jwks());
        host.set_metadata(METADATA, ISSUER, &format!("{inside}/jwks"));
        Self { host, inside, issuer }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.inside)
    }

    fn trusted(&self) -> Issuer {
        danger::allow_http_hosts(Issuer::new(ISSUER).metadata_url(self.url(METADATA)), ["0.0.0.0"])
    }

    fn server(&self) -> ResourceServer {
        builder(self.trusted()).build().unwrap()
    }
}

#[tokio::test]
async fn metadata_is_fetched_from_its_own_url_and_from_nowhere_else() {
    let world = World::start().await;
    let server = world.server();
    ask(&server, &world.issuer.token().sign()).await.assert_ok("by the name inside");
    let stranger = TestIssuer::in_process(&world.inside);
    ask(&server, &stranger.token().sign()).await.assert_invalid_token("the name inside as `iss`");
    let asked = |path| world.host.asked(path);
    assert_eq!((asked(METADATA), asked("/jwks"), asked(OAUTH), asked(OPENID)), (1, 1, 0, 0));
}

#[tokio::test]
async fn the_issuer_of_metadata_at_its_own_url_is_the_name_to_the_letter() {
    for (name, issuer, good) in [
        ("the name", ISSUER.to_owned(), true),
        ("a slash more", format!("{ISSUER}/"), false),
        ("another case", ISSUER.to_uppercase(), false),
        ("the name inside", "http://0.0.0.0".to_owned(), false),
        ("another", "https://other.example.com".to_owned(), false),
    ] {
        let world = World::start().await;
        world.host.set_metadata(METADATA, &issuer, &world.url("/jwks"));
        // A document that would do, where nobody is to look.
        world.host.set_metadata(OAUTH, ISSUER, &world.url("/jwks"));
        let reply = ask(&world.server(), &world.issuer.token().sign()).await;
        if good {
            reply.assert_ok(name);
        } else {
            reply.assert_unavailable(name);
            assert_eq!(world.host.asked("/jwks"), 0, "{name}");
        }
    }
}

#[tokio::test]
async fn a_key_url_from_metadata_is_http_on_the_named_hosts_alone() {
    let world = World::start().await;
    world.host.set_metadata(METADATA, ISSUER, &format!("{}/jwks", world.host.url));
    ask(&world.server(), &world.issuer.token().sign()).await.assert_unavailable("127.0.0.1");
    assert_eq!(world.host.asked("/jwks"), 0, "nobody was asked");
    let both = danger::allow_http_hosts(world.trusted(), ["127.0.0.1"]);
    let both = builder(both).build().unwrap();
    ask(&both, &world.issuer.token().sign()).await.assert_ok("named too");
}

#[tokio::test]
async fn a_key_url_and_an_endpoint_stand_beside_metadata_and_come_first() {
    let world = World::start().await;
    // Names for the outside, which can't be reached from inside.
    let outside = serde_json::json!({
        "issuer": ISSUER,
        "jwks_uri": "https://as.example.com:1/jwks",
        "introspection_endpoint": "https://as.example.com:1/introspect",
    });
    world.host.set_json(METADATA, &outside.to_string());
    world.host.set_json("/introspect", &format!(r#"{{"active":true,"aud":"{AUDIENCE}"}}"#));
    let asking = Introspection::new(ClientAuth::client_secret_basic("notes-api", "s3cr3t"))
        .endpoint(world.url("/introspect"));
    let trusted = world.trusted().jwks_uri(world.url("/jwks")).introspection(asking);
    let server = builder(trusted).build().unwrap();
    ask(&server, &world.issuer.token().sign()).await.assert_ok("keys");
    ask(&server, "opaque").await.assert_ok("introspection");
    assert_eq!(world.host.asked(METADATA), 0, "not needed");
    // The endpoint alone is looked up, by the same URL.
    let inside = serde_json::json!({
        "issuer": ISSUER, "introspection_endpoint": world.url("/introspect"),
    });
    world.host.set_json(METADATA, &inside.to_string());
    let asking = Introspection::new(ClientAuth::client_secret_basic("notes-api", "s3cr3t"));
    let trusted = world.trusted().jwks_uri(world.url("/jwks")).introspection(asking);
    let server = builder(trusted).build().unwrap();
    ask(&server, "opaque").await.assert_ok("an endpoint that was discovered");
    assert_eq!(world.host.asked(METADATA), 1);
}

/// Nothing is fetched from such a name, so it is compared as text.
#[tokio::test]
async fn a_name_that_nothing_is_fetched_from_is_any_text() {
    for name in ["http://keycloak:8080/realms/demo", "demo", "urn:example:as"] {
        let world = World::start().await;
        let issuer = TestIssuer::in_process(name);
        let keys = builder(Issuer::new(name).jwks(issuer.jwks())).build().unwrap();
        ask(&keys, &issuer.token().sign()).await.assert_ok(name);
        ask(&keys, &world.issuer.token().sign()).await.assert_invalid_token(name);
        world.host.set_json("/jwks", &issuer.jwks());
        world.host.set_metadata(METADATA, name, &world.url("/jwks"));
        let trusted = Issuer::new(name).metadata_url(world.url(METADATA));
        let trusted = danger::allow_http_hosts(trusted, ["0.0.0.0"]);
        let server = builder(trusted).build().unwrap();
        ask(&server, &issuer.token().sign()).await.assert_ok(name);
        assert!(builder(Issuer::new(name)).build().is_err(), "{name}: fetched from");
    }
}

#[test]
fn http_elsewhere_is_a_build_error() {
    let url = "http://keycloak:8080/realms/demo/metadata";
    let with = |hosts: &[&str]| danger::allow_http_hosts(ISSUER, hosts.iter().copied());
    let asking = |url: &str| {
        Introspection::new(ClientAuth::client_secret_basic("notes-api", "s3cr3t")).endpoint(url)
    };
    for (name, trusted, good) in [
        ("metadata", with(&["keycloak"]).metadata_url(url), true),
        ("metadata, no host", Issuer::new(ISSUER).metadata_url(url), false),
        ("metadata, another host", with(&["keycloak2"]).metadata_url(url), false),
        ("metadata, loopback is another", with(&["localhost"]).metadata_url(url), false),
        ("metadata, https", Issuer::new(ISSUER).metadata_url("https://in.example.com/m"), true),
        (
            "metadata with a query",
            Issuer::new(ISSUER).metadata_url("https://in.example.com/m?p=x"),
            true,
        ),
        ("metadata, no URL", Issuer::new(ISSUER).metadata_url("in.example.com"), false),
        ("metadata, user name", with(&["keycloak"]).metadata_url("http://a:b@keycloak/m"), false),
        ("metadata, dots", with(&["keycloak"]).metadata_url("http://keycloak/a/../m"), false),
        ("keys", with(&["keycloak"]).jwks_uri(url), true),
        ("keys, another host", with(&["keycloak2"]).jwks_uri(url), false),
        ("keys, of two one elsewhere", with(&["a"]).jwks_uris(["http://a/1", "http://b/2"]), false),
        ("keys, of two", with(&["a", "b"]).jwks_uris(["http://a/1", "http://b/2"]), true),
        ("endpoint", with(&["keycloak"]).introspection(asking(url)), true),
        ("endpoint, another host", with(&["other"]).introspection(asking(url)), false),
        (
            "an issuer that is fetched from",
            danger::allow_http_hosts("http://keycloak:8080/realms/demo", ["keycloak"]),
            true,
        ),
        ("an issuer, another host", danger::allow_http_hosts("http://other/", ["keycloak"]), false),
        ("a wildcard", with(&["*"]).metadata_url(url), false),
        ("a wildcard beside the host", with(&["keycloak", "*.svc"]).metadata_url(url), false),
        ("a port", with(&["keycloak", "keycloak:8080"]).metadata_url(url), false),
        ("a scheme", with(&["keycloak", "http://keycloak"]).metadata_url(url), false),
        ("an empty host", with(&["keycloak", ""]).metadata_url(url), false),
    ] {
        let built = builder(trusted).build();
        assert_eq!(built.is_ok(), good, "{name}: {built:?}");
    }
    // It is for the issuer that has it.
    let two = builder(with(&["keycloak"]).metadata_url(url))
        .issuer(Issuer::new("https://other.example.com").jwks_uri(url));
    assert!(two.build().is_err());
}
