//! Model Context Protocol, authorization.

use http::header::{AUTHORIZATION, HOST};
use http::request::Parts;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use tower::{ServiceBuilder, service_fn};
use tower_resource_server::policy::{Policy, Requirement, all_of, role};
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::token::Principal;
use tower_resource_server::{AccessToken, ResourceServer, scope};

use crate::support::*;

const METADATA: &str = "https://api.example.com/.well-known/oauth-protected-resource";

/// The URL that MCP clients send their requests to.
const ENDPOINT: &str = "https://api.example.com/mcp";
const OF_ENDPOINT: &str = "https://api.example.com/.well-known/oauth-protected-resource/mcp";

fn of_endpoint(issuer: &TestIssuer) -> ResourceServer {
    let builder = ResourceServer::builder().issuer(trusting(issuer)).resource(ENDPOINT);
    builder.build().unwrap()
}

fn post() -> http::request::Builder {
    Request::post(ENDPOINT).header("content-type", "application/json")
}

fn posted(request: http::request::Builder) -> Request<Body> {
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    request.body(Body::from(call)).unwrap()
}

async fn document(server: &ResourceServer, uri: &str) -> (StatusCode, serde_json::Value) {
    let service = server.metadata().build().unwrap();
    let request = Request::get(uri).body(()).unwrap();
    let response = tower::ServiceExt::oneshot(service, request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.status, serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test]
async fn id_mcp_1_the_metadata_is_published() {
    let server = of_endpoint(&issuer());
    let (status, document) = document(&server, OF_ENDPOINT).await;
    assert_eq!((status, document.is_object()), (StatusCode::OK, true));
    assert_eq!(self::document(&server, METADATA).await.0, 404, "of another resource");
}

#[tokio::test]
async fn id_mcp_2_the_metadata_names_an_authorization_server() {
    let server = of_endpoint(&issuer());
    let (_, document) = document(&server, OF_ENDPOINT).await;
    assert_eq!(document["authorization_servers"], serde_json::json!([ISSUER]));
    let none = server.metadata().authorization_servers([""; 0]).build().unwrap_err();
    assert!(none.problems()[0].starts_with("authorization_servers: there is none"), "{none}");
}

#[tokio::test]
async fn id_mcp_3_every_401_names_the_metadata_which_needs_no_token() {
    let issuer = issuer();
    let server = of_endpoint(&issuer);
    let api = api(server.layer());
    let expired = issuer.token().audience(ENDPOINT).expires_in(-600).sign();
    let foreign = issuer.token().audience(METADATA).sign();
    for (name, credentials) in [
        ("none", None),
        ("another scheme", Some("Basic eDp5".to_owned())),
        ("expired", Some(format!("Bearer {expired}"))),
        ("foreign", Some(format!("Bearer {foreign}"))),
    ] {
        let request =
            credentials.into_iter().fold(post(), |own, text| own.header(AUTHORIZATION, text));
        let reply = api.send(posted(request.header(HOST, "evil.example"))).await;
        assert_eq!(reply.status, 401, "{name}");
        let url = reply.challenges[0].param("resource_metadata").unwrap();
        assert_eq!(url, OF_ENDPOINT, "{name}");
        assert_eq!(document(&server, url).await.0, 200, "{name}");
    }
    let good = issuer.token().audience(ENDPOINT).sign();
    let request = posted(post().header(AUTHORIZATION, format!("Bearer {good}")));
    api.send(request).await.assert_ok("a good token");
}

#[tokio::test]
async fn id_mcp_4_the_resource_is_the_url_of_the_endpoint() {
    let (_, document) = document(&of_endpoint(&issuer()), OF_ENDPOINT).await;
    assert_eq!(document["resource"], ENDPOINT);
    assert_eq!(document["resource"], posted(post()).uri().to_string());
}

#[tokio::test]
async fn id_mcp_5_a_401_names_the_scopes_to_ask_for() {
    let issuer = issuer();
    let server = of_endpoint(&issuer);
    let by_route = api(server.protect(all_of(["tools:list", "tools:call"])));
    let builder = ResourceServer::builder().issuer(trusting(&issuer)).resource(ENDPOINT);
    let by_server = builder.challenge_scope(["tools:list", "tools:call"]).build().unwrap();
    let by_server = api(by_server.layer());
    for (name, api) in [("a route", by_route), ("the server", by_server)] {
        for reply in [api.send(posted(post())).await, api.bearer("bad").await] {
            assert_eq!(reply.status, 401, "{name}");
            assert_eq!(reply.challenges[0].param("scope"), Some("tools:list tools:call"), "{name}");
            assert_eq!(reply.challenges[0].param("resource_metadata"), Some(OF_ENDPOINT), "{name}");
        }
    }
    let plain = api(server.layer()).anonymous().await;
    assert_eq!(plain.challenges[0].param("scope"), None, "none is required");
}

#[tokio::test]
async fn id_mcp_6_too_little_scope_is_403_with_the_scope_and_the_metadata() {
    let issuer = issuer();
    let server = of_endpoint(&issuer);
    let token = |scope: &str| issuer.token().audience(ENDPOINT).scope(scope).sign();
    let layered = ServiceBuilder::new().layer(server.layer()).layer(server.require(scope("call")));
    for (name, reply) in [
        ("protect", api(server.protect(scope("call"))).bearer(&token("list")).await),
        ("require", api(layered).bearer(&token("list")).await),
    ] {
        reply.assert_insufficient_scope(name, "call");
        assert_eq!(reply.challenges[0].param("resource_metadata"), Some(OF_ENDPOINT), "{name}");
    }
    api(server.protect(scope("call"))).bearer(&token("list call")).await.assert_ok("both");
}

#[tokio::test]
async fn id_mcp_7_one_challenge_has_all_scopes_of_the_operation() {
    let issuer = issuer();
    let server = of_endpoint(&issuer);
    let api = api(server.protect(all_of(["files:read", "files:write"])));
    for (name, granted) in [("both missing", ""), ("one missing", "files:read"), ("other", "x")] {
        let token = issuer.token().audience(ENDPOINT).scope(granted).sign();
        let reply = api.bearer(&token).await;
        reply.assert_insufficient_scope(name, "files:read files:write");
    }
    let both = issuer.token().audience(ENDPOINT).scope("files:write files:read").sign();
    api.bearer(&both).await.assert_ok("both");
}

#[tokio::test]
async fn id_mcp_13_the_status_says_what_is_wrong() {
    let issuer = issuer();
    let server = of_endpoint(&issuer);
    let api = api(server.protect(all_of([scope("call"), role("admin")])));
    let token = || issuer.token().audience(ENDPOINT).scope("call");
    let admin = || token().claim("roles", serde_json::json!(["admin"]));
    for (name, credentials, status) in [
        ("good", format!("Bearer {}", admin().sign()), 200),
        ("invalid", "Bearer bad".to_owned(), 401),
        ("expired", format!("Bearer {}", admin().expires_in(-600).sign()), 401),
        ("for another API", format!("Bearer {}", admin().audience(METADATA).sign()), 401),
        ("too little scope", format!("Bearer {}", admin().scope("list").sign()), 403),
        ("no permission", format!("Bearer {}", token().sign()), 403),
        ("malformed", format!("Bearer {} x", admin().sign()), 400),
        ("empty", "Bearer ".to_owned(), 400),
    ] {
        let reply = api.send(posted(post().header(AUTHORIZATION, credentials))).await;
        assert_eq!(reply.status, status, "{name}: {:?}", reply.error);
        assert_eq!(reply.ran, status == 200, "{name}");
    }
}

#[tokio::test]
async fn id_mcp_15_a_token_in_the_query_is_no_credential() {
    let issuer = issuer();
    let server = of_endpoint(&issuer);
    let token = issuer.token().audience(ENDPOINT).sign();
    let api = api(server.layer());
    let request = posted(Request::post(format!("{ENDPOINT}?access_token={token}")));
    api.send(request).await.assert_invited("in the query");
    let (_, document) = document(&server, OF_ENDPOINT).await;
    assert_eq!(document["bearer_methods_supported"], serde_json::json!(["header"]));
    let request = posted(post().header(AUTHORIZATION, format!("Bearer {token}")));
    api.send(request).await.assert_ok("in the header");
}

#[tokio::test]
async fn id_mcp_16_a_session_is_no_credential_and_the_user_is_there_to_bind_it() {
    let issuer = issuer();
    let server = of_endpoint(&issuer);
    let api = api(server.layer());
    let of_user = |user: &str| issuer.token().audience(ENDPOINT).subject(user).sign();
    let session = || post().header("mcp-session-id", "f6b1b7c6-8a0e-4c57-b7ea-6a4c1f0a8a3f");
    let with = |token: &str| posted(session().header(AUTHORIZATION, format!("Bearer {token}")));
    api.send(with(&of_user("alice"))).await.assert_ok("with a token");
    api.send(posted(session())).await.assert_invited("the session alone, after it was good");
    api.send(with("bad")).await.assert_invalid_token("with a bad token");
    let mut users = Vec::new();
    for user in ["alice", "bob"] {
        let (head, _) = with(&of_user(user)).into_parts();
        let token = server.authenticate(&head).await.unwrap().token;
        let Principal::User { .. } = token.principal() else { panic!("{user} is a user") };
        users.push((token.issuer().to_owned(), token.subject().unwrap().to_owned()));
    }
    assert_eq!(
        users,
        [(ISSUER.to_owned(), "alice".to_owned()), (ISSUER.to_owned(), "bob".to_owned())]
    );
}

#[tokio::test]
async fn id_mcp_19_the_case_of_a_host_in_a_request_makes_no_difference() {
    let issuer = issuer();
    let server = of_endpoint(&issuer);
    for uri in [OF_ENDPOINT, &OF_ENDPOINT.replace("https://api", "HTTPS://API")] {
        let (status, document) = document(&server, uri).await;
        assert_eq!(status, 200, "{uri}");
        assert_eq!(document["resource"], ENDPOINT, "without a slash at the end, in lower case");
    }
    // The path is compared as it is.
    assert_eq!(document(&server, &OF_ENDPOINT.replace("mcp", "MCP")).await.0, 404);
    // What is published is in normal form, and another spelling in `aud` is accepted by name alone.
    let upper = "https://API.example.com/mcp";
    let of =
        |resource: &str| ResourceServer::builder().issuer(trusting(&issuer)).resource(resource);
    let error = of(upper).build().unwrap_err();
    assert!(error.problems()[0].ends_with("the normal form is `https://api.example.com/mcp`"));
    let token = issuer.token().audience(upper).sign();
    api(server.layer()).bearer(&token).await.assert_invalid_token("another spelling");
    let both = of(ENDPOINT).audience(upper).build().unwrap();
    api(both.layer()).bearer(&token).await.assert_ok("by name");
}

#[tokio::test]
async fn id_mcp_9_a_broader_scope_suffices_by_an_explicit_rule() {
    let issuer = issuer();
    let with_rule =
        builder(trusting(&issuer)).scope_implies("files", ["files:read"]).build().unwrap();
    let without = server(&issuer);
    let broad = issuer.token().scope("files").sign();
    let ruled = api(with_rule.protect(scope("files:read")));
    ruled.bearer(&broad).await.assert_ok("the broader one");
    ruled.bearer(&issuer.token().scope("files:read").sign()).await.assert_ok("the narrower one");
    let reply = ruled.bearer(&issuer.token().scope("notes").sign()).await;
    reply.assert_insufficient_scope("another one", "files:read");
    let reply = api(with_rule.protect(scope("files")))
        .bearer(&issuer.token().scope("files:read").sign())
        .await;
    reply.assert_insufficient_scope("upwards", "files");
    let reply = api(without.protect(scope("files:read"))).bearer(&broad).await;
    reply.assert_insufficient_scope("without the rule", "files:read");
}

/// All scopes that this file needs, whose id is known from the request alone.
fn needed(id: &str) -> Result<Requirement, tower_resource_server::ConfigError> {
    let of = |action: &str| Policy::try_scope(&format!("files:{id}:{action}"));
    Ok(Policy::try_all_of([of("read")?, of("write")?])?.into())
}

#[tokio::test]
async fn id_mcp_24_a_challenge_has_all_scopes_that_one_operation_needs() {
    let issuer = issuer();
    let server = builder(trusting(&issuer)).resource(AUDIENCE).build().unwrap();
    let rule = server.require_with(|parts: &Parts, _: &AccessToken| {
        needed(parts.uri.path().trim_start_matches("/files/"))
    });
    let by_rule = api(ServiceBuilder::new().layer(server.layer()).layer(rule));
    let layer = server.layer();
    let by_handler = api(tower::layer::layer_fn(|inner: EchoService| {
        let handler = service_fn(move |request: Request<Body>| {
            let inner = inner.clone();
            async move {
                let token: AccessToken =
                    AccessToken::from_extensions(request.extensions()).unwrap();
                let id = request.uri().path().trim_start_matches("/files/").to_owned();
                match token.require(&needed(&id).unwrap()) {
                    Ok(()) => tower::ServiceExt::oneshot(inner, request).await,
                    Err(refusal) => Ok(refusal.into_response()),
                }
            }
        });
        tower::Layer::layer(&layer, EchoService::new(handler))
    }));
    for way in ["a rule", "a handler"] {
        for (name, scope, good) in [
            ("one of both", "files:7:read", false),
            ("none", "", false),
            ("of another file", "files:8:read files:8:write", false),
            ("both", "files:7:write files:7:read", true),
        ] {
            let request = Request::get("https://api.example.com/files/7");
            let token = issuer.token().scope(scope).sign();
            let request = request.header(AUTHORIZATION, format!("Bearer {token}"));
            let request = request.body(Body::default()).unwrap();
            let reply = match way {
                "a rule" => by_rule.send(request).await,
                _ => by_handler.send(request).await,
            };
            let name = format!("{way}: {name}");
            match good {
                true => reply.assert_ok(&name),
                false => {
                    reply.assert_insufficient_scope(&name, "files:7:read files:7:write");
                    let metadata = reply.challenges[0].param("resource_metadata");
                    assert_eq!(metadata, Some(METADATA), "{name}");
                }
            }
        }
    }
    let fixed = api(server.protect(all_of(["a", "b", "c"])));
    let reply = fixed.bearer(&issuer.token().scope("b").sign()).await;
    reply.assert_insufficient_scope("a fixed route", "a b c");
}
