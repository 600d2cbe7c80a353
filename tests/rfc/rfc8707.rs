//! RFC 8707, Resource Indicators.

use http::Request;
use http::header::AUTHORIZATION;
use http::request::Parts;
use tower::ServiceBuilder;
use tower_resource_server::policy::{all_of, audience};
use tower_resource_server::{AccessToken, ResourceServer};

use crate::support::*;

#[tokio::test]
async fn id_8707_2_2_an_audience_may_be_any_of_several_identifiers() {
    let issuer = issuer();
    let names = [AUDIENCE, "urn:example:notes", "notes-api"];
    let server =
        names.iter().skip(1).fold(builder(trusting(&issuer)), |own, name| own.audience(*name));
    let api = api(server.build().unwrap().layer());
    for name in names {
        api.bearer(&issuer.token().audience(name).sign()).await.assert_ok(name);
    }
    for name in ["urn:example:note", "urn:example:notes/", "NOTES-API", "https://api.example.com/"]
    {
        api.bearer(&issuer.token().audience(name).sign()).await.assert_invalid_token(name);
    }
}

#[tokio::test]
async fn id_8707_3_1_a_tenant_is_part_of_the_audience() {
    let issuer = issuer();
    let tenant = |name: &str| format!("{AUDIENCE}/{name}");
    let server =
        builder(trusting(&issuer)).audience(tenant("a")).audience(tenant("b")).build().unwrap();
    let by_path = server.require_with(|parts: &Parts, _: &AccessToken| {
        let tenant = parts.uri.path().split('/').nth(1).unwrap_or_default();
        Ok(audience(&format!("{AUDIENCE}/{tenant}")).into())
    });
    let by_path = api(ServiceBuilder::new().layer(server.layer()).layer(by_path));
    let fixed = api(server.protect(all_of([audience(&tenant("b"))])));
    let token = |name: &str| issuer.token().audience(&tenant(name)).sign();
    for (name, aud, path, good) in [
        ("its own tenant", "a", "/a/notes", true),
        ("another tenant", "a", "/b/notes", false),
        ("the other way round", "b", "/a/notes", false),
        ("the other tenant's own", "b", "/b/notes", true),
        ("a prefix", "a", "/ab/notes", false),
        ("no tenant", "a", "/", false),
    ] {
        let request = Request::get(format!("https://api.example.com{path}"));
        let request = request.header(AUTHORIZATION, format!("Bearer {}", token(aud)));
        let reply = by_path.send(request.body(Body::default()).unwrap()).await;
        if good { reply.assert_ok(name) } else { reply.assert_invalid_token(name) }
    }
    fixed.bearer(&token("b")).await.assert_ok("a fixed route");
    fixed.bearer(&token("a")).await.assert_invalid_token("another tenant's route");
}

#[test]
fn id_8707_2_1_a_resource_is_an_absolute_uri_without_fragment() {
    let issuer = issuer();
    for (name, resource, good) in [
        ("a URL", "https://api.example.com/notes", true),
        ("its root", "https://api.example.com", true),
        ("a fragment", "https://api.example.com/notes#part", false),
        ("an empty fragment", "https://api.example.com/notes#", false),
        ("relative", "/notes", false),
        ("a name", "notes-api", false),
        ("empty", "", false),
        ("http", "http://api.example.com/notes", false),
        ("http on loopback, not switched on", "http://127.0.0.1:3000/notes", false),
        ("dot segments", "https://api.example.com/a/../notes", false),
    ] {
        let server = ResourceServer::builder().issuer(trusting(&issuer)).resource(resource).build();
        assert_eq!(server.is_ok(), good, "{name}");
        if let Err(error) = server {
            assert!(error.problems()[0].starts_with("resource `"), "{name}: {error}");
        }
    }
    let builder = ResourceServer::builder().issuer(trusting(&issuer));
    let builder = builder.resource("http://127.0.0.1:3000/notes").allow_http_loopback();
    assert!(builder.build().is_ok());
}

#[tokio::test]
async fn id_8707_2_1_a_resource_is_an_audience() {
    let issuer = issuer();
    let resource = "https://api.example.com/notes";
    let server = ResourceServer::builder().issuer(trusting(&issuer)).resource(resource);
    let api = api(server.build().unwrap().layer());
    api.bearer(&issuer.token().audience(resource).sign()).await.assert_ok("the resource");
    let other = issuer.token().audience("https://api.example.com/note").sign();
    api.bearer(&other).await.assert_invalid_token("another one");
}
