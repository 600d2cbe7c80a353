//! What is made of an answer's members: RFC 7662's names, and who acts; for each vendor that has a
//! function in `providers`.

use serde_json::{Value, json};
use tower_resource_server::clock::TestClock;
use tower_resource_server::introspection::Introspection;
use tower_resource_server::issuer::AnswerProfile;
use tower_resource_server::keys::Algorithm;
use tower_resource_server::policy::{role, user};
use tower_resource_server::test_issuer::{Endpoint, Fault, TestIssuer};
use tower_resource_server::{Error, Issuer, Profile, ResourceServer, providers, scope};

use super::support::*;
use super::{World, secret};

/// Ten seconds after the samples' `iat`.
const NOW: u64 = 1_795_390_010;

const API: &str = "https://api.example.test";

/// An authorization server that says what it is told to say.
struct Oracle {
    clock: TestClock,
    issuer: TestIssuer,
}

impl Oracle {
    async fn new() -> Self {
        let clock = TestClock::at(NOW);
        let builder = TestIssuer::builder().algorithm(Algorithm::RS256).clock(clock.clone());
        Self { issuer: builder.start().await.unwrap(), clock }
    }

    fn serve(&self, trusted: Issuer, audience: &str) -> ResourceServer {
        let introspection =
            Introspection::new(secret()).endpoint(self.issuer.introspection_endpoint());
        let trusted = trusted.jwks(self.issuer.jwks()).introspection(introspection);
        let builder = ResourceServer::builder().issuer(trusted).audience(audience);
        builder.allow_http_loopback().clock(self.clock.clone()).build().unwrap()
    }

    fn says(&self, answer: &Value) {
        self.issuer.set_fault(Endpoint::Introspection, Fault::Body(answer.to_string()));
    }
}

/// Who acts, in the first word of what `Principal` shows.
fn kind(reply: &Reply) -> String {
    reply.json()["principal"].as_str().unwrap().split(' ').next().unwrap().to_owned()
}

fn sample(name: &str) -> Value {
    let path = format!("{}/tests/samples/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let document: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    document["introspection_response"].clone()
}

/// `answer` with these members besides or instead; null takes one out.
fn with(mut answer: Value, members: Value) -> Value {
    for (name, value) in members.as_object().unwrap() {
        answer[name] = value.clone();
    }
    answer.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    answer
}

fn keycloak() -> Issuer {
    providers::keycloak("https://sso.example.test/realms/demo")
}

fn hydra() -> Issuer {
    providers::hydra("https://hydra.example.test/")
}

fn zitadel() -> Issuer {
    providers::zitadel("https://demo.zitadel.test")
}

fn okta() -> Issuer {
    providers::okta("https://example.okta.test/oauth2/default").unwrap()
}

fn fusionauth() -> Issuer {
    providers::fusionauth("https://auth.example.test", "acme.com")
}

#[tokio::test]
#[rustfmt::skip]
async fn an_answer_of_each_vendor_says_what_it_grants_and_who_acts() {
    let oracle = Oracle::new().await;
    let keycloak_client = with(sample("keycloak-introspection"), json!({
        "sub": "5bd4b7ae", "azp": "m2m", "client_id": "m2m", "clientHost": "127.0.0.1",
        "username": "service-account-m2m", "preferred_username": "service-account-m2m",
    }));
    let okta_user = json!({
        "active": true, "token_type": "Bearer", "scope": "openid read", "client_id": "0oa3", "uid": "00u7",
        "username": "alice@example.test", "sub": "alice@example.test", "aud": "api://default",
        "iss": "https://example.okta.test/oauth2/default", "jti": "AT.1", "exp": 1_795_393_600_u64, "iat": 1_795_390_000_u64,
    });
    let ping = json!({
        "active": true, "scope": "read", "client_id": "pf", "sub": "alice", "username": "alice", "aud": API,
        "token_type": "Bearer", "exp": 1_795_393_600_u64,
    });
    let fusion = json!({
        "active": true, "applicationId": "app-1", "aud": "app-1", "sub": "u-1", "iss": "acme.com", "jti": "1",
        "email": "alice@example.test", "scope": "openid read", "exp": 1_795_393_600_u64, "iat": 1_795_390_000_u64,
    });
    let pingone = || providers::pingone("https://auth.pingone.test/e/as");
    let federate = || providers::pingfederate("https://ping.example.test");
    let canaille = || providers::canaille("https://id.example.test");
    let curity = || Issuer::new("https://curity.example.test/oauth/v2/oauth-anonymous");
    for (name, issuer, audience, answer, scope, client, expected) in [
        ("Keycloak, user", keycloak as fn() -> Issuer, API, sample("keycloak-introspection"), "read", Some("spa"), "User"),
        ("Keycloak, client", keycloak, API, keycloak_client.clone(), "read", Some("m2m"), "Client"),
        ("Keycloak, client by its host", keycloak, API,
            with(keycloak_client.clone(), json!({ "username": null, "preferred_username": null })), "read", Some("m2m"), "Client"),
        ("Keycloak, client by its name", keycloak, API,
            with(keycloak_client, json!({ "clientHost": null, "preferred_username": null })), "read", Some("m2m"), "Client"),
        ("Hydra, client", hydra, API, sample("hydra-introspection"), "read", Some("c"), "Client"),
        ("Hydra, user", hydra, API, with(sample("hydra-introspection"), json!({ "sub": "alice" })), "read", Some("c"), "User"),
        ("Zitadel, user", zitadel, "344374183645413380", sample("zitadel-introspection"),
            "openid urn:zitadel:iam:org:project:id:344374183645413380:aud", Some("344374183645413381@demo"), "User"),
        ("Zitadel, service account", zitadel, "344374183645413380",
            with(sample("zitadel-introspection"), json!({ "client_id": "ci-bot", "username": "ci-bot", "aud": ["344374183645413380"] })),
            "openid urn:zitadel:iam:org:project:id:344374183645413380:aud", Some("ci-bot"), "Client"),
        ("Okta, user", okta, "api://default", okta_user.clone(), "openid read", Some("0oa3"), "User"),
        ("Okta, client", okta, "api://default", with(okta_user, json!({ "sub": "0oa3", "username": null })), "openid read", Some("0oa3"), "Client"),
        ("PingFederate, user", federate, API, ping.clone(), "read", Some("pf"), "User"),
        ("PingFederate, client", federate, API, with(ping.clone(), json!({ "sub": null, "username": null })), "read", Some("pf"), "Client"),
        ("PingOne, user", pingone, API, ping.clone(), "read", Some("pf"), "User"),
        ("PingOne, client", pingone, API, with(ping, json!({ "sub": null, "username": null })), "read", Some("pf"), "Client"),
        ("FusionAuth, user", fusionauth, "app-1", fusion.clone(), "openid read", Some("app-1"), "User"),
        ("FusionAuth, RFC 7662's name", fusionauth, "app-1", with(fusion.clone(), json!({ "client_id": "app-1", "applicationId": null })),
            "openid read", Some("app-1"), "User"),
        ("FusionAuth, entity", || providers::fusionauth_entities("https://auth.example.test", "acme.com"), "entity-api",
            with(fusion, json!({ "applicationId": null, "aud": "entity-api", "sub": "entity" })), "openid read", Some("entity"), "Client"),
        ("Canaille, client", canaille, "api", sample("canaille-introspection"), "read", Some("m2m"), "Client"),
        ("Canaille, user", canaille, "api", with(sample("canaille-introspection"), json!({ "sub": "alice", "username": "Alice Doe" })), "read", Some("m2m"), "User"),
        ("Curity, user", curity, API, sample("curity-phantom"), "read", Some("m2m"), "User"),
        ("Curity, client", curity, API, with(sample("curity-phantom"), json!({ "sub": "m2m" })), "read", Some("m2m"), "Client"),
    ] {
        oracle.says(&answer);
        let server = oracle.serve(issuer(), audience);
        // The second time, the answer is a remembered one.
        for _ in 0..2 {
            let reply = api(server.layer()).bearer("opaque").await;
            reply.assert_ok(name);
            let known = reply.json();
            assert_eq!(known["scope"], scope, "{name}");
            assert_eq!(known["client_id"], json!(client), "{name}");
            assert_eq!(kind(&reply), expected, "{name}");
            let users = api(server.protect(user())).bearer("opaque").await;
            if expected == "User" { users.assert_ok(name) } else { assert_eq!(users.error.as_ref().map(Error::code), Some("access_denied"), "{name}") }
        }
    }
}

/// The roles of an answer are at the same places as those of a JWT.
#[tokio::test]
async fn an_answer_of_each_vendor_has_its_roles_where_its_jwts_have_them() {
    let oracle = Oracle::new().await;
    let project = "urn:zitadel:iam:org:project:344374183645413380:roles";
    let zitadel_user = with(sample("zitadel-introspection"), json!({ project: { "reader": {} } }));
    let keycloak_client = with(
        sample("keycloak-introspection"),
        json!({ "resource_access": { "api": { "roles": ["writer"] }, "spa": { "roles": ["owner"] } } }),
    );
    let of_api = || keycloak().map_profile(|profile| profile.client_roles("api"));
    let federated = with(sample("hydra-introspection"), json!({ "roles": ["reader"] }));
    let curity = || Issuer::new("https://curity.example.test/oauth/v2/oauth-anonymous");
    let phantom = with(sample("curity-phantom"), json!({ "groups": ["reader"] }));
    for (name, issuer, audience, answer, own, other) in [
        (
            "Keycloak",
            keycloak as fn() -> Issuer,
            API,
            keycloak_client.clone(),
            Some("reader"),
            "writer",
        ),
        ("Keycloak, a client", of_api, API, keycloak_client, Some("writer"), "owner"),
        // `streaming` is a role of the project that the client belongs to, perhaps of another.
        ("Zitadel", zitadel, "344374183645413380", zitadel_user, Some("reader"), "streaming"),
        ("Hydra", hydra, API, federated, None, "reader"),
        ("Curity", curity, API, phantom, Some("reader"), "Reader"),
    ] {
        oracle.says(&answer);
        let server = oracle.serve(issuer(), audience);
        if let Some(own) = own {
            api(server.protect(role(own))).bearer("opaque").await.assert_ok(name);
        }
        let reply = api(server.protect(role(other))).bearer("opaque").await;
        assert_eq!(reply.error.as_ref().map(Error::code), Some("access_denied"), "{name}");
        assert_eq!(reply.status, 403, "{name}");
        assert!(!reply.ran, "{name}");
    }
}

/// Every function that makes an issuer which can introspect, with what its profile asks for by value.
#[rustfmt::skip]
fn providers() -> Vec<(&'static str, Issuer, Value)> {
    let none = || json!({});
    let tenant = "11111111-2222-3333-4444-555555555555";
    vec![
        ("default", Issuer::new("https://as.example.test"), none()),
        ("jwt", Issuer::new("https://as.example.test").profile(Profile::jwt()), none()),
        ("auth0", providers::auth0("tenant.eu.auth0.test").unwrap(), none()),
        ("auth0_rfc9068", providers::auth0_rfc9068("tenant.eu.auth0.test").unwrap(), none()),
        ("canaille", providers::canaille("https://id.example.test"), none()),
        ("cognito", providers::cognito("eu-west-1_ABC123", ["app", API]).unwrap(), json!({ "token_use": "access" })),
        ("cognito_resource_bound", providers::cognito_resource_bound("eu-west-1_ABC123").unwrap(), json!({ "token_use": "access" })),
        ("duende", providers::duende("https://id.example.test"), none()),
        ("entra_b2c", providers::entra_b2c("contoso", tenant, ["B2C_1_signin"]).unwrap(), json!({ "tfp": "B2C_1_signin" })),
        ("entra_v1", providers::entra_v1(tenant).unwrap(), none()),
        ("entra_v2", providers::entra_v2(tenant).unwrap(), none()),
        ("fusionauth", fusionauth(), none()),
        ("fusionauth_entities", providers::fusionauth_entities("https://auth.example.test", "acme.com"), none()),
        ("github_actions", providers::github_actions(["1"]).unwrap(), json!({ "repository_owner_id": "1" })),
        ("gitlab_ci", providers::gitlab_ci("https://gitlab.com", ["1"]).unwrap(), json!({ "namespace_id": "1" })),
        ("google_service_accounts", providers::google_service_accounts(["app", "alice"]).unwrap(), none()),
        ("hydra", hydra(), none()),
        ("keycloak", keycloak(), json!({ "typ": "Bearer" })),
        ("kubernetes", providers::kubernetes("https://kubernetes.default.svc"), json!({ "kubernetes.io": {} })),
        ("lemonldap", providers::lemonldap("https://portal.example.test"), none()),
        ("okta", okta(), none()),
        ("pingfederate", providers::pingfederate("https://ping.example.test"), none()),
        ("pingone", providers::pingone("https://auth.pingone.test/e/as"), none()),
        ("rauthy", providers::rauthy("https://iam.example.test/auth/v1", ["app", API]).unwrap(), json!({ "typ": "Bearer" })),
        ("spring_authorization_server", providers::spring_authorization_server("https://auth.example.test", ["app", API]).unwrap(), json!({ "nbf": 1 })),
        ("wso2", providers::wso2("https://is.example.test/oauth2/token"), none()),
        ("zitadel", zitadel(), json!({ "jti": "1" })),
    ]
}

#[tokio::test]
async fn every_provider_reads_an_answer_by_the_names_of_rfc_7662() {
    let oracle = Oracle::new().await;
    let workloads = [
        "fusionauth_entities",
        "github_actions",
        "gitlab_ci",
        "google_service_accounts",
        "kubernetes",
    ];
    for (name, issuer, required) in providers() {
        let server = oracle.serve(issuer, API);
        let answer = |members: Value| {
            let all = json!({
                "active": true, "sub": "alice", "client_id": "app", "scope": "a b", "token_type": "Bearer",
                "aud": [API, "app"],
            });
            with(with(all, required.clone()), members)
        };
        let ask = async |token: &str, members: Value, users: bool| {
            oracle.says(&answer(members));
            match users {
                true => api(server.protect(user())).bearer(token).await,
                false => api(server.layer()).bearer(token).await,
            }
        };
        let reply = ask("user", json!({}), false).await;
        reply.assert_ok(name);
        assert_eq!(reply.json()["scope"], "a b", "{name}");
        assert_eq!(reply.json()["client_id"], "app", "{name}");
        let users = ask("user", json!({}), true).await;
        if workloads.contains(&name) {
            assert_eq!(
                users.error.as_ref().map(Error::code),
                Some("access_denied"),
                "{name}: it has no users"
            );
        } else {
            users.assert_ok(name);
        }
        let client = ask("client", json!({ "sub": "app" }), true).await;
        assert_eq!(
            client.error.as_ref().map(Error::code),
            Some("access_denied"),
            "{name}: a client"
        );
        // Without the client nothing tells, and what a profile asks for is missing.
        let unnamed = ask("unnamed", json!({ "client_id": null }), true).await;
        assert!([401, 403].contains(&unnamed.status.as_u16()), "{name}: {:?}", unnamed.error);
        let foreign = ask("foreign", json!({ "aud": "https://other.example.test" }), false).await;
        foreign.assert_invalid_token(name);
        let array = ask("array", json!({ "scope": ["a", "b"] }), false).await;
        array.assert_ok(name);
        assert_eq!(array.json()["scope"], "a b", "{name}");
        let number = ask("number", json!({ "scope": 5 }), false).await;
        number.assert_invalid_token(name);
    }
}

#[tokio::test]
async fn the_client_of_an_answer_is_not_sought_under_the_name_of_jwts() {
    let oracle = Oracle::new().await;
    let jwt = || Profile::jwt().client_claim("azp");
    let named = || jwt().answers(AnswerProfile::rfc7662().client_claim("azp"));
    for (name, profile, members, expected) in [
        ("a client", jwt(), json!({ "sub": "svc", "client_id": "svc" }), "Client"),
        ("a user", jwt(), json!({ "sub": "alice", "client_id": "svc" }), "User"),
        ("nobody named", jwt(), json!({ "sub": "alice" }), "Unknown"),
        ("the other name", jwt(), json!({ "sub": "alice", "azp": "svc" }), "Unknown"),
        (
            "the other name, which is the subject",
            jwt(),
            json!({ "sub": "svc", "azp": "svc" }),
            "Client",
        ),
        ("the other name, said so", named(), json!({ "sub": "alice", "azp": "svc" }), "User"),
        (
            "both, said so",
            named(),
            json!({ "sub": "alice", "azp": "x", "client_id": "alice" }),
            "Client",
        ),
        // `client_id` stands in each answer; in a JWT of this server, in a client's own alone.
        (
            "a sign of JWTs",
            jwt().client_if_present("client_id"),
            json!({ "sub": "alice", "client_id": "svc" }),
            "User",
        ),
        (
            "a claim that JWTs have",
            jwt().client_if_absent("scp"),
            json!({ "sub": "alice", "client_id": "svc" }),
            "User",
        ),
        (
            "a sign that is no member of RFC 7662",
            jwt().client_if_present("service"),
            json!({ "sub": "alice", "client_id": "svc", "service": 1 }),
            "Client",
        ),
        (
            "a sign by value",
            jwt().client_if_value("kind", "machine"),
            json!({ "sub": "alice", "client_id": "svc", "kind": "machine" }),
            "Client",
        ),
        (
            "a sign by the subject",
            jwt().client_if_subject_ends("@svc"),
            json!({ "sub": "alice@svc", "client_id": "svc" }),
            "Client",
        ),
        (
            "a sign of answers",
            jwt().answers(AnswerProfile::rfc7662().client_if_present("service")),
            json!({ "sub": "alice", "client_id": "svc", "service": 1 }),
            "Client",
        ),
        (
            "a sign of answers by absence",
            jwt().answers(AnswerProfile::rfc7662().client_if_absent("username")),
            json!({ "sub": "alice", "client_id": "svc" }),
            "Client",
        ),
        (
            "that sign, present",
            jwt().answers(AnswerProfile::rfc7662().client_if_absent("username")),
            json!({ "sub": "alice", "client_id": "svc", "username": "al" }),
            "User",
        ),
        (
            "a sign by the client's name",
            jwt().client_if_value("azp", "svc"),
            json!({ "sub": "alice", "client_id": "svc" }),
            "Client",
        ),
        (
            "another client's name",
            jwt().client_if_value("azp", "svc"),
            json!({ "sub": "alice", "client_id": "app" }),
            "User",
        ),
        // What tells a user admits, so it is said of each format.
        (
            "users of JWTs",
            jwt().user_if_present("email"),
            json!({ "sub": "alice", "email": "a@b.c" }),
            "Unknown",
        ),
        (
            "users of answers",
            jwt().answers(AnswerProfile::rfc7662().user_if_present("email")),
            json!({ "sub": "alice", "email": "a@b.c" }),
            "User",
        ),
        (
            "users of answers, by value",
            jwt().answers(AnswerProfile::rfc7662().user_if_value("kind", "user")),
            json!({ "sub": "alice", "kind": "user" }),
            "User",
        ),
        // Zitadel's service accounts: `sub` is the id of an account.
        (
            "a user name that is the client",
            jwt(),
            json!({ "sub": "3453", "client_id": "ci-bot", "username": "ci-bot" }),
            "Client",
        ),
        (
            "another user name",
            jwt(),
            json!({ "sub": "3453", "client_id": "ci-bot", "username": "alice" }),
            "User",
        ),
        (
            "a user's sign on a client",
            jwt().answers(AnswerProfile::rfc7662().user_if_present("email")),
            json!({ "sub": "svc", "client_id": "svc", "email": "a@b.c" }),
            "Client",
        ),
    ] {
        let server = oracle.serve(Issuer::new("https://as.example.test").profile(profile), API);
        oracle.says(&with(json!({ "active": true, "aud": API }), members));
        let reply = api(server.layer()).bearer("opaque").await;
        reply.assert_ok(name);
        assert_eq!(kind(&reply), expected, "{name}");
        let users = api(server.protect(user())).bearer("opaque").await;
        match expected {
            "User" => users.assert_ok(name),
            _ => assert_eq!(users.status, 403, "{name}"),
        }
    }
}

#[tokio::test]
async fn scope_audience_and_required_claims_of_an_answer_have_the_names_of_rfc_7662() {
    let oracle = Oracle::new().await;
    let other = "https://other.example.test";
    let scp = || Profile::jwt().scope_array_claim("scp");
    let said = |answers: AnswerProfile| scp().answers(answers);
    let resource = || Profile::jwt().audience_claim("resource");
    let azp = || Profile::jwt().client_claim("azp");
    for (name, profile, members, expected) in [
        ("scope", scp(), json!({ "scope": "a" }), Some("a")),
        ("scope and the other", scp(), json!({ "scope": "a", "scp": ["b"] }), Some("a")),
        ("the other alone", scp(), json!({ "scp": ["b"] }), Some("")),
        (
            "the other alone, said so",
            said(AnswerProfile::rfc7662().scope_array_claim("scp")),
            json!({ "scp": ["b"] }),
            Some("b"),
        ),
        (
            "as text, said so",
            said(AnswerProfile::rfc7662().scope_claim("scp")),
            json!({ "scp": "b c" }),
            Some("b c"),
        ),
        (
            "scope first, said so",
            said(AnswerProfile::rfc7662().scope_claim("scp")),
            json!({ "scope": "a", "scp": "b" }),
            Some("a"),
        ),
        (
            "a scope of nothing, said so",
            said(AnswerProfile::rfc7662().scope_claim("scp")),
            json!({ "scope": "", "scp": "b" }),
            Some(""),
        ),
        (
            "text where an array was said",
            said(AnswerProfile::rfc7662().scope_array_claim("scp")),
            json!({ "scp": "b" }),
            Some("b"),
        ),
        (
            "an array where text was said",
            said(AnswerProfile::rfc7662().scope_claim("scp")),
            json!({ "scp": ["b", "c"] }),
            Some("b c"),
        ),
        (
            "an array of the RFC's name, said so",
            said(AnswerProfile::rfc7662().scope_array_claim("scope")),
            json!({ "scope": ["a", "b"] }),
            Some("a b"),
        ),
        ("an array", Profile::rfc9068(), json!({ "scope": ["a", "b"] }), Some("a b")),
        ("an array of one word with a space", scp(), json!({ "scope": ["a b"] }), None),
        ("an array of arrays", scp(), json!({ "scope": [["a"]] }), None),
        ("an object", scp(), json!({ "scope": { "a": true } }), None),
        ("aud", resource(), json!({}), Some("")),
        ("aud and the other", resource(), json!({ "resource": API }), Some("")),
        ("aud, and the other foreign", resource(), json!({ "resource": other }), None),
        ("the other in its place", resource(), json!({ "aud": null, "resource": API }), Some("")),
        ("the other, and aud foreign", resource(), json!({ "aud": other, "resource": API }), None),
        ("neither", resource(), json!({ "aud": null }), None),
        ("a required client", azp().require_claim("azp"), json!({ "client_id": "app" }), Some("")),
        (
            "a required client, its JWT name",
            azp().require_claim("azp"),
            json!({ "azp": "app" }),
            Some(""),
        ),
        ("a required client, none", azp().require_claim("azp"), json!({}), None),
        ("a required client, no text", azp().require_claim("azp"), json!({ "client_id": 5 }), None),
        ("a required claim", azp().require_claim("plan"), json!({ "client_id": "app" }), None),
        ("that client", azp().require_value("azp", "app"), json!({ "client_id": "app" }), Some("")),
        ("another client", azp().require_value("azp", "app"), json!({ "client_id": "x" }), None),
        (
            "another client, that by its JWT name",
            azp().require_value("azp", "app"),
            json!({ "client_id": "x", "azp": "app" }),
            None,
        ),
        (
            "that client, another by its JWT name",
            azp().require_value("azp", "app"),
            json!({ "client_id": "app", "azp": "x" }),
            None,
        ),
        (
            "that client by its JWT name",
            azp().require_value("azp", "app"),
            json!({ "azp": "app" }),
            Some(""),
        ),
        ("no client", azp().require_value("azp", "app"), json!({}), None),
        ("a required value", azp().require_value("plan", "a"), json!({ "plan": "a" }), Some("")),
        ("another value", azp().require_value("plan", "a"), json!({ "plan": "b" }), None),
    ] {
        let server = oracle.serve(Issuer::new("https://as.example.test").profile(profile), API);
        oracle.says(&with(json!({ "active": true, "sub": "alice", "aud": API }), members));
        let reply = api(server.layer()).bearer("opaque").await;
        match expected {
            Some(scope) => {
                reply.assert_ok(name);
                assert_eq!(reply.json()["scope"], scope, "{name}");
            }
            None => reply.assert_invalid_token(name),
        }
    }
}

/// A server that validates JWTs by `profile` and asks about them, too.
async fn both(profile: Profile) -> World {
    let (clock, issuer) = super::start().await;
    let trusted = Issuer::new(issuer.url())
        .profile(profile)
        .introspection(Introspection::new(secret()).also_for_jwts());
    let server = super::serve(trusted, &clock);
    World { clock, issuer, server }
}

#[tokio::test]
async fn an_answer_narrows_the_scope_of_a_jwt_that_has_it_under_another_name() {
    let text = || (Profile::jwt().scope_claim("scp"), json!("a b"));
    let array = || (Profile::jwt().scope_array_claim("scp"), json!(["a", "b"]));
    for (name, (profile, own), said, expected) in [
        ("text, less", text(), json!({ "scope": "a" }), "a"),
        ("array, less", array(), json!({ "scope": "a" }), "a"),
        ("more", text(), json!({ "scope": "a b c" }), "a b"),
        ("nothing", text(), json!({ "scope": "" }), ""),
        ("silent", text(), json!({}), "a b"),
        ("less by the same name", text(), json!({ "scp": "a" }), "a"),
        ("less by the same name, an array", array(), json!({ "scp": ["a"] }), "a"),
        ("less by the same name, another shape", text(), json!({ "scp": ["b"] }), "b"),
        ("less by each name", text(), json!({ "scope": "a", "scp": "b" }), ""),
        (
            "more by one name, less by the other",
            text(),
            json!({ "scope": "a b c", "scp": "b" }),
            "b",
        ),
    ] {
        let world = both(profile).await;
        world.says(said);
        let token = world.issuer.token().without("scope").claim("scp", own).sign();
        let reply = world.bearer(&token).await;
        reply.assert_ok(name);
        assert_eq!(reply.json()["scope"], expected, "{name}");
        let b = api(world.server.protect(scope("b"))).bearer(&token).await;
        if expected.contains('b') {
            b.assert_ok(name)
        } else {
            b.assert_insufficient_scope(name, "b")
        }
    }
    // Of a JWT it is an array, of an answer a text, under one name.
    let world = both(Profile::jwt().scope_array_claim("scope")).await;
    world.says(json!({ "scope": "a" }));
    let token = world.issuer.token().claim("scope", json!(["a", "b"])).sign();
    let reply = world.bearer(&token).await;
    reply.assert_ok("one name");
    assert_eq!(reply.json()["scope"], "a");

    let world = both(Profile::jwt().scope_claim("scp")).await;
    world.says(json!({ "scp": 5 }));
    let token = world.issuer.token().without("scope").claim("scp", "a b").sign();
    world.bearer(&token).await.assert_invalid_token("no scope of any shape");
}

#[tokio::test]
async fn an_answer_that_names_another_client_than_the_jwt_contradicts_it() {
    let contradicted = Some(Error::ContradictedByIntrospection { claim: "client_id" });
    for (name, said, good) in [
        ("the same", json!({ "client_id": "app" }), true),
        ("silent", json!({}), true),
        ("null", json!({ "client_id": null }), true),
        ("the same by each name", json!({ "client_id": "app", "azp": "app" }), true),
        ("another", json!({ "client_id": "y" }), false),
        ("another by the JWT's name", json!({ "azp": "y" }), false),
        ("the same, another by the JWT's name", json!({ "client_id": "app", "azp": "y" }), false),
        ("no text", json!({ "client_id": ["app"] }), false),
    ] {
        let world = both(Profile::jwt().client_claim("azp")).await;
        world.says(said);
        let token = world.issuer.token().without("client_id").claim("azp", "app").sign();
        let reply = world.bearer(&token).await;
        if good {
            reply.assert_ok(name);
            assert_eq!(reply.json()["client_id"], "app", "{name}");
        } else {
            reply.assert_invalid_token(name);
            assert_eq!(reply.error, contradicted, "{name}");
        }
    }
}

/// A server that names the client in `aud` (Spring Authorization Server) writes it as text into a JWT
/// and as an array into an answer.
#[tokio::test]
async fn a_client_that_is_the_audience_is_the_same_client_in_an_answer() {
    let contradicted = Some(Error::ContradictedByIntrospection { claim: "client_id" });
    for (name, said, good) in [
        ("as text", json!({ "aud": AUDIENCE }), true),
        ("as an array", json!({ "aud": [AUDIENCE] }), true),
        ("by both names", json!({ "aud": [AUDIENCE], "client_id": AUDIENCE }), true),
        ("and another", json!({ "aud": [AUDIENCE, "y"] }), false),
        ("another by the RFC's name", json!({ "aud": [AUDIENCE], "client_id": "y" }), false),
        ("an array by the RFC's name", json!({ "client_id": [AUDIENCE] }), false),
    ] {
        let world = both(Profile::jwt().client_claim("aud")).await;
        world.says(said);
        let token = world.issuer.token().without("client_id").sign();
        let reply = world.bearer(&token).await;
        if good {
            reply.assert_ok(name);
            assert_eq!(reply.json()["client_id"], AUDIENCE, "{name}");
        } else {
            reply.assert_invalid_token(name);
            assert_eq!(reply.error, contradicted, "{name}");
        }
    }
}

/// The profile reads no `azp`; the token names its client there all the same.
#[tokio::test]
async fn a_client_that_the_profile_does_not_read_is_contradicted_too() {
    for (name, said, good) in [("the same", "app", true), ("another", "y", false)] {
        let world = both(Profile::jwt()).await;
        world.says(json!({ "client_id": said }));
        let token = world.issuer.token().without("client_id").claim("azp", "app").sign();
        let reply = world.bearer(&token).await;
        if good { reply.assert_ok(name) } else { reply.assert_invalid_token(name) }
    }
}

#[tokio::test]
async fn an_answer_makes_a_client_of_a_jwts_user_and_never_a_user_of_anything() {
    let azp = || Profile::jwt().client_claim("azp");
    for (name, profile, claims, said, expected) in [
        ("user", azp(), json!({ "azp": "app" }), json!({}), "User"),
        (
            "user, and both say so",
            azp(),
            json!({ "azp": "app" }),
            json!({ "client_id": "app", "username": "al" }),
            "User",
        ),
        (
            "a client by the answer's sign",
            azp(),
            json!({ "azp": "app" }),
            json!({ "aut": "APPLICATION" }),
            "Client",
        ),
        (
            "a client by its name",
            azp(),
            json!({ "azp": "app" }),
            json!({ "username": "service-account-app" }),
            "Client",
        ),
        (
            "a sign that the profile names",
            azp().client_if_value("kind", "machine"),
            json!({ "azp": "app" }),
            json!({ "kind": "machine" }),
            "Client",
        ),
        (
            "another value of it",
            azp().client_if_value("kind", "machine"),
            json!({ "azp": "app" }),
            json!({ "kind": "user" }),
            "User",
        ),
        (
            "what an answer lacks is no sign",
            azp().answers(AnswerProfile::rfc7662().client_if_absent("username")),
            json!({ "azp": "app" }),
            json!({}),
            "User",
        ),
        ("unknown", azp(), json!({}), json!({}), "Unknown"),
        (
            "unknown, and the answer names a client",
            azp(),
            json!({}),
            json!({ "client_id": "app" }),
            "Unknown",
        ),
        (
            "unknown, and the answer names the subject",
            azp(),
            json!({}),
            json!({ "client_id": "alice" }),
            "Client",
        ),
        (
            "unknown, and the answer has a user's sign",
            azp().answers(AnswerProfile::rfc7662().user_if_present("email")),
            json!({}),
            json!({ "email": "a@b.c" }),
            "Unknown",
        ),
        ("a client", azp(), json!({ "azp": "alice" }), json!({ "email": "a@b.c" }), "Client"),
    ] {
        let world = both(profile).await;
        world.says(said);
        let token = world.issuer.token().subject("alice").without("client_id");
        let token = claims
            .as_object()
            .unwrap()
            .iter()
            .fold(token, |token, (name, value)| token.claim(name, value.clone()));
        let reply = world.bearer(&token.sign()).await;
        reply.assert_ok(name);
        assert_eq!(kind(&reply), expected, "{name}");
    }
}
