//! RFC 9728, OAuth 2.0 Protected Resource Metadata.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE,
    HOST, ORIGIN,
};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::{ServiceBuilder, ServiceExt as _};
use tower_resource_server::builder::{Builder, Ready};
use tower_resource_server::clock::{Clock as _, TestClock};
use tower_resource_server::policy::{
    Requirement, Routes, acr, all_of, any_of, authorization_details, role, token_age, user,
};
use tower_resource_server::server::{MetadataService, ResourceMetadata};
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{AccessToken, ConfigError, Issuer, ResourceServer, scope};

use crate::support::*;

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
const RESOURCE: &str = "https://api.example.com/v1";
const URL: &str = "https://api.example.com/.well-known/oauth-protected-resource/v1";

/// A server for one resource.
fn of(issuer: &TestIssuer, resource: &str) -> Builder<Ready> {
    ResourceServer::builder().issuer(trusting(issuer)).resource(resource)
}

fn metadata() -> ResourceMetadata {
    of(&issuer(), RESOURCE).build().unwrap().metadata()
}

fn document(service: &MetadataService) -> Value {
    serde_json::from_str(service.json()).unwrap()
}

fn built(metadata: ResourceMetadata) -> Value {
    document(&metadata.build().unwrap())
}

#[track_caller]
fn problems(metadata: ResourceMetadata) -> Vec<String> {
    let error: ConfigError = metadata.build().expect_err("a problem");
    error.problems().to_vec()
}

async fn send(service: &MetadataService, request: Request<()>) -> (StatusCode, HeaderMap, Bytes) {
    let (head, body) = service.clone().oneshot(request).await.unwrap().into_parts();
    (head.status, head.headers, body.collect().await.unwrap().to_bytes())
}

async fn ask(service: &MetadataService, uri: &str) -> (StatusCode, HeaderMap, Bytes) {
    send(service, Request::get(uri).body(()).unwrap()).await
}

#[test]
fn id_9728_1_2_1_a_resource_identifier_is_https_without_fragment() {
    let issuer = issuer();
    for (name, resource, good) in [
        ("a URL", RESOURCE, true),
        ("a query, which is discouraged", "https://api.example.com/v1?x=1", true),
        ("http", "http://api.example.com/v1", false),
        ("a fragment", "https://api.example.com/v1#a", false),
        ("an upper-case host", "https://API.example.com/v1", false),
        ("the default port", "https://api.example.com:443/v1", false),
        ("a quote in the query", "https://api.example.com/v1?\"", false),
        ("not ASCII", "https://api.example.com/\u{e9}", false),
        ("a user", "https://user@api.example.com/v1", false),
    ] {
        let server = of(&issuer, resource).build();
        assert_eq!(server.is_ok(), good, "{name}");
        if let Err(error) = server {
            assert!(error.problems()[0].starts_with("resource `"), "{name}: {error}");
        }
    }
    let twice = of(&issuer, RESOURCE).resource("https://api.example.com/v2").build().unwrap_err();
    assert!(twice.problems()[0].starts_with("resource: is set twice"), "{twice}");
}

#[tokio::test]
async fn id_9728_2_1_resource_is_the_configured_identifier_whatever_the_host() {
    let issuer = issuer();
    for resource in [
        "https://api.example.com",
        "https://api.example.com/",
        RESOURCE,
        "https://api.example.com/v1/",
        "https://api.example.com:8443/v1?x=1",
    ] {
        let service = of(&issuer, resource).build().unwrap().metadata().build().unwrap();
        assert_eq!(document(&service)["resource"], resource);
        let url = service.url().to_owned();
        let target = url.strip_prefix("https://api.example.com").unwrap();
        let target = target.strip_prefix(":8443").unwrap_or(target);
        for (uri, host) in [
            (url.as_str(), "api.example.com"),
            (target, "api.example.com"),
            (target, "evil.example"),
            (&format!("https://evil.example{target}"), "evil.example"),
        ] {
            let request =
                Request::get(uri).header(HOST, host).header("forwarded", "host=evil.example");
            let request = request.header("x-forwarded-host", "evil.example").body(()).unwrap();
            let (status, _, body) = send(&service, request).await;
            assert_eq!((status, &*body), (StatusCode::OK, service.json().as_bytes()), "{uri}");
        }
    }
}

#[test]
fn id_9728_2_2_authorization_servers_are_the_names_of_the_issuers() {
    let first = issuer();
    let listed = |builder: Builder<Ready>| {
        let document = built(builder.build().unwrap().metadata());
        document.get("authorization_servers").cloned()
    };
    let more = |name: &str| Issuer::new(name).jwks(first.jwks());
    assert_eq!(listed(of(&first, RESOURCE)), Some(json!([ISSUER])));
    let several = of(&first, RESOURCE)
        .issuer(more("https://b.example.com/").alias("https://alias.example.com"))
        .issuer(more("https://a.example.com/t1"))
        .issuer(more("https://c.example.com/{tenantid}").tenants("tid", |_| true))
        .issuer(more("not-a-url"));
    let names = json!([ISSUER, "https://b.example.com/", "https://a.example.com/t1"]);
    assert_eq!(listed(several), Some(names), "exactly as written, in their order");

    let unlisted = || {
        let template = more("https://c.example.com/{tenantid}").tenants("tid", |_| true);
        ResourceServer::builder().issuer(template).resource(RESOURCE).build().unwrap().metadata()
    };
    let found = problems(unlisted());
    assert!(found[0].starts_with("authorization_servers: there is none"), "{found:?}");
    let named = unlisted().authorization_servers(["https://c.example.com/t1"]);
    assert_eq!(built(named)["authorization_servers"], json!(["https://c.example.com/t1"]));
    let without = built(unlisted().without_authorization_servers());
    assert_eq!(without.get("authorization_servers"), None);
    for (name, issuer, good) in [
        ("https", "https://c.example.com/t1", true),
        ("http", "http://c.example.com/t1", false),
        ("a query", "https://c.example.com/t1?x", false),
        ("a placeholder", "https://c.example.com/{tenantid}", false),
        ("empty", "", false),
    ] {
        let result = unlisted().authorization_servers([issuer]).build();
        assert_eq!(result.is_ok(), good, "{name}");
    }
    problems(unlisted().authorization_servers([""; 0]));
}

/// The tenants of a server in the cluster, which has no TLS.
#[cfg(feature = "http-client")]
#[test]
fn id_9728_2_2_a_listed_server_may_have_the_http_url_that_the_configuration_allows() {
    let template = Issuer::new("http://keycloak/{tenantid}").jwks(issuer().jwks());
    let template = template.tenants("tid", |_| true);
    let template = tower_resource_server::danger::allow_http_hosts(template, ["keycloak"]);
    let server = ResourceServer::builder().issuer(template).resource(RESOURCE).build().unwrap();
    for (listed, good) in [
        ("http://keycloak/t1", true),
        ("http://keycloak2/t1", false),
        ("http://127.0.0.1/t1", false),
        ("https://keycloak2/t1", true),
    ] {
        let result = server.metadata().authorization_servers([listed]).build();
        assert_eq!(result.is_ok(), good, "{listed}");
    }
    problems(
        server
            .metadata()
            .authorization_servers(["http://keycloak/t1"])
            .jwks_uri("http://keycloak/keys"),
    );
}

#[test]
fn id_9728_2_3_scopes_are_those_of_the_requirements_but_hidden_ones() {
    let supported = |metadata: ResourceMetadata| built(metadata).get("scopes_supported").cloned();
    assert_eq!(supported(metadata()), None);
    let hidden = || Requirement::from(all_of([scope("secret"), role("auditor")]));
    let routes: Routes = Routes::for_raw_paths()
        .get("/notes", scope("notes:read"))
        .put("/notes/{id}", any_of([all_of(["notes:read", "notes:write"]), scope("notes:admin")]))
        .get("/audit", hidden().hidden())
        .get("/me", user());
    let all = json!(["own", "notes:read", "notes:write", "notes:admin", "extra"]);
    let metadata_with = || {
        metadata()
            .requirement(scope("own"))
            .routes(&routes)
            .scopes(["extra"])
            .requirement(scope("own"))
    };
    assert_eq!(supported(metadata_with()), Some(all.clone()));
    assert_eq!(supported(metadata_with().requirement(hidden().hidden())), Some(all));
    let shown = metadata_with().requirement(hidden());
    assert!(supported(shown).unwrap().as_array().unwrap().contains(&json!("secret")));
    let without = metadata_with().without_scope("notes:admin").without_scope("extra");
    assert_eq!(supported(without), Some(json!(["own", "notes:read", "notes:write"])));
    assert_eq!(supported(metadata().requirement(scope("a")).without_scope("a")), None);
    for bad in ["a b", "", "a\"", "\u{e9}"] {
        problems(metadata().scopes([bad]));
        problems(metadata().without_scope(bad));
    }
}

#[test]
fn id_9728_2_4_bearer_methods_follow_what_is_accepted() {
    let issuer = issuer();
    let header = || of(&issuer, RESOURCE).build().unwrap().metadata();
    let query = || of(&issuer, RESOURCE).query_token().build().unwrap().metadata();
    for (name, metadata, expected) in [
        ("the header", header(), json!(["header"])),
        ("the query too", query(), json!(["header", "query"])),
        ("the form too", header().form_tokens().form_tokens(), json!(["header", "body"])),
        ("all", query().form_tokens(), json!(["header", "query", "body"])),
        ("none", query().without_bearer_methods(), json!([])),
    ] {
        assert_eq!(built(metadata)["bearer_methods_supported"], expected, "{name}");
    }
    for metadata in [
        header().form_tokens().without_bearer_methods(),
        header().without_bearer_methods().form_tokens(),
    ] {
        assert_eq!(problems(metadata), ["form_tokens: not with `without_bearer_methods`"]);
    }
}

#[test]
fn id_9728_2_5_the_keys_of_the_api_are_at_an_https_url() {
    let keys = "https://api.example.com/keys";
    assert_eq!(built(metadata().jwks_uri(keys))["jwks_uri"], keys);
    assert_eq!(built(metadata()).get("jwks_uri"), None);
    for bad in ["http://api.example.com/keys", "/keys", "", "http://127.0.0.1/keys"] {
        let found = problems(metadata().jwks_uri(bad));
        assert!(found[0].starts_with("jwks_uri `"), "{found:?}");
    }
    let local = of(&issuer(), RESOURCE).allow_http_loopback().build().unwrap();
    assert!(local.metadata().jwks_uri("http://127.0.0.1/keys").build().is_ok());
}

#[test]
fn id_9728_2_6_none_is_no_algorithm_of_signed_responses() {
    let name = "resource_signing_alg_values_supported";
    let of = |algorithms: &[&str]| metadata().resource_signing_algorithms(algorithms.to_vec());
    assert_eq!(built(of(&["ES256", "PS256", "ES256"]))[name], json!(["ES256", "PS256"]));
    assert_eq!(built(of(&[])).get(name), None);
    for bad in [&["none"][..], &["ES256", "none"], &["None"], &[""]] {
        let found = problems(of(bad));
        assert!(found[0].starts_with(name), "{found:?}");
    }
}

#[test]
fn id_9728_2_7_texts_and_pages_have_languages() {
    let page = |path: &str| format!("https://docs.example.com/{path}");
    let document = built(
        metadata()
            .resource_name("Notes \u{2014} \"all\" of them")
            .resource_name_in("de", "Notizen")
            .resource_name_in("pt-BR", "Notas")
            .resource_documentation(page("en"))
            .resource_documentation_in("de", page("de"))
            .resource_policy_uri(page("policy"))
            .resource_tos_uri(page("tos"))
            .resource_tos_uri_in("zh-Hant", page("tos/zh")),
    );
    for (name, value) in [
        ("resource_name", "Notes \u{2014} \"all\" of them".to_owned()),
        ("resource_name#de", "Notizen".to_owned()),
        ("resource_name#pt-BR", "Notas".to_owned()),
        ("resource_documentation", page("en")),
        ("resource_documentation#de", page("de")),
        ("resource_policy_uri", page("policy")),
        ("resource_tos_uri", page("tos")),
        ("resource_tos_uri#zh-Hant", page("tos/zh")),
    ] {
        assert_eq!(document[name], value, "{name}");
    }
    for (name, metadata) in [
        ("no tag", metadata().resource_name_in("", "Notizen")),
        ("a tag with an underscore", metadata().resource_name_in("de_AT", "Notizen")),
        ("a text that is no tag", metadata().resource_tos_uri_in("de#en", page("x"))),
        ("a tag twice", metadata().resource_name_in("de", "a").resource_name_in("DE", "b")),
        ("a name twice", metadata().resource_name("a").resource_name("b")),
        ("an empty name", metadata().resource_name(" ")),
        ("a page by http", metadata().resource_documentation("http://docs.example.com/")),
        ("a page that is no URL", metadata().resource_policy_uri_in("de", "docs")),
    ] {
        assert_eq!(problems(metadata).len(), 1, "{name}");
    }
}

#[test]
fn id_9728_2_8_members_about_requirements_follow_the_policies() {
    let payment = || authorization_details("payment").with("actions", ["initiate"]);
    let types = "authorization_details_types_supported";
    let routes: Routes = Routes::for_raw_paths()
        .post("/payments", all_of([scope("pay"), payment().into()]))
        .get("/accounts", authorization_details("account"))
        .get("/hidden", Requirement::from(authorization_details("secret")).hidden());
    let document =
        built(metadata().routes(&routes).authorization_details_types(["more", "account"]));
    assert_eq!(document[types], json!(["payment", "account", "more"]));
    assert_eq!(document["scopes_supported"], json!(["pay"]));
    assert_eq!(built(metadata().requirement(scope("pay"))).get(types), None);
    problems(metadata().authorization_details_types([""]));
    // This server confirms no sender, so these keep their default: false, and no algorithm.
    for absent in [
        "tls_client_certificate_bound_access_tokens",
        "dpop_bound_access_tokens_required",
        "dpop_signing_alg_values_supported",
    ] {
        assert_eq!(document.get(absent), None, "{absent}");
        problems(metadata().member(absent, true));
    }
}

/// The members about bound tokens say what challenges say.
#[cfg(feature = "dpop")]
#[tokio::test]
async fn id_9728_2_8_members_about_bound_tokens_follow_the_settings() {
    use tower_resource_server::keys::Algorithm;
    use tower_resource_server::sender::{Dpop, Replay};

    let issuer = issuer();
    let optional = || Dpop::optional(RESOURCE, Replay::in_process());
    let required = || Dpop::required(RESOURCE, Replay::in_process());
    let [algs, must, certificates] = [
        "dpop_signing_alg_values_supported",
        "dpop_bound_access_tokens_required",
        "tls_client_certificate_bound_access_tokens",
    ];
    let some = [Algorithm::ES256, Algorithm::PS256];
    let all: Vec<_> =
        "RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 Ed25519 EdDSA".split(' ').collect();
    for (name, dpop, names, is_required) in [
        ("none", None, None, None),
        ("optional", Some(optional()), Some(json!(all)), None),
        ("some", Some(optional().algorithms(some)), Some(json!(["PS256", "ES256"])), None),
        ("required", Some(required()), Some(json!(all)), Some(json!(true))),
    ] {
        let builder = of(&issuer, RESOURCE);
        let builder = match dpop {
            Some(dpop) => builder.dpop(dpop),
            None => builder,
        };
        let server = builder.build().unwrap();
        let document = built(server.metadata());
        assert_eq!(document.get(algs), names.as_ref(), "{name}");
        // The default of a flag is false (RFC 9728 §2).
        let flag = document.get(must).filter(|flag| **flag != json!(false));
        assert_eq!(flag, is_required.as_ref(), "{name}");
        assert_eq!(document.get(certificates), None, "{name}");
        let reply = api(server.layer()).anonymous().await;
        let dpop = reply.challenges.iter().find(|one| one.scheme == "DPoP");
        let told = dpop.and_then(|one| one.param("algs"));
        let listed = names.map(|names| {
            let names = names.as_array().unwrap().iter().map(|name| name.as_str().unwrap());
            names.collect::<Vec<_>>().join(" ")
        });
        assert_eq!(told, listed.as_deref(), "{name}: the challenge");
        let bearer = reply.challenges.iter().any(|one| one.scheme == "Bearer");
        assert_eq!(!bearer, is_required.is_some(), "{name}: the challenge");
        for one in &reply.challenges {
            assert_eq!(one.param("resource_metadata"), Some(URL), "{name}");
        }
        for reserved in [algs, must, certificates] {
            problems(server.metadata().member(reserved, true));
        }
    }
}

#[cfg(feature = "mtls")]
#[test]
fn id_9728_2_8_certificates_from_a_proxy_are_told() {
    use tower_resource_server::sender::{ProxyHeader, TrustedPeers};

    let issuer = issuer();
    let peers = TrustedPeers::cidrs(["10.0.0.0/8"]);
    let with = of(&issuer, RESOURCE).client_certificate_header(ProxyHeader::client_cert(), peers);
    let document = built(with.build().unwrap().metadata());
    assert_eq!(document["tls_client_certificate_bound_access_tokens"], json!(true));
    assert_eq!(built(metadata()).get("tls_client_certificate_bound_access_tokens"), None);
}

#[test]
fn id_9728_2_2_1_signed_metadata_has_all_members_and_iss_and_not_itself() {
    use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
    let key = rcgen::KeyPair::generate().unwrap();
    let private = EncodingKey::from_ec_pem(key.serialize_pem().as_bytes()).unwrap();
    let public = DecodingKey::from_ec_pem(key.public_key_pem().as_bytes()).unwrap();
    let document =
        built(metadata().resource_name("Notes").scopes(["a"]).signed_with(move |claims| {
            let claims: Value = serde_json::from_str(claims)?;
            Ok(encode(&Header::new(Algorithm::ES256), &claims, &private)?)
        }));
    let mut checks = Validation::new(Algorithm::ES256);
    checks.required_spec_claims.clear();
    let signed = document["signed_metadata"].as_str().unwrap();
    let mut claims = decode::<Value>(signed, &public, &checks).unwrap().claims;
    let mut plain = document.clone();
    plain.as_object_mut().unwrap().remove("signed_metadata");
    assert_eq!(claims.as_object_mut().unwrap().remove("iss"), Some(json!(RESOURCE)));
    assert_eq!(claims, plain, "no claim is another member, and none is `signed_metadata`");

    assert_eq!(built(metadata()).get("signed_metadata"), None, "absent by default");
    // What a client could not verify as a whole is not served.
    let other = signed.to_owned();
    let found = problems(metadata().signed_with(move |_| Ok(other)));
    assert!(found[0].starts_with("signed_metadata: the payload"), "{found:?}");
    let found = problems(metadata().signed_with(|claims| Ok(claims.to_owned())));
    assert!(found[0].contains("no compact JWS"), "{found:?}");
    let found = problems(metadata().signed_with(|_| Err("the key is locked".into())));
    assert_eq!(found, ["signed_metadata: the signer failed: the key is locked"]);
    problems(metadata().member("signed_metadata", "x"));
    problems(metadata().member("iss", "https://other.example.com"));
}

#[tokio::test]
async fn id_9728_3_1_the_well_known_name_is_inserted_between_host_and_path() {
    let issuer = issuer();
    let service = metadata().build().unwrap();
    assert_eq!((service.url(), service.path()), (URL, "/.well-known/oauth-protected-resource/v1"));
    assert_eq!(ask(&service, service.path()).await.0, 200);
    for path in [
        "/v1/.well-known/oauth-protected-resource",
        "/v1/.well-known/oauth-protected-resource/v1",
        "/.well-known/oauth-protected-resource/v1/.well-known/oauth-protected-resource",
        WELL_KNOWN,
        "/v1",
        "/",
        "*",
    ] {
        assert_eq!(ask(&service, path).await.0, 404, "{path}");
    }
    let query = of(&issuer, "https://api.example.com/v1?tenant=a").build().unwrap();
    let query = query.metadata().build().unwrap();
    assert_eq!(query.url(), format!("{URL}?tenant=a"));
    assert_eq!(query.path(), service.path());
    assert_eq!(ask(&query, query.url()).await.0, 200);
    for uri in [query.path(), "/.well-known/oauth-protected-resource/v1?tenant=b"] {
        assert_eq!(ask(&query, uri).await.0, 404, "{uri}");
    }
}

#[tokio::test]
async fn id_9728_3_1_1_a_lone_slash_behind_the_host_is_dropped() {
    let issuer = issuer();
    for resource in ["https://api.example.com/", "https://api.example.com"] {
        let service = of(&issuer, resource).build().unwrap().metadata().build().unwrap();
        assert_eq!(service.path(), WELL_KNOWN);
        assert_eq!(ask(&service, WELL_KNOWN).await.0, 200);
        assert_eq!(ask(&service, &format!("{WELL_KNOWN}/")).await.0, 404);
        assert_eq!(document(&service)["resource"], resource, "the identifier itself keeps it");
    }
}

#[tokio::test]
async fn id_9728_3_2_1_the_answer_is_a_json_object_without_credentials() {
    let service = metadata().build().unwrap();
    let get = || Request::get(URL);
    for (name, request) in [
        ("no credentials", get()),
        ("a bad token", get().header(AUTHORIZATION, "Bearer bad")),
        ("two of them", get().header(AUTHORIZATION, "Bearer a").header(AUTHORIZATION, "x")),
    ] {
        let (status, headers, body) = send(&service, request.body(()).unwrap()).await;
        assert_eq!(status, 200, "{name}");
        assert_eq!(headers[CONTENT_TYPE], "application/json", "{name}");
        assert_eq!(headers[CONTENT_LENGTH], body.len().to_string(), "{name}");
        assert!(serde_json::from_slice::<Value>(&body).unwrap().is_object(), "{name}");
    }
    let (status, headers, body) = send(&service, Request::head(URL).body(()).unwrap()).await;
    assert_eq!((status, body.len()), (StatusCode::OK, 0));
    assert_eq!(headers[CONTENT_LENGTH], service.json().len().to_string());
    assert_eq!(headers[CONTENT_TYPE], "application/json");
}

#[test]
fn id_9728_3_2_2_members_without_values_are_left_out() {
    let plain = json!({
        "resource": RESOURCE,
        "authorization_servers": [ISSUER],
        "bearer_methods_supported": ["header"],
    });
    assert_eq!(built(metadata()), plain);
    let nothing = metadata()
        .scopes([""; 0])
        .authorization_details_types([""; 0])
        .resource_signing_algorithms([""; 0])
        .requirement(user());
    assert_eq!(built(nothing), plain);
    for (name, member, value, good) in [
        ("a text", "x_contact", json!("ops@example.com"), true),
        ("an object", "x_limits", json!({ "rate": 5 }), true),
        ("false", "x_beta", json!(false), true),
        ("with a language", "x_note#de", json!("Text"), true),
        ("null", "x_contact", json!(null), false),
        ("an empty array", "x_contact", json!([]), false),
        ("no name", "", json!(1), false),
        ("only a language", "#de", json!(1), false),
        ("ours", "resource", json!("https://evil.example"), false),
        ("ours in another case", "Resource", json!("https://evil.example"), false),
        ("ours with a language", "resource_name#de", json!("Notizen"), false),
    ] {
        let result = metadata().member(member, value.clone()).build();
        assert_eq!(result.is_ok(), good, "{name}");
        if let Ok(service) = result {
            assert_eq!(document(&service)[member], value, "{name}");
        }
    }
    problems(metadata().member("x", 1).member("x", 2));
    let error = server(&issuer()).metadata().scopes(["a b"]).jwks_uri("x").build().unwrap_err();
    let expected = ["jwks_uri `x`", "scopes `a b`", "resource: the server has none"];
    assert_eq!(error.problems().len(), expected.len(), "{error}");
    for (problem, start) in error.problems().iter().zip(expected) {
        assert!(problem.starts_with(start), "{problem}");
    }
}

#[cfg(feature = "axum")]
mod in_axum {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use http::header::WWW_AUTHENTICATE;

    use super::*;

    async fn status(app: &Router, path: &str) -> (StatusCode, HeaderMap, Value) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let (head, body) = app.clone().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status, head.headers, serde_json::from_slice(&body).unwrap_or_default())
    }

    #[tokio::test]
    async fn id_9728_3_3_1_each_prefix_has_its_own_document_and_no_other_answers() {
        let issuer = issuer();
        let (one, two) = ("https://api.example.com/v1", "https://api.example.com/v2");
        let of = |resource| of(&issuer, resource).build().unwrap();
        let protected = |server: &ResourceServer| {
            Router::new().route("/notes", get(async || "notes")).layer(server.layer())
        };
        let (first, second) = (of(one), of(two));
        let app = Router::new()
            .nest("/v1", protected(&first))
            .nest("/v2", protected(&second))
            .merge(first.metadata().build().unwrap().into_router())
            .merge(second.metadata().build().unwrap().into_router());
        for (path, resource) in [("/v1/notes", one), ("/v2/notes", two)] {
            let (refused, headers, _) = status(&app, path).await;
            assert_eq!(refused, 401, "{path}");
            let challenge = parse_challenge(headers[WWW_AUTHENTICATE].to_str().unwrap());
            let url = challenge.param("resource_metadata").unwrap().to_owned();
            let (found, _, document) = status(&app, &url).await;
            assert_eq!((found, &document["resource"]), (StatusCode::OK, &json!(resource)));
        }
        for suffix in ["", "/", "/v3", "/v1/", "/v1/notes", "/V1", "/v%31", "//v1", "/v1?x", "/v1?"]
        {
            let (found, _, body) = status(&app, &format!("{WELL_KNOWN}{suffix}")).await;
            assert_eq!((found, body), (StatusCode::NOT_FOUND, Value::Null), "{suffix:?}");
        }
        for path in ["/v1/.well-known/oauth-protected-resource", "/v1/.well-known/x"] {
            assert_ne!(status(&app, path).await.0, 200, "{path}");
        }
    }

    /// The place, the way around the layer, the identifier, a route for every path, and the host.
    #[tokio::test]
    async fn metadata_that_clients_can_use_has_none_of_the_usual_faults() {
        let issuer = issuer();
        let server = of(&issuer, RESOURCE).build().unwrap();
        let app = Router::new()
            .route("/v1/notes", get(async || "notes"))
            .route("/{*rest}", get(async || "everything else"))
            .layer(server.layer())
            .merge(server.metadata().build().unwrap().into_router());
        // Inserted, and without a token.
        let (found, _, document) = status(&app, URL).await;
        assert_eq!(found, 200);
        // The resource, not its origin.
        assert_eq!(document["resource"], RESOURCE);
        // Neither appended, nor for every path. The wildcard of the API stays protected.
        for path in ["/v1/.well-known/oauth-protected-resource", WELL_KNOWN, "/x"] {
            assert_eq!(status(&app, path).await.0, 401, "{path}");
        }
        // Not from the host.
        let request = Request::get("/v1/notes").header(HOST, "evil.example");
        let request = request.header("x-forwarded-host", "evil.example").body(Body::empty());
        let response = app.clone().oneshot(request.unwrap()).await.unwrap();
        let challenge = parse_challenge(response.headers()[WWW_AUTHENTICATE].to_str().unwrap());
        assert_eq!(challenge.param("resource_metadata"), Some(URL));
        // A route for all methods serves the document to a reader alone.
        let request = Request::post(URL).body(Body::empty()).unwrap();
        assert_eq!(app.oneshot(request).await.unwrap().status(), 405);
    }

    #[test]
    fn a_route_at_the_path_of_the_metadata_is_reported_when_the_router_is_built() {
        let service = metadata().build().unwrap();
        let merged = |path: &str| {
            let app: Router = Router::new().route(path, get(async || "own"));
            let service = service.clone();
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                app.merge(service.into_router())
            }))
        };
        assert!(merged(service.path()).is_err());
        assert!(merged("/.well-known/oauth-protected-resource/v2").is_ok());
        assert!(merged("/.well-known/oauth-protected-resource/{name}").is_ok());
        assert!(merged("/{*rest}").is_ok());
    }

    #[tokio::test]
    async fn the_path_of_the_metadata_is_no_pattern() {
        let issuer = issuer();
        for path in ["/:a", "/*a", "/a:b"] {
            let resource = format!("https://api.example.com{path}");
            let service = of(&issuer, &resource).build().unwrap().metadata().build().unwrap();
            let app: Router = service.into_router();
            assert_eq!(status(&app, &format!("{WELL_KNOWN}{path}")).await.0, 200, "{path}");
            assert_eq!(status(&app, &format!("{WELL_KNOWN}/b")).await.0, 404, "{path}");
        }
    }
}

#[tokio::test]
async fn id_9728_5_1_1_every_challenge_of_ours_names_the_metadata() {
    let issuer = issuer();
    let server = of(&issuer, RESOURCE).other_challenge("ApiKey realm=\"x\"").build().unwrap();
    let good = || issuer.token().audience(RESOURCE);
    let require = |requirement: Requirement| {
        api(ServiceBuilder::new().layer(server.layer()).layer(server.require(requirement)))
    };
    let protect = |requirement: Requirement| api(server.protect(requirement));
    let by_request = api(ServiceBuilder::new()
        .layer(server.layer())
        .layer(server.require_with(|_, _: &AccessToken| Ok(scope("a").into()))));
    let table = api(server.protect_routes(Routes::for_raw_paths().get("/notes", scope("a"))));
    let long_ago = TestClock::starting_now().wall().as_secs() - 60;
    let mut replies = Vec::new();
    for (name, api) in [
        ("layer", api(server.layer())),
        ("protect", protect(scope("a").into())),
        ("hidden", protect(Requirement::from(scope("a")).hidden())),
    ] {
        for (credentials, status) in
            [("Basic eDp5", 401), ("Bearer bad", 401), ("Bearer a b", 400), ("Bearer", 400)]
        {
            let reply = api.authorization(credentials).await;
            assert_eq!(reply.status, status, "{name}, {credentials}");
            replies.push((format!("{name}, {credentials}"), reply));
        }
        replies.push((format!("{name}, anonymous"), api.anonymous().await));
    }
    let bad = api(server.optional_layer()).bearer("bad").await;
    replies.push(("an optional layer".to_owned(), bad));
    for (name, requirement, status) in [
        ("a scope", Requirement::from(scope("a")), 403),
        ("a role", role("admin").into(), 403),
        ("a login", acr(["high"]).into(), 401),
        ("a recent token", token_age(Duration::ZERO).into(), 401),
        ("a check", scope("b").and_check(|_: &AccessToken| false), 403),
        ("a hidden login", Requirement::from(acr(["high"])).hidden(), 401),
    ] {
        let token = good().scope("b").claim("iat", long_ago).sign();
        let required = require(requirement.clone()).bearer(&token).await;
        for reply in [required, protect(requirement).bearer(&token).await] {
            assert_eq!(reply.status, status, "{name}: {:?}", reply.error);
            replies.push((name.to_owned(), reply));
        }
    }
    replies.push(("by request".to_owned(), by_request.bearer(&good().sign()).await));
    replies.push(("a table".to_owned(), table.bearer(&good().sign()).await));
    let unlisted = Request::post("https://api.example.com/notes");
    let unlisted = unlisted.header(AUTHORIZATION, format!("Bearer {}", good().sign()));
    let unlisted = table.send(unlisted.body(Body::default()).unwrap()).await;
    assert_eq!(unlisted.status, 403);
    replies.push(("unlisted".to_owned(), unlisted));
    for (name, reply) in replies {
        assert!([400, 401, 403].contains(&reply.status.as_u16()), "{name}: {reply:?}");
        let mut ours = 0;
        for challenge in &reply.challenges {
            let named = challenge.param("resource_metadata");
            match challenge.scheme.as_str() {
                "Bearer" => assert_eq!(named, Some(URL), "{name}"),
                _ => assert_eq!(named, None, "{name}: another scheme is left as it is"),
            }
            ours += usize::from(challenge.scheme == "Bearer");
        }
        assert_eq!(ours, 1, "{name}");
    }
    // A hidden resource has no challenge, and neither has an outage or a mistake of ours.
    let hidden = protect(Requirement::from(scope("a")).hidden()).bearer(&good().sign()).await;
    assert_eq!((hidden.status, hidden.challenges.len()), (StatusCode::NOT_FOUND, 0));
    let miswired = api(server.require(scope("a"))).bearer(&good().sign()).await;
    assert_eq!((miswired.status.as_u16(), miswired.challenges.len()), (500, 0));
    // Outside Tower, and in a handler.
    let (head, ()) = Request::get("/").body(()).unwrap().into_parts();
    let refusal = server.authenticate(&head).await.unwrap_err();
    let line = refusal.challenges()[0].to_str().unwrap();
    assert_eq!(parse_challenge(line).param("resource_metadata"), Some(URL));
    let request = Request::get("/").header(AUTHORIZATION, format!("Bearer {}", good().sign()));
    let (head, ()) = request.body(()).unwrap().into_parts();
    let token = server.authenticate(&head).await.unwrap().token;
    for requirement in [Requirement::from(scope("a")), acr(["high"]).into(), role("x").into()] {
        let refusal = token.require(&requirement).unwrap_err();
        let line = refusal.challenges()[0].to_str().unwrap();
        assert_eq!(parse_challenge(line).param("resource_metadata"), Some(URL));
    }
    // Neighbours: a good token passes, and a server without a resource names none.
    protect(scope("a").into()).bearer(&good().scope("a").sign()).await.assert_ok("a good token");
    let plain = api(self::server(&issuer).layer()).anonymous().await;
    assert_eq!(plain.challenges[0].param("resource_metadata"), None);
    // It stands once.
    let twice = of(&issuer, RESOURCE).challenge_param("resource_metadata", "https://x").build();
    assert!(twice.unwrap_err().problems()[0].contains("occurs twice"));
}

#[tokio::test]
async fn the_resource_stays_an_audience_through_a_reload() {
    let issuer = issuer();
    let server = of(&issuer, RESOURCE).build().unwrap();
    let api = api(server.layer());
    let token = |audience: &str| issuer.token().audience(audience).sign();
    server.reload([trusting(&issuer)], ["https://new.example.com"]).unwrap();
    api.bearer(&token(RESOURCE)).await.assert_ok("the resource");
    api.bearer(&token("https://new.example.com")).await.assert_ok("the new audience");
    api.bearer(&token("https://old.example.com")).await.assert_invalid_token("another one");
    // The audiences of an issuer replace those of the server.
    let own = trusting(&issuer).audience("https://own.example.com");
    server.reload([own], ["https://new.example.com"]).unwrap();
    api.bearer(&token(RESOURCE)).await.assert_invalid_token("not the issuer's");
    api.bearer(&token("https://own.example.com")).await.assert_ok("the issuer's");
}

#[test]
fn id_9728_7_1_1_the_metadata_url_is_https() {
    let issuer = issuer();
    let local = || of(&issuer, "http://127.0.0.1:3000/v1");
    assert!(local().build().is_err());
    let service = local().allow_http_loopback().build().unwrap().metadata().build().unwrap();
    assert_eq!(service.url(), "http://127.0.0.1:3000/.well-known/oauth-protected-resource/v1");
    assert!(of(&issuer, "http://api.example.com/v1").allow_http_loopback().build().is_err());
    assert!(metadata().build().unwrap().url().starts_with("https://"));
}

#[tokio::test]
async fn id_9728_7_10_1_the_document_can_be_cached_and_read_across_origins() {
    let service = metadata().build().unwrap();
    let (_, headers, _) = ask(&service, URL).await;
    assert_eq!(headers[CACHE_CONTROL], "max-age=3600");
    assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    for (age, shown) in [
        (Duration::ZERO, "max-age=0"),
        (Duration::from_secs(60), "max-age=60"),
        (Duration::MAX, "max-age=18446744073709551615"),
    ] {
        let service = metadata().max_age(age).build().unwrap();
        assert_eq!(ask(&service, URL).await.1[CACHE_CONTROL], shown);
    }
    let options = || Request::options(URL).header(ORIGIN, "https://app.example.com");
    let preflight = options()
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", "mcp-protocol-version");
    let (status, headers, body) = send(&service, preflight.body(()).unwrap()).await;
    assert_eq!((status, body.len()), (StatusCode::NO_CONTENT, 0));
    for (name, value) in [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-methods", "GET, HEAD"),
        ("access-control-allow-headers", "*"),
        ("access-control-max-age", "3600"),
    ] {
        assert_eq!(headers[name], value, "{name}");
    }
    let (status, headers, _) = send(&service, options().body(()).unwrap()).await;
    assert_eq!(
        (status.as_u16(), &headers[ALLOW]),
        (204, &HeaderValue::from_static("GET, HEAD, OPTIONS"))
    );
    assert!(!headers.contains_key("access-control-allow-methods"), "no preflight");
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::TRACE] {
        let request = Request::builder().method(&method).uri(URL).body(()).unwrap();
        let (status, headers, body) = send(&service, request).await;
        assert_eq!((status.as_u16(), body.len()), (405, 0), "{method}");
        assert_eq!(headers[ALLOW], "GET, HEAD, OPTIONS", "{method}");
    }
    for method in [Method::OPTIONS, Method::POST, Method::HEAD] {
        let request = Request::builder().method(&method).uri(WELL_KNOWN).body(()).unwrap();
        assert_eq!(send(&service, request).await.0, 404, "{method}");
    }
}

#[tokio::test]
async fn a_page_of_another_origin_reads_the_challenge_through_a_cors_layer_outside() {
    let issuer = issuer();
    let server = of(&issuer, RESOURCE).build().unwrap();
    let cors = || {
        tower_http::cors::CorsLayer::new()
            .allow_origin(["https://app.example.com".parse().unwrap()])
            .allow_headers([AUTHORIZATION])
    };
    let page = || get().header(ORIGIN, "https://app.example.com").body(Body::default()).unwrap();
    let exposing = cors().expose_headers(tower_resource_server::layer::exposed_headers());
    let outside = api(ServiceBuilder::new().layer(exposing.clone()).layer(server.layer()));
    let reply = outside.send(page()).await;
    reply.assert_invited("a page");
    assert_eq!(reply.headers[ACCESS_CONTROL_ALLOW_ORIGIN], "https://app.example.com");
    assert_eq!(
        reply.headers["access-control-expose-headers"],
        "www-authenticate,retry-after,dpop-nonce"
    );
    assert_eq!(reply.challenges[0].param("resource_metadata"), Some(URL));
    let silent = api(ServiceBuilder::new().layer(cors()).layer(server.layer())).send(page()).await;
    assert!(!silent.headers.contains_key("access-control-expose-headers"), "nothing is exposed");
    // Inside, it does not see the refusals.
    let inside = ServiceBuilder::new().layer(server.layer()).layer(exposing);
    let reply = api(inside).send(page()).await;
    assert!(!reply.headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
}
