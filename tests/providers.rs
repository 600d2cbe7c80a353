//! What vendors' authorization servers send (`samples/`), signed by the test issuer under the
//! vendor's name, against the profile that is meant for it: the sample passes, and its neighbours
//! with one thing changed do not.

#[path = "providers/roles.rs"]
mod roles;
#[path = "support/mod.rs"]
mod support;

use std::sync::OnceLock;

use serde_json::{Map, Value, json};
use tower_resource_server::clock::TestClock;
use tower_resource_server::keys::Algorithm;
use tower_resource_server::policy::user;
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::{Error, Issuer, Profile, ResourceServer, providers};

use support::*;

/// Ten seconds after the samples' `iat`.
const NOW: u64 = 1_795_390_010;

const API: &str = "https://api.example.test";
const TENANT: &str = "11111111-2222-3333-4444-555555555555";
const ENTRA_API: &str = "0f0f0f0f-1111-2222-3333-444444444444";
const FUSIONAUTH_APP: &str = "85a03867-dccf-4882-adde-1a79aeec50df";
const GOOGLE_ACCOUNT: &str = "112233445566778899001";

/// One issuer signs for all vendors: making an RSA key is slow.
fn signer() -> &'static TestIssuer {
    static SIGNER: OnceLock<TestIssuer> = OnceLock::new();
    SIGNER.get_or_init(|| {
        let issuer = TestIssuer::builder().algorithm(Algorithm::RS256).in_process(ISSUER);
        issuer.add_key(Algorithm::ES256);
        issuer.add_key(Algorithm::ES384);
        issuer.add_key(Algorithm::Ed25519);
        issuer
    })
}

/// A token as its vendor would write it.
#[derive(Clone)]
struct Sample {
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

impl Sample {
    fn read(name: &str) -> Self {
        let document = document(name);
        let member = |name: &str| document[name].as_object().unwrap().clone();
        Self { header: member("header"), claims: member("claims") }
    }

    fn with(mut self, claim: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(claim.to_owned(), value.into());
        self
    }

    fn without(mut self, claim: &str) -> Self {
        assert!(self.claims.remove(claim).is_some(), "{claim}");
        self
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.header.insert(name.to_owned(), json!(value));
        self
    }

    /// The key of the signer that does this sample's algorithm.
    fn jwk(&self) -> Value {
        let jwks: Value = serde_json::from_str(&signer().jwks()).unwrap();
        let keys = jwks["keys"].as_array().unwrap();
        // Servers write the older name of Ed25519 (RFC 9864 §3.1).
        let alg = if self.header["alg"] == "EdDSA" {
            "Ed25519"
        } else {
            self.header["alg"].as_str().unwrap()
        };
        keys.iter().find(|key| key["alg"] == alg).unwrap().clone()
    }

    /// The vendor's key set.
    fn jwks(&self) -> String {
        let mut jwk = self.jwk();
        jwk["kid"] = self.header["kid"].clone();
        json!({ "keys": [jwk] }).to_string()
    }

    fn sign(&self) -> String {
        let token = signer()
            .token()
            .key(self.jwk()["kid"].as_str().unwrap())
            .raw_header(&Value::Object(self.header.clone()).to_string())
            .raw_payload(Value::Object(self.claims.clone()).to_string());
        token.sign()
    }

    /// The answer of a server that trusts `issuer`, with the vendor's keys, for `audience`.
    async fn ask(&self, issuer: Issuer, audience: &str) -> Reply {
        let server = server_for(issuer.jwks(self.jwks()), audience);
        api(server.layer()).bearer(&self.sign()).await
    }
}

fn document(name: &str) -> Value {
    let path = format!("{}/tests/samples/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn server_for(issuer: Issuer, audience: &str) -> ResourceServer {
    let builder = ResourceServer::builder().issuer(issuer).audience(audience);
    builder.clock(TestClock::at(NOW)).build().unwrap()
}

fn auth0() -> Issuer {
    providers::auth0("tenant.eu.auth0.test").unwrap()
}

fn okta() -> Issuer {
    providers::okta("https://example.okta.test/oauth2/default").unwrap()
}

fn cognito() -> Issuer {
    providers::cognito("eu-west-1_ABC123", ["another", "1example23456789"]).unwrap()
}

fn entra_v1() -> Issuer {
    providers::entra_v1(TENANT).unwrap()
}

fn entra_v2() -> Issuer {
    providers::entra_v2(TENANT).unwrap()
}

fn entra_v2_customers() -> Issuer {
    providers::entra_v2_multitenant(|tenant| tenant == TENANT)
}

fn github() -> Issuer {
    providers::github_actions(["1", "2020"]).unwrap()
}

fn gitlab() -> Issuer {
    providers::gitlab_ci("https://gitlab.com", ["72"]).unwrap()
}

fn google() -> Issuer {
    providers::google_service_accounts([GOOGLE_ACCOUNT]).unwrap()
}

fn fusionauth() -> Issuer {
    providers::fusionauth("https://auth.example.test", "acme.com")
}

fn entra_b2c() -> Issuer {
    providers::entra_b2c("contoso", TENANT, ["B2C_1_signin"]).unwrap()
}

fn duende() -> Issuer {
    providers::duende("https://id.example.test")
}

fn spring() -> Issuer {
    let clients = ["another", "web-client", "m2m"];
    providers::spring_authorization_server("https://auth.example.test", clients).unwrap()
}

fn rauthy() -> Issuer {
    providers::rauthy("https://iam.example.test/auth/v1", ["spa", "m2m"]).unwrap()
}

fn wso2() -> Issuer {
    providers::wso2("https://is.example.test/oauth2/token")
}

fn lemonldap() -> Issuer {
    providers::lemonldap("https://portal.example.test")
}

/// A sample, who takes it, and what a handler then knows.
struct Row {
    sample: &'static str,
    issuer: fn() -> Issuer,
    audience: &'static str,
    scope: &'static str,
    client: Option<&'static str>,
    subject: Option<&'static str>,
    is_user: bool,
}

#[rustfmt::skip]
fn rows() -> Vec<Row> {
    let row = |sample, issuer, audience, scope, client, subject, is_user| Row {
        sample, issuer, audience, scope, client, subject, is_user,
    };
    vec![
        row("keycloak-user", || providers::keycloak("https://sso.example.test/realms/demo"), API,
            "openid profile email read", Some("spa"), Some("f3a5c0de-1111-4222-8333-444455556666"), true),
        row("keycloak-client-credentials", || providers::keycloak("https://sso.example.test/realms/demo"), "account",
            "profile email", Some("m2m"), Some("5bd4b7ae-9f0b-4b50-9a4e-0b2b5c2f7a10"), false),
        row("entra-v1-delegated", entra_v1, "api://0f0f0f0f-1111-2222-3333-444444444444",
            "Files.Read read", Some("aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb"), Some("AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ"), true),
        row("entra-v2-delegated", entra_v2, ENTRA_API,
            "read", Some("aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb"), Some("sub-pairwise"), true),
        row("entra-v2-app", entra_v2, ENTRA_API,
            "", Some("aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb"), Some("77777777-8888-7777-6666-555555555555"), false),
        row("entra-v2-app", entra_v2_customers, ENTRA_API,
            "", Some("aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb"), Some("77777777-8888-7777-6666-555555555555"), false),
        row("auth0-user", auth0, API,
            "openid profile read", Some("my_client_id"), Some("auth0|123456"), true),
        row("auth0-m2m", auth0, API,
            "read", Some("K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja"), Some("K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja@clients"), false),
        row("auth0-rfc9068", || providers::auth0_rfc9068("tenant.eu.auth0.test").unwrap(), API,
            "openid profile read", Some("my_client_id"), Some("auth0|123456"), true),
        row("okta-user", okta, "api://default",
            "openid read", Some("0oa3wuq8smhwCciv41d2"), Some("alice@example.test"), true),
        row("okta-m2m", okta, "api://default", "read", Some("0oa1"), Some("0oa1"), false),
        // The server's audience plays no part: the issuer brings its own.
        row("cognito-user", cognito, API,
            "openid profile https://api.example.test/read", Some("1example23456789"), Some("aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"), true),
        row("zitadel-user-roles", || providers::zitadel("https://demo.zitadel.test"), "344374183645413380",
            "", Some("344374183645413381@demo"), Some("345377791925026818"), true),
        row("hydra-jwt", || providers::hydra("https://hydra.example.test/"), API,
            "read offline", Some("5c0a1a0e-0000-4000-8000-000000000001"), Some("alice"), true),
        row("fusionauth-user", fusionauth, FUSIONAUTH_APP,
            "openid read", Some(FUSIONAUTH_APP), Some("00000000-0000-0001-0000-000000000000"), true),
        row("pingone-m2m", || providers::pingone("https://auth.pingone.test/00000000-0000-0000-0000-00000000000e/as"), API,
            "read", Some("9b1c"), None, false),
        row("entra-b2c", entra_b2c, ENTRA_API,
            "read", Some("aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb"), Some("884408e1-2918-4ce0-b12d-3aa027d7563b"), true),
        row("duende-user", duende, API, "openid read", Some("spa"), Some("88421113"), true),
        row("duende-m2m", duende, API, "read", Some("m2m"), None, false),
        // Of the next two servers, too, the issuer brings its own audiences.
        row("spring-user", spring, API, "openid read", Some("web-client"), Some("alice"), true),
        row("spring-m2m", spring, API, "read", Some("m2m"), Some("m2m"), false),
        row("rauthy-user", rauthy, API, "openid read", Some("spa"), Some("d9XzP0"), true),
        row("rauthy-m2m", rauthy, API, "read", Some("m2m"), None, false),
        row("wso2-user", wso2, API,
            "read", Some("YxVcAzqM5OB_foN9VWMTDF8YcfIa"), Some("f3a5c0de-1111-4222-8333-444455556666"), true),
        row("wso2-m2m", wso2, API, "read", Some("YxVcAzqM5OB_foN9VWMTDF8YcfIa"), Some("77a1c0de-1111-4222-8333-444455556666"), false),
        row("lemonldap-user", lemonldap, API, "openid read", Some("spa"), Some("dwho"), true),
        row("lemonldap-m2m", lemonldap, API, "read", Some("m2m"), Some("m2m"), false),
        row("github-actions", github, API,
            "", Some("repo:demo-org/demo-repo:ref:refs/heads/main"), Some("repo:demo-org/demo-repo:ref:refs/heads/main"), false),
        row("gitlab-ci", gitlab, API,
            "", Some("project_path:group/proj:ref_type:branch:ref:main"), Some("project_path:group/proj:ref_type:branch:ref:main"), false),
        row("kubernetes-bound", || providers::kubernetes("https://kubernetes.default.svc"), API,
            "", Some("system:serviceaccount:default:my-serviceaccount"), Some("system:serviceaccount:default:my-serviceaccount"), false),
        row("google-service-account-id-token", google, API,
            "", Some(GOOGLE_ACCOUNT), Some(GOOGLE_ACCOUNT), false),

        // Servers without a function of their own, by a profile's methods.
        // The metadata names another issuer than the tokens, which is no https URL: an alias.
        row("adfs", || Issuer::new("https://adfs.example.test/adfs")
                .alias("http://adfs.example.test/adfs/services/trust")
                .profile(Profile::jwt().scope_claim("scp").client_claim("appid")),
            "microsoft:identityserver:0f0f0f0f-1111-2222-3333-444444444444",
            "openid read", Some("aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb"), None, false),
        row("authentik-user", || Issuer::new("https://id.example.test/application/o/api/")
                .profile(Profile::jwt().client_claim("azp")),
            "client-abc", "openid read", Some("client-abc"), Some("5c1e"), true),
        row("kinde", || Issuer::new("https://demo.kinde.test")
                .profile(Profile::jwt().scope_array_claim("scp").client_claim("azp")),
            API, "read", Some("m2m"), None, false),
        row("supabase", || Issuer::new("https://ref.supabase.test/auth/v1")
                .profile(Profile::jwt().require_value("role", "authenticated").user_if_value("role", "authenticated")),
            "authenticated", "", None, Some("u-1"), true),
        row("kanidm", || Issuer::new("https://idm.example.test/oauth2/openid/api"), "api",
            "openid read", Some("api"), Some("e0c9"), true),
        row("logto", || Issuer::new("https://demo.logto.test/oidc"), API,
            "read", Some("m2m"), Some("m2m"), false),
        row("openiddict-unencrypted", || Issuer::new("https://oi.example.test/"), API,
            "read", Some("m2m"), Some("m2m"), false),
    ]
}

#[tokio::test]
async fn every_sample_passes_and_says_who_acts() {
    for row in rows() {
        let name = row.sample;
        let sample = Sample::read(name);
        let reply = sample.ask((row.issuer)(), row.audience).await;
        reply.assert_ok(name);
        let known = reply.json();
        assert_eq!(known["scope"], row.scope, "{name}");
        assert_eq!(known["client_id"], json!(row.client), "{name}");
        assert_eq!(known["sub"], json!(row.subject), "{name}");

        let server = server_for((row.issuer)().jwks(sample.jwks()), row.audience);
        let users = api(server.protect(user())).bearer(&sample.sign()).await;
        if row.is_user {
            users.assert_ok(name);
        } else {
            assert_eq!(users.error.as_ref().map(Error::code), Some("access_denied"), "{name}");
        }
    }
}

#[tokio::test]
async fn no_sample_passes_for_another_audience_issuer_kind_or_time() {
    for row in rows() {
        let name = row.sample;
        let sample = Sample::read(name);
        let refused = async |sample: Sample, what: &str| {
            let reply = sample.ask((row.issuer)(), row.audience).await;
            reply.assert_invalid_token(&format!("{name}: {what}"));
            reply.error.unwrap()
        };

        let own = if name.starts_with("cognito") { "client_id" } else { "aud" };
        let foreign = refused(sample.clone().with(own, "https://other.example.test"), "aud").await;
        match own {
            "aud" => assert!(matches!(foreign, Error::ForeignAudience { .. }), "{name}: {foreign}"),
            // The log names the claim and does not quote it.
            _ => assert_eq!(foreign, Error::UnacceptedValue { claim: own.into() }, "{name}"),
        }
        let none = refused(sample.clone().without(own), "no aud").await;
        assert_eq!(none, Error::MissingClaim { claim: own.into() }, "{name}");

        let slashed = match sample.claims["iss"].as_str().unwrap() {
            iss if iss.ends_with('/') => iss.trim_end_matches('/').to_owned(),
            iss => format!("{iss}/"),
        };
        let untrusted = refused(sample.clone().with("iss", slashed), "iss by a slash").await;
        assert!(matches!(untrusted, Error::UntrustedIssuer { .. }), "{name}: {untrusted:?}");

        for typ in ["logout+jwt", "dpop+jwt", "secevent+jwt", "id_token+jwt"] {
            let other = refused(sample.clone().header("typ", typ), typ).await;
            assert!(matches!(other, Error::UnexpectedType { .. }), "{name}: {other:?}");
        }
        let expired = refused(sample.clone().with("exp", NOW - 61), "expired").await;
        assert!(matches!(expired, Error::Expired { .. }), "{name}: {expired:?}");
    }
}

#[tokio::test]
async fn without_its_function_only_a_sample_by_rfc_9068_passes() {
    let strict =
        ["auth0-rfc9068", "kanidm", "logto", "openiddict-unencrypted", "wso2-user", "wso2-m2m"];
    for row in rows() {
        let sample = Sample::read(row.sample);
        let issuer = Issuer::new("https://as.example.com")
            .alias(sample.claims["iss"].as_str().unwrap())
            .audience(row.audience);
        let reply = sample.ask(issuer, row.audience).await;
        if row.sample.starts_with("duende") {
            // Its type is that of RFC 9068, its claims are not: see the test of its own.
            continue;
        }
        if strict.contains(&row.sample) {
            reply.assert_ok(row.sample);
        } else {
            reply.assert_invalid_token(row.sample);
            assert!(matches!(reply.error, Some(Error::UnexpectedType { .. })), "{:?}", reply.error);
        }
    }
}

/// What a wrong neighbour of a sample is refused for.
enum Refused {
    Missing(&'static str),
    Value(&'static str),
    Kind,
    Audience,
}

#[tokio::test]
async fn other_tokens_of_the_same_server_are_refused() {
    use Refused::{Audience, Kind, Missing, Value};
    let id = |name: &str| Sample::read(name);
    let rows = rows();
    for (name, of, sample, expected) in [
        ("ID token", "keycloak-user", id("keycloak-user").with("typ", "ID"), Value("typ")),
        (
            "refresh token",
            "keycloak-user",
            id("keycloak-user").with("typ", "Refresh"),
            Value("typ"),
        ),
        ("no claim typ", "keycloak-user", id("keycloak-user").without("typ"), Missing("typ")),
        (
            "no audience mapper",
            "keycloak-user",
            id("keycloak-user").with("aud", "account"),
            Audience,
        ),
        (
            "ID token of the API's own registration",
            "entra-v2-delegated",
            id("entra-v2-delegated").without("azp").without("scp"),
            Missing("azp"),
        ),
        (
            "the same with a nonce",
            "entra-v2-delegated",
            id("entra-v2-delegated").with("nonce", "n"),
            Kind,
        ),
        (
            "ID token",
            "entra-v1-delegated",
            id("entra-v1-delegated").without("appid").without("scp"),
            Missing("appid"),
        ),
        (
            "ID token, whose aud is the client",
            "auth0-user",
            id("auth0-user").with("aud", "my_client_id"),
            Audience,
        ),
        ("with the hash of one", "auth0-user", id("auth0-user").with("at_hash", "h"), Kind),
        ("ID token", "okta-user", id("okta-user").without("cid"), Missing("cid")),
        (
            "ID token",
            "cognito-user",
            id("cognito-user")
                .without("client_id")
                .with("aud", "1example23456789")
                .with("token_use", "id"),
            Missing("client_id"),
        ),
        (
            "ID token with a client_id",
            "cognito-user",
            id("cognito-user").with("token_use", "id"),
            Value("token_use"),
        ),
        (
            "no token_use",
            "cognito-user",
            id("cognito-user").without("token_use"),
            Missing("token_use"),
        ),
        (
            "ID token for the project",
            "zitadel-user-roles",
            id("zitadel-user-roles").without("jti"),
            Missing("jti"),
        ),
        ("no audience asked for", "hydra-jwt", id("hydra-jwt-no-audience"), Audience),
        ("ID token", "hydra-jwt", id("hydra-jwt").without("client_id"), Missing("client_id")),
        (
            "ID token",
            "fusionauth-user",
            id("fusionauth-user").without("applicationId"),
            Missing("applicationId"),
        ),
        ("ID token", "pingone-m2m", id("pingone-m2m").without("client_id"), Missing("client_id")),
        (
            "repository of another owner",
            "github-actions",
            id("github-actions").with("repository_owner_id", "202"),
            Value("repository_owner_id"),
        ),
        (
            "no owner",
            "github-actions",
            id("github-actions").without("repository_owner_id"),
            Missing("repository_owner_id"),
        ),
        (
            "project of another group",
            "gitlab-ci",
            id("gitlab-ci").with("namespace_id", "720"),
            Value("namespace_id"),
        ),
        (
            "token of a user",
            "gitlab-ci",
            id("gitlab-ci").without("namespace_id"),
            Missing("namespace_id"),
        ),
        (
            "token of another kind of subject",
            "kubernetes-bound",
            id("kubernetes-bound").without("kubernetes.io"),
            Missing("kubernetes.io"),
        ),
        (
            "another project's service account",
            "google-service-account-id-token",
            id("google-service-account-id-token").with("sub", "112233445566778899002"),
            Value("sub"),
        ),
        (
            "a user's ID token",
            "google-service-account-id-token",
            id("google-service-account-id-token").with("aud", "1234.apps.googleusercontent.com"),
            Audience,
        ),
        ("ID token", "entra-b2c", id("entra-b2c").without("azp").without("scp"), Missing("azp")),
        ("ID token with azp", "entra-b2c", id("entra-b2c").without("scp"), Missing("scp")),
        ("another policy", "entra-b2c", id("entra-b2c").with("tfp", "B2C_1_signup"), Value("tfp")),
        ("no policy", "entra-b2c", id("entra-b2c").without("tfp"), Missing("tfp")),
        ("ID token", "spring-user", id("spring-user").without("nbf"), Missing("nbf")),
        ("of another client", "spring-user", id("spring-user").with("aud", "other"), Audience),
        ("ID token", "rauthy-user", id("rauthy-user").with("typ", "Id"), Value("typ")),
        ("refresh token", "rauthy-user", id("rauthy-user").with("typ", "Refresh"), Value("typ")),
        ("no claim typ", "rauthy-user", id("rauthy-user").without("typ"), Missing("typ")),
        ("of another client", "rauthy-user", id("rauthy-user").with("aud", "other"), Audience),
        (
            "ID token",
            "lemonldap-user",
            id("lemonldap-user").without("client_id"),
            Missing("client_id"),
        ),
        ("anonymous role", "supabase", id("supabase").with("role", "anon"), Value("role")),
    ] {
        let row = rows.iter().find(|row| row.sample == of).unwrap();
        let reply = sample.ask((row.issuer)(), row.audience).await;
        reply.assert_invalid_token(&format!("{of}: {name}"));
        let error = reply.error.unwrap();
        let as_expected = match expected {
            Missing(claim) => error == Error::MissingClaim { claim: claim.into() },
            Value(claim) => error == Error::UnacceptedValue { claim: claim.into() },
            Kind => matches!(error, Error::AnotherKind { .. }),
            Audience => matches!(error, Error::ForeignAudience { .. }),
        };
        assert!(as_expected, "{of}: {name}: {error:?}");
    }
}

#[tokio::test]
async fn googles_two_spellings_are_one_issuer() {
    let sample = Sample::read("google-service-account-id-token");
    for (iss, good) in [
        ("https://accounts.google.com", true),
        ("accounts.google.com", true),
        ("http://accounts.google.com", false),
        ("https://accounts.google.com.example.test", false),
    ] {
        let reply = sample.clone().with("iss", iss).ask(google(), API).await;
        if good {
            reply.assert_ok(iss);
            assert_eq!(reply.json()["iss"], "https://accounts.google.com");
        } else {
            reply.assert_invalid_token(iss);
        }
    }
}

#[tokio::test]
async fn a_ping_federate_token_passes_once_its_manager_names_issuer_and_audience() {
    let ping = || providers::pingfederate("https://ping.example.test");
    let bare = Sample::read("pingfederate");
    let named = bare.clone().with("iss", "https://ping.example.test");
    for (name, sample, missing) in [
        ("as it comes", bare, Some("iss")),
        ("issuer alone", named.clone(), Some("aud")),
        ("both", named.clone().with("aud", API), None),
        ("both, no client", named.with("aud", API).without("client_id"), Some("client_id")),
    ] {
        let reply = sample.ask(ping(), API).await;
        match missing {
            None => {
                reply.assert_ok(name);
                assert_eq!(reply.json()["scope"], "read");
            }
            Some(claim) => {
                reply.assert_invalid_token(name);
                assert_eq!(reply.error, Some(Error::MissingClaim { claim: claim.into() }));
            }
        }
    }
}

#[tokio::test]
async fn a_cognito_token_bound_to_a_resource_is_for_that_resource() {
    let bound = || providers::cognito_resource_bound("eu-west-1_ABC123").unwrap();
    let sample = Sample::read("cognito-user").with("aud", API);
    for (name, sample, good) in [
        ("bound", sample.clone(), true),
        ("of another client", sample.clone().with("client_id", "other"), true),
        ("bound to another API", sample.clone().with("aud", "https://other.example.test"), false),
        ("unbound", sample.clone().without("aud"), false),
        ("ID token", sample.clone().with("token_use", "id"), false),
        ("no token_use", sample.without("token_use"), false),
    ] {
        let reply = sample.ask(bound(), API).await;
        if good {
            reply.assert_ok(name);
        } else {
            reply.assert_invalid_token(name);
        }
    }
    // Where the client stands for the audience, a token that is bound to some API is not for this.
    let by_client = Sample::read("cognito-user");
    by_client.clone().ask(cognito(), API).await.assert_ok("by its client");
    for aud in [json!("https://other.example.test"), json!(API), json!([]), json!(null)] {
        let reply = by_client.clone().with("aud", aud.clone()).ask(cognito(), API).await;
        reply.assert_invalid_token(&format!("by its client, for {aud}"));
    }
}

#[tokio::test]
async fn a_claim_that_is_optional_may_be_absent_and_the_type_stays() {
    let optional =
        |name: &'static str| Profile::rfc9068().scope_array_claim("scope").claim_optional(name);
    let m2m = || Sample::read("duende-m2m");
    let user = || Sample::read("duende-user");
    let missing = |claim: &'static str| Some(Error::MissingClaim { claim: claim.into() });
    let malformed = |claim: &'static str| Some(Error::MalformedClaim { claim: claim.into() });
    let unrelated = optional("sub").claim_optional("email").claim_optional("aud");
    for (name, sample, profile, error) in [
        ("no sub", m2m(), optional("sub"), None),
        ("sub is null", m2m().with("sub", json!(null)), optional("sub"), None),
        ("sub is there", user(), optional("sub"), None),
        ("sub of no text", m2m().with("sub", ""), optional("sub"), malformed("sub")),
        ("sub of another type", m2m().with("sub", 7), optional("sub"), malformed("sub")),
        ("sub is required", m2m(), optional("jti"), missing("sub")),
        ("no jti", user().without("jti"), optional("jti"), None),
        ("jti of another type", user().with("jti", 7), optional("jti"), malformed("jti")),
        ("jti is required", user().without("jti"), optional("sub"), missing("jti")),
        ("no iat", user().without("iat"), optional("iat"), None),
        ("iat of another type", user().with("iat", "7"), optional("iat"), malformed("iat")),
        ("no client", user().without("client_id"), optional("client_id"), None),
        (
            "no client, by another name",
            user().without("client_id"),
            optional("client_id").client_claim("azp"),
            None,
        ),
        (
            "a client of another type, by another name",
            user().with("azp", 7),
            optional("client_id").client_claim("azp"),
            malformed("azp"),
        ),
        ("aud is never optional", m2m().without("aud"), unrelated.clone(), missing("aud")),
        ("what RFC 9068 does not require", m2m(), unrelated, None),
        ("exp is never optional", m2m().without("exp"), optional("exp"), missing("exp")),
        (
            "what the API requires stays so",
            m2m(),
            optional("sub").require_claim("sub").claim_optional("sub"),
            missing("sub"),
        ),
    ] {
        let reply = sample.ask(under(&sample, profile), API).await;
        match error {
            None => reply.assert_ok(name),
            error => {
                reply.assert_invalid_token(name);
                assert_eq!(reply.error, error, "{name}");
            }
        }
    }
    for typ in ["JWT", "logout+jwt"] {
        let reply = m2m().header("typ", typ).ask(duende(), API).await;
        reply.assert_invalid_token(typ);
        assert!(matches!(reply.error, Some(Error::UnexpectedType { .. })), "{:?}", reply.error);
    }
    // Without its client, nothing in a token tells a user.
    let nameless = user().without("client_id");
    let issuer = under(&nameless, optional("client_id"));
    assert_eq!(kind(&nameless, issuer, API, "no client").await, Kind::Unknown);
}

#[tokio::test]
async fn the_types_of_lemonldap_are_taken_in_each_version() {
    for (typ, good) in [("JWT", true), ("at+JWT", true), ("dpop+jwt", false)] {
        let reply = Sample::read("lemonldap-m2m").header("typ", typ).ask(lemonldap(), API).await;
        if good {
            reply.assert_ok(typ);
        } else {
            reply.assert_invalid_token(typ);
        }
    }
}

#[tokio::test]
async fn a_fusionauth_entity_is_a_client() {
    let entities = || providers::fusionauth_entities("https://auth.example.test", "acme.com");
    let sample = Sample::read("fusionauth-user")
        .without("applicationId")
        .with("aud", "entity-api")
        .with("sub", "entity-caller");
    let server = server_for(entities().jwks(sample.jwks()), "entity-api");
    let passed = api(server.layer()).bearer(&sample.sign()).await;
    passed.assert_ok("an entity");
    assert_eq!(passed.json()["client_id"], "entity-caller");
    let users = api(server.protect(user())).bearer(&sample.sign()).await;
    assert_eq!(users.error.as_ref().map(Error::code), Some("access_denied"));
    // A user's ID token has the application in `aud`, never the entity.
    let id_token = Sample::read("fusionauth-user").without("applicationId");
    id_token.ask(entities(), "entity-api").await.assert_invalid_token("ID token");
}

#[tokio::test]
async fn a_graph_token_of_entra_is_refused() {
    // Microsoft signs these over another nonce than the header shows.
    let sample = Sample::read("entra-graph-nonce");
    let good = sample.clone().with("aud", "api://x");
    good.ask(entra_v1(), "api://x").await.assert_ok("a nonce in the header alone is no fault");
    for audience in ["api://x", "00000003-0000-0000-c000-000000000000"] {
        let sample = sample.clone().with("aud", audience);
        let signed = sample.clone().header("nonce", "hash of it").sign();
        let shown = sample.sign();
        let (shown_header, _) = shown.split_once('.').unwrap();
        let (_, signed_rest) = signed.split_once('.').unwrap();
        let server = server_for(entra_v1().jwks(sample.jwks()), audience);
        let reply = api(server.layer()).bearer(&format!("{shown_header}.{signed_rest}")).await;
        reply.assert_invalid_token(audience);
        assert_eq!(reply.error, Some(Error::BadSignature { algorithm: Algorithm::RS256 }));
    }
    let foreign = sample.ask(entra_v1(), "api://x").await;
    assert!(matches!(foreign.error, Some(Error::ForeignAudience { .. })));
}

#[tokio::test]
async fn an_svid_is_no_access_token() {
    let sample = Sample::read("spiffe-jwt-svid");
    let spire = || Issuer::new("https://oidc.spire.test");
    let typed = sample.ask(spire(), API).await;
    typed.assert_invalid_token("typ");
    assert!(matches!(typed.error, Some(Error::UnexpectedType { .. })));

    // Even where `typ` is given up, its keys say that they are for something else.
    let ask = async |use_: &str| {
        let mut svid = sample.jwk();
        svid["kid"] = sample.header["kid"].clone();
        svid["use"] = json!(use_);
        let mut other = Sample::read("logto").jwk();
        other["kid"] = json!("other");
        let jwks = json!({ "keys": [svid, other] }).to_string();
        let server = server_for(spire().profile(Profile::jwt()).jwks(jwks), API);
        api(server.layer()).bearer(&sample.sign()).await
    };
    ask("sig").await.assert_ok("with a key for signatures");
    let refused = ask("jwt-svid").await;
    refused.assert_invalid_token("with its own key");
    assert!(matches!(refused.error, Some(Error::UnknownKey { .. })));
}

#[tokio::test]
async fn firebase_has_id_tokens_only() {
    let sample = Sample::read("firebase");
    let firebase = || Issuer::new("https://securetoken.google.com/demo");
    sample.ask(firebase(), "demo").await.assert_invalid_token("as it comes");
    sample.ask(firebase().profile(Profile::jwt()), "demo").await.assert_ok("on one's own account");
    // The emulator signs nothing.
    let unsigned = sample.clone().header("alg", "RS256").sign();
    let (_, rest) = unsigned.split_once('.').unwrap();
    let (payload, _) = rest.split_once('.').unwrap();
    let server = server_for(firebase().profile(Profile::jwt()).jwks(sample.jwks()), "demo");
    let none = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{payload}.");
    api(server.layer()).bearer(&none).await.assert_invalid_token("alg none");
}

#[tokio::test]
async fn a_tenant_that_is_no_customer_is_refused() {
    let sample = Sample::read("entra-v2-app");
    let strangers = providers::entra_v2_multitenant(|tenant| tenant != TENANT);
    sample.ask(strangers, ENTRA_API).await.assert_invalid_token("no customer");
    let other = sample.clone().with("tid", "99999999-8888-7777-6666-555555555555");
    other.ask(entra_v2_customers(), ENTRA_API).await.assert_invalid_token("tid of another tenant");
    sample.ask(entra_v2_customers(), ENTRA_API).await.assert_ok("a customer");
}

#[tokio::test]
async fn opaque_and_encrypted_tokens_need_another_way() {
    let server = server_for(google().jwks(Sample::read("firebase").jwks()), API);
    let api = api(server.layer());
    for name in ["google-opaque", "hydra-introspection", "curity-phantom", "openiddict"] {
        let token = document(name)["token"].as_str().unwrap().to_owned();
        api.bearer(&token).await.assert_invalid_token(name);
    }
    let sample = Sample::read("google-service-account-id-token");
    sample.ask(google(), API).await.assert_ok("a JWT of the same server");
}

#[tokio::test]
async fn an_algorithm_that_the_vendor_does_not_use_is_refused() {
    for name in
        ["entra-v2-delegated", "cognito-user", "github-actions", "google-service-account-id-token"]
    {
        let rows = rows();
        let row = rows.iter().find(|row| row.sample == name).unwrap();
        let sample = Sample::read(name).header("alg", "ES256");
        // A build with this key alone fails, so an RSA key is beside it.
        let mut jwks: Value = serde_json::from_str(&sample.jwks()).unwrap();
        jwks["keys"].as_array_mut().unwrap().push(Sample::read(name).jwk());
        let server = server_for((row.issuer)().jwks(jwks.to_string()), row.audience);
        let reply = api(server.layer()).bearer(&sample.sign()).await;
        reply.assert_invalid_token(name);
        assert!(
            matches!(reply.error, Some(Error::UnacceptedAlgorithm { .. })),
            "{:?}",
            reply.error
        );
    }
}

#[test]
fn text_that_goes_into_a_url_is_checked() {
    let none = [] as [&str; 0];
    for (name, good, bad) in [
        (
            "auth0",
            auth0_error("tenant.eu.auth0.com"),
            vec![
                auth0_error(""),
                auth0_error("https://tenant.eu.auth0.com/"),
                auth0_error("tenant.eu.auth0.com/"),
                auth0_error("evil.example/?.auth0.com"),
                auth0_error("user@auth0.com"),
            ],
        ),
        (
            "okta",
            providers::okta("https://example.okta.com/oauth2/aus1").err(),
            vec![
                providers::okta("https://example.okta.com").err(),
                providers::okta("https://example.okta.com/oauth2/").err(),
                providers::okta("https://example.okta.com/oauth2/default/").err(),
                providers::okta("https://example.okta.com/oauth2/default/v1").err(),
            ],
        ),
        (
            "entra",
            providers::entra_v1(TENANT).err().or(providers::entra_v2(TENANT).err()),
            vec![
                providers::entra_v2("common").err(),
                providers::entra_v1("organizations").err(),
                providers::entra_v2("contoso.onmicrosoft.com").err(),
                providers::entra_v2("{tenantid}").err(),
                providers::entra_v2("").err(),
                providers::entra_v2("11111111-2222-3333-4444-55555555555").err(),
                providers::entra_v2("11111111-2222-3333-4444-55555555555g").err(),
                providers::entra_v2("ABCDEF00-2222-3333-4444-555555555555").err(),
                providers::entra_v2("111111112-222-3333-4444-555555555555").err(),
            ],
        ),
        (
            "entra b2c",
            providers::entra_b2c("contoso", TENANT, ["b2c_1_sign-in", "B2C_1A_reset"]).err(),
            vec![
                providers::entra_b2c("", TENANT, ["B2C_1_signin"]).err(),
                providers::entra_b2c("contoso.b2clogin.com", TENANT, ["B2C_1_signin"]).err(),
                providers::entra_b2c("contoso/..", TENANT, ["B2C_1_signin"]).err(),
                providers::entra_b2c("contoso", TENANT, ["signin"]).err(),
                providers::entra_b2c("contoso", TENANT, ["B2C_1/../x"]).err(),
                providers::entra_b2c("contoso", TENANT, ["é"]).err(),
                providers::entra_b2c("contoso", TENANT, ["B2C_1_signin", "signin"]).err(),
                providers::entra_b2c("contoso", TENANT, ["B2C_1_signin", ""]).err(),
                providers::entra_b2c("contoso", TENANT, none).err(),
            ],
        ),
        (
            "entra",
            providers::entra_b2c("contoso", TENANT, ["B2C_1_signin"]).err(),
            vec![
                providers::entra_b2c("contoso", "contoso.onmicrosoft.com", ["B2C_1_signin"]).err(),
            ],
        ),
        (
            "spring",
            providers::spring_authorization_server("https://a", ["c"]).err(),
            vec![providers::spring_authorization_server("https://a", none).err()],
        ),
        (
            "rauthy",
            providers::rauthy("https://a", ["c"]).err(),
            vec![providers::rauthy("https://a", [""]).err()],
        ),
        (
            "cognito",
            providers::cognito("eu-west-1_ABC123", ["c"]).err(),
            vec![
                providers::cognito("eu-west-1_ABC123", none).err(),
                providers::cognito("eu-west-1_ABC123", [""]).err(),
                providers::cognito("ABC123", ["c"]).err(),
                providers::cognito("eu-west-1_", ["c"]).err(),
                providers::cognito("_ABC123", ["c"]).err(),
                providers::cognito("x.example/_ABC123", ["c"]).err(),
                providers::cognito("eu-west-1_ABC/../x", ["c"]).err(),
            ],
        ),
        (
            "github",
            providers::github_actions(["1"]).err(),
            vec![providers::github_actions(none).err()],
        ),
        (
            "gitlab",
            providers::gitlab_ci("https://gitlab.com", ["1"]).err(),
            vec![providers::gitlab_ci("https://gitlab.com", [""]).err()],
        ),
        (
            "google",
            providers::google_service_accounts(["1"]).err(),
            vec![providers::google_service_accounts(none).err()],
        ),
    ] {
        assert!(good.is_none(), "{name}: {good:?}");
        for (index, error) in bad.into_iter().enumerate() {
            let error = error.unwrap_or_else(|| panic!("{name}: row {index} passed"));
            assert!(error.to_string().contains(name), "names the setting: {error}");
        }
    }
}

fn auth0_error(domain: &str) -> Option<tower_resource_server::ConfigError> {
    providers::auth0(domain).err().or(providers::auth0_rfc9068(domain).err())
}

#[test]
fn keys_are_where_the_vendor_has_them() {
    for (issuer, name, keys) in [
        (
            entra_v1(),
            "https://sts.windows.net/11111111-2222-3333-4444-555555555555/",
            "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/discovery/keys",
        ),
        (
            entra_b2c(),
            "https://contoso.b2clogin.com/11111111-2222-3333-4444-555555555555/v2.0/",
            "https://contoso.b2clogin.com/contoso.onmicrosoft.com/B2C_1_signin/discovery/v2.0/keys",
        ),
        (
            fusionauth(),
            "https://auth.example.test",
            "https://auth.example.test/.well-known/jwks.json",
        ),
        (cognito(), "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_ABC123", "Discover"),
        (auth0(), "https://tenant.eu.auth0.test/", "Discover"),
    ] {
        let shown = format!("{issuer:?}");
        assert!(shown.contains(&format!("name: {name:?}")), "{shown}");
        assert!(shown.contains(keys), "{shown}");
    }
}

/// Who acts with a sample, under one profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    User,
    Client,
    Unknown,
    /// The token is none for this profile.
    Refused,
}

/// Who acts, as a handler sees it, and that `user()` lets users through and nobody else.
async fn kind(sample: &Sample, issuer: Issuer, audience: &str, name: &str) -> Kind {
    let server = server_for(issuer.jwks(sample.jwks()), audience);
    let reply = api(server.layer()).bearer(&sample.sign()).await;
    let users = api(server.protect(user())).bearer(&sample.sign()).await;
    if reply.status == 401 {
        users.assert_invalid_token(name);
        return Kind::Refused;
    }
    reply.assert_ok(name);
    let principal = reply.json()["principal"].as_str().unwrap().to_owned();
    let kind = match principal.split(' ').next().unwrap() {
        "User" => Kind::User,
        "Client" => Kind::Client,
        "Unknown" => Kind::Unknown,
        _ => panic!("{name}: {principal}"),
    };
    if kind == Kind::User {
        users.assert_ok(name);
    } else {
        assert_eq!(users.status, 403, "{name}: {:?}", users.error);
        assert!(!users.ran, "{name}");
        assert_eq!(users.challenges[0].param("error"), None, "{name}");
    }
    kind
}

/// The same claims from an issuer with this profile.
fn under(sample: &Sample, profile: Profile) -> Issuer {
    let alias = sample.claims["iss"].as_str().unwrap();
    Issuer::new("https://as.example.com").alias(alias).profile(profile)
}

/// A name, a token and its audience; who acts by RFC 9068 and by `jwt`; the vendor's own profile.
type Acting = (&'static str, Sample, &'static str, Kind, Kind, Option<fn() -> Issuer>);

/// Tokens that clients get for themselves, and workloads.
#[rustfmt::skip]
fn machines() -> Vec<Acting> {
    use Kind::{Client, Refused, Unknown};
    let id = Sample::read;
    let entity = id("fusionauth-user").without("applicationId").without("email").without("roles")
        .with("aud", "entity-api").with("sub", "entity-caller");
    let zitadel = id("zitadel-user-roles").with("client_id", "ci-bot").with("aud", json!(["344374183645413380"]));
    let authentik = id("authentik-user").with("preferred_username", "ak-api-client_credentials").without("email");
    let cognito_client = id("cognito-user").with("sub", "1example23456789").without("username");
    let uaa = id("auth0-m2m").without("azp").without("gty").with("sub", "svc").with("cid", "svc")
        .with("client_id", "svc").with("grant_type", "client_credentials");
    let oracle = id("auth0-m2m").without("azp").without("gty").with("sub", "svc-name")
        .with("client_id", "svc-id").with("sub_type", "client");
    let keycloak_typed = id("keycloak-client-credentials").header("typ", "at+jwt");
    let bare = keycloak_typed.clone().without("clientHost").without("clientAddress");
    let nameless = keycloak_typed.clone().without("clientHost").without("preferred_username");
    let authentik_named = id("authentik-user").without("preferred_username").without("email")
        .with("sub", "ak-api-client_credentials");
    let ibm = id("auth0-m2m").without("azp").without("gty").with("sub", "ServiceId-7d2b")
        .with("iam_id", "iam-ServiceId-7d2b").with("sub_type", "ServiceId").with("client_id", "default");
    let casdoor = id("auth0-m2m").without("gty").with("sub", "admin/api").with("name", "api")
        .with("type", "application").with("azp", "8f3c");
    let keycloak = || providers::keycloak("https://sso.example.test/realms/demo");
    vec![
        ("Auth0", id("auth0-m2m"), API, Refused, Client, Some(auth0)),
        ("Entra app", id("entra-v2-app"), ENTRA_API, Refused, Client, Some(entra_v2)),
        ("Entra app without idtyp", id("entra-v2-app").without("idtyp"), ENTRA_API, Refused, Client, Some(entra_v2)),
        ("FusionAuth entity", entity, "entity-api", Refused, Unknown, Some(|| providers::fusionauth_entities("https://auth.example.test", "acme.com"))),
        ("Keycloak", id("keycloak-client-credentials"), "account", Refused, Client, Some(keycloak)),
        ("Keycloak, at+jwt", keycloak_typed, "account", Client, Client, Some(keycloak)),
        ("Keycloak, at+jwt, no clientHost", bare, "account", Client, Client, Some(keycloak)),
        ("Okta", id("okta-m2m"), "api://default", Refused, Client, Some(okta)),
        ("WSO2", id("wso2-m2m"), API, Client, Client, Some(wso2)),
        ("Duende", id("duende-m2m").with("scope", "read"), API, Refused, Client, Some(|| under(&Sample::read("duende-m2m"), Profile::rfc9068().claim_optional("sub")))),
        ("Spring", id("spring-m2m").with("scope", "read"), "m2m", Refused, Unknown, Some(|| under(&Sample::read("spring-m2m"), Profile::jwt().client_claim("aud")))),
        ("Rauthy", id("rauthy-m2m"), "m2m", Refused, Client, Some(rauthy)),
        ("LemonLDAP::NG", id("lemonldap-m2m"), API, Refused, Client, Some(lemonldap)),
        ("Google", id("google-service-account-id-token"), API, Refused, Client, Some(google)),
        ("GitHub", id("github-actions"), API, Refused, Unknown, Some(github)),
        ("GitLab", id("gitlab-ci"), API, Refused, Unknown, Some(gitlab)),
        ("Kubernetes", id("kubernetes-bound"), API, Refused, Client, Some(|| providers::kubernetes("https://kubernetes.default.svc"))),
        ("SPIFFE", id("spiffe-jwt-svid"), API, Refused, Client, None),
        ("Kinde", id("kinde"), API, Refused, Client, None),
        ("PingOne", id("pingone-m2m"), API, Refused, Client, Some(|| providers::pingone("https://auth.pingone.test/00000000-0000-0000-0000-00000000000e/as"))),
        ("Logto", id("logto"), API, Client, Client, None),
        ("OpenIddict", id("openiddict-unencrypted"), API, Client, Client, None),
        ("Hydra", id("hydra-jwt-no-audience").with("aud", json!([API])), API, Refused, Client, Some(|| providers::hydra("https://hydra.example.test/"))),
        ("Cognito", cognito_client, API, Refused, Refused, Some(cognito)),
        ("authentik", authentik, "client-abc", Refused, Client, Some(|| Issuer::new("https://id.example.test/application/o/api/").profile(Profile::jwt().client_claim("azp")))),
        ("Cloud Foundry", uaa, API, Refused, Client, None),
        ("Oracle", oracle, API, Refused, Client, None),
        ("authentik, user name as sub", authentik_named, "client-abc", Refused, Client, None),
        ("Keycloak, no clientHost and no name", nameless, "account", Client, Client, Some(keycloak)),
        ("IBM Cloud", ibm, API, Refused, Client, None),
        ("Casdoor", casdoor, API, Refused, Client, None),
        // Its `client_id` is the name of a service account. Only its own profile knows.
        ("Zitadel", zitadel, "344374183645413380", Refused, Kind::User, Some(|| providers::zitadel("https://demo.zitadel.test"))),
    ]
}

/// Tokens of users.
#[rustfmt::skip]
fn users() -> Vec<Acting> {
    use Kind::{Client, Refused, Unknown, User};
    let id = Sample::read;
    let ping = id("pingfederate").with("iss", "https://ping.example.test").with("aud", API).with("sub", "alice");
    vec![
        ("Keycloak", id("keycloak-user"), API, Refused, Unknown, Some(|| providers::keycloak("https://sso.example.test/realms/demo"))),
        ("Entra v1", id("entra-v1-delegated"), "api://0f0f0f0f-1111-2222-3333-444444444444", Refused, Unknown, Some(entra_v1)),
        ("Entra v2", id("entra-v2-delegated"), ENTRA_API, Refused, Unknown, Some(entra_v2)),
        // Of Azure AD B2C, `sub` is the `oid`.
        ("Entra, oid as sub", id("entra-v2-delegated").with("oid", "sub-pairwise"), ENTRA_API, Refused, Unknown, Some(entra_v2)),
        ("Auth0", id("auth0-user"), API, Refused, Unknown, Some(auth0)),
        ("Auth0, RFC 9068", id("auth0-rfc9068"), API, User, User, Some(|| providers::auth0_rfc9068("tenant.eu.auth0.test").unwrap())),
        ("Okta", id("okta-user"), "api://default", Refused, Unknown, Some(okta)),
        ("Cognito", id("cognito-user"), API, Refused, Refused, Some(cognito)),
        ("Cognito, for a resource", id("cognito-user").with("aud", API), API, Refused, User, Some(|| providers::cognito_resource_bound("eu-west-1_ABC123").unwrap())),
        ("Zitadel", id("zitadel-user-roles"), "344374183645413380", Refused, User, Some(|| providers::zitadel("https://demo.zitadel.test"))),
        ("Hydra", id("hydra-jwt"), API, Refused, User, Some(|| providers::hydra("https://hydra.example.test/"))),
        ("FusionAuth", id("fusionauth-user"), FUSIONAUTH_APP, Refused, Unknown, Some(fusionauth)),
        ("PingFederate", ping, API, Refused, User, Some(|| providers::pingfederate("https://ping.example.test"))),
        ("WSO2", id("wso2-user"), API, User, User, Some(wso2)),
        ("Azure AD B2C", id("entra-b2c"), ENTRA_API, Refused, Unknown, Some(entra_b2c)),
        ("Rauthy", id("rauthy-user"), "spa", Refused, Unknown, Some(rauthy)),
        ("LemonLDAP::NG", id("lemonldap-user"), API, Refused, User, Some(lemonldap)),
        ("Kanidm", id("kanidm"), "api", User, User, None),
        ("authentik", id("authentik-user"), "client-abc", Refused, Unknown, Some(|| Issuer::new("https://id.example.test/application/o/api/").profile(Profile::jwt().client_claim("azp")))),
        ("Supabase", id("supabase"), "authenticated", Refused, Unknown, Some(|| Issuer::new("https://ref.supabase.test/auth/v1").profile(Profile::jwt().user_if_value("role", "authenticated")))),
        ("Firebase", id("firebase"), "demo", Refused, Unknown, Some(|| Issuer::new("https://securetoken.google.com/demo").profile(Profile::jwt().user_if_present("firebase")))),
        // Without a `sub` there is nobody to name, whoever acts.
        ("AD FS", id("adfs"), "microsoft:identityserver:0f0f0f0f-1111-2222-3333-444444444444", Refused, Client, None),
    ]
}

#[tokio::test]
async fn who_acts_with_a_sample_is_told_by_each_profile_and_no_machine_passes_for_a_user() {
    let machines = machines().into_iter().map(|row| (row, Kind::Client));
    let users = users().into_iter().map(|row| (row, Kind::User));
    for ((name, sample, audience, strict, plain, own), expected) in machines.chain(users) {
        let name = format!("{name}, {expected:?}");
        let by = |profile| under(&sample, profile);
        let found = kind(&sample, by(Profile::rfc9068()), audience, &name).await;
        assert_eq!(found, strict, "{name}, by RFC 9068");
        let found = kind(&sample, by(Profile::jwt()), audience, &name).await;
        assert_eq!(found, plain, "{name}, by jwt");
        if let Some(own) = own {
            let found = kind(&sample, own(), audience, &name).await;
            assert_eq!(found, expected, "{name}, by its own profile");
        }
    }
}

/// What an operator tries after having read the log.
#[tokio::test]
async fn no_machine_is_a_user_whatever_claim_is_taken_for_its_client() {
    for (name, sample, audience, ..) in machines() {
        for claim in ["azp", "cid", "appid", "applicationId", "clientId", "client_id"] {
            if (name, claim) == ("Zitadel", "client_id") {
                continue;
            }
            let profile = Profile::jwt().client_claim(claim);
            let found = kind(&sample, under(&sample, profile), audience, name).await;
            assert_ne!(found, Kind::User, "{name}, {claim}");
        }
        // A service account of Google's has an address, too.
        let profile = Profile::jwt().user_if_present("email");
        let found = kind(&sample, under(&sample, profile), audience, name).await;
        assert!(found != Kind::User || name == "Zitadel", "{name}, by e-mail");
    }
}
