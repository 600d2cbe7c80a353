//! Roles, at the places where each vendor writes them.

use serde_json::{Value, json};
use tower_resource_server::policy::role;
use tower_resource_server::{Issuer, Profile, providers};

use super::support::{Reply, api};
use super::*;

const PROJECT: &str = "344374183645413380";
const GUID: &str = "62e90394-69f5-4237-9190-012177145e10";

/// How a server writes its roles.
#[derive(Clone, Copy)]
enum Form {
    Array,
    /// The member names of an object.
    Names,
}

impl Form {
    fn of(self, role: &str) -> Value {
        match self {
            Self::Array => json!([role]),
            Self::Names => json!({ role: { "344373908297744388": "demo.zitadel.test" } }),
        }
    }
}

/// A place in the claims, from the outside to the inside.
type Place = &'static [&'static str];

/// A profile and one of its places for roles.
struct Row {
    name: &'static str,
    sample: Sample,
    issuer: fn() -> Issuer,
    audience: &'static str,
    role: &'static str,
    form: Form,
    place: Place,
    /// Places that the profile does not read.
    elsewhere: &'static [Place],
}

/// What vendors' tokens have that is no role of this API.
const REALM: Place = &["realm_access", "roles"];
const ROLES: Place = &["roles"];
const GROUPS: Place = &["groups"];
const ROLE: Place = &["role"];
const PERMISSIONS: Place = &["permissions"];
const ENTITLEMENTS: Place = &["entitlements"];
const OWN_CLIENT: Place = &["resource_access", "api", "roles"];
const URL_CLIENT: Place = &["resource_access", "https://api.example.test/~v1", "roles"];
const OTHER_CLIENT: Place = &["resource_access", "account", "roles"];
const OWN_PROJECT: Place = &["urn:zitadel:iam:org:project:344374183645413380:roles"];
const OTHER_PROJECT: Place = &["urn:zitadel:iam:org:project:344374183645413399:roles"];
const CLIENTS_PROJECT: Place = &["urn:zitadel:iam:org:project:roles"];

fn keycloak() -> Issuer {
    providers::keycloak("https://sso.example.test/realms/demo")
}

fn zitadel() -> Issuer {
    providers::zitadel("https://demo.zitadel.test")
}

fn id(name: &str) -> Sample {
    Sample::read(name)
}

/// Sets the value at a place and makes the objects around it.
fn put(sample: Sample, place: Place, value: Value) -> Sample {
    let [first, inner @ ..] = place else { panic!("a place has a name") };
    let mut claims = sample.clone().claims.get(*first).cloned().unwrap_or(json!({}));
    let mut at = &mut claims;
    for name in inner {
        at = &mut at[*name];
    }
    *at = value;
    sample.with(first, claims)
}

/// The sample without any role.
fn bare(mut sample: Sample) -> Sample {
    let own = [&["cognito:groups"], &["https://example.test/roles"], OWN_PROJECT, CLIENTS_PROJECT];
    let usual = [REALM, OWN_CLIENT, ROLES, GROUPS, ROLE, PERMISSIONS];
    for place in usual.into_iter().chain(own) {
        sample.claims.remove(place[0]);
    }
    sample
}

#[rustfmt::skip]
fn rows() -> Vec<Row> {
    use Form::{Array, Names};
    let row = |name, sample, issuer, audience, role, form, place, elsewhere| Row {
        name, sample, issuer, audience, role, form, place, elsewhere,
    };
    let entity = id("fusionauth-user").without("applicationId").without("roles").with("aud", "entity-api").with("sub", "entity-caller");
    let pingfederate = id("pingfederate").with("iss", "https://ping.example.test").with("aud", API);
    vec![
        row("Keycloak", id("keycloak-user"), keycloak, API, "reader", Array, REALM,
            &[ROLES, GROUPS, OWN_CLIENT, OTHER_CLIENT, &["realm_access"], &["resource_access", "roles"]]),
        row("Keycloak, service account", id("keycloak-client-credentials"), keycloak, "account", "reader", Array, REALM, &[ROLES, OTHER_CLIENT]),
        row("Keycloak, roles of a client", id("keycloak-user"), || keycloak().map_profile(|profile| profile.client_roles("api")), API, "writer", Array, OWN_CLIENT,
            &[ROLES, OTHER_CLIENT, &["resource_access", "api"], &["resource_access", "API", "roles"]]),
        row("Keycloak, and those of the realm", id("keycloak-user"), || keycloak().map_profile(|profile| profile.client_roles("api")), API, "reader", Array, REALM, &[OTHER_CLIENT]),
        row("Keycloak, only roles of a client", id("keycloak-user"), || keycloak().map_profile(|profile| profile.without_roles().client_roles("api")), API, "writer", Array, OWN_CLIENT, &[REALM, OTHER_CLIENT]),
        row("Keycloak, a client with a URL as its id", id("keycloak-user"), || keycloak().map_profile(|profile| profile.client_roles("https://api.example.test/~v1")), API, "writer", Array, URL_CLIENT,
            &[OTHER_CLIENT, &["resource_access", "https:", "", "api.example.test", "~v1", "roles"], &["resource_access", "https:~1~1api.example.test~1~0v1", "roles"]]),
        row("Entra v1", id("entra-v1-delegated"), entra_v1, "api://0f0f0f0f-1111-2222-3333-444444444444", "Reader", Array, ROLES, &[ROLE, GROUPS]),
        row("Entra v1, directory role", id("entra-v1-delegated"), entra_v1, "api://0f0f0f0f-1111-2222-3333-444444444444", GUID, Array, &["wids"], &[GROUPS]),
        row("Entra v2, user", id("entra-v2-delegated"), entra_v2, ENTRA_API, "Reader", Array, ROLES, &[ROLE, GROUPS, ENTITLEMENTS]),
        row("Entra v2, app", id("entra-v2-app"), entra_v2, ENTRA_API, "Api.Read.All", Array, ROLES, &[&["scp"], GROUPS]),
        row("Entra v2, directory role", id("entra-v2-delegated"), entra_v2, ENTRA_API, GUID, Array, &["wids"], &[GROUPS, &["xms_wids"]]),
        row("Entra v2, tenants", id("entra-v2-app"), entra_v2_customers, ENTRA_API, "Api.Read.All", Array, ROLES, &[GROUPS]),
        row("Auth0", id("auth0-user"), auth0, API, "read", Array, PERMISSIONS, &[ROLES, &["https://example.test/roles"]]),
        row("Auth0, custom claim", id("auth0-user"), || auth0().map_profile(|profile| profile.roles_claim("https://example.test/roles")), API, "reader", Array, &["https://example.test/roles"],
            &[ROLES, &["https://other.example.test/roles"]]),
        row("Auth0, RFC 9068", id("auth0-rfc9068"), || providers::auth0_rfc9068("tenant.eu.auth0.test").unwrap(), API, "read:notes", Array, PERMISSIONS, &[ROLES, GROUPS, ENTITLEMENTS]),
        row("Okta", id("okta-user"), okta, "api://default", "Everyone", Array, GROUPS, &[ROLES, &["Groups"]]),
        row("Cognito", id("cognito-user"), cognito, API, "readers", Array, &["cognito:groups"], &[GROUPS, ROLES, &["cognito:roles"]]),
        row("Cognito, for a resource", id("cognito-user").with("aud", API), || providers::cognito_resource_bound("eu-west-1_ABC123").unwrap(), API, "readers", Array, &["cognito:groups"], &[GROUPS, &["cognito:roles"]]),
        row("Zitadel", id("zitadel-user-roles"), zitadel, PROJECT, "streaming", Names, OWN_PROJECT,
            &[CLIENTS_PROJECT, OTHER_PROJECT, ROLES, &["urn:zitadel:iam:org:project:344374183645413380:roles:x"], &["urn:zitadel:iam:org:project::roles"]]),
        row("FusionAuth", id("fusionauth-user"), fusionauth, FUSIONAUTH_APP, "admin", Array, ROLES, &[PERMISSIONS, GROUPS]),
        row("FusionAuth entity", entity, || providers::fusionauth_entities("https://auth.example.test", "acme.com"), "entity-api", "read:notes", Array, PERMISSIONS, &[ROLES]),
        row("PingOne", id("pingone-m2m"), || providers::pingone("https://auth.pingone.test/00000000-0000-0000-0000-00000000000e/as"), API, "notes:read", Array, &["p1.permissions"],
            &[PERMISSIONS, &["p1", "permissions"], ROLES]),
        row("Duende", id("duende-user"), duende, API, "editor", Array, ROLE, &[ROLES, &["client_role"]]),
        row("Spring", id("spring-user"), spring, API, "EDITOR", Array, ROLES, &[&["authorities"], GROUPS]),
        row("WSO2, roles", id("wso2-user"), wso2, API, "editor", Array, ROLES, &[&["application_roles"], ENTITLEMENTS]),
        row("WSO2, groups", id("wso2-user"), wso2, API, "editors", Array, GROUPS, &[ENTITLEMENTS]),
        row("LemonLDAP::NG", id("lemonldap-user"), lemonldap, API, "editors", Array, GROUPS, &[ROLES, &["hGroups"]]),
        row("Rauthy, roles", id("rauthy-user"), rauthy, API, "user", Array, ROLES, &[ROLE, &["custom", "roles"]]),
        row("Rauthy, groups", id("rauthy-user"), rauthy, API, "editors", Array, GROUPS, &[&["custom", "groups"]]),

        // Servers that leave the place to their operator.
        row("Hydra", id("hydra-jwt"), || providers::hydra("https://hydra.example.test/").map_profile(|profile| profile.roles_at("/ext/roles")), API, "editor", Array, &["ext", "roles"], &[ROLES, &["ext"]]),
        row("PingFederate", pingfederate, || providers::pingfederate("https://ping.example.test").map_profile(|profile| profile.roles_claim("memberOf")), API, "editor", Array, &["memberOf"], &[ROLES, GROUPS]),
        row("Azure AD B2C", id("entra-b2c"), || entra_b2c().map_profile(|profile| profile.roles_claim("extension_roles")), ENTRA_API, "editor", Array, &["extension_roles"], &[ROLES]),

        // Servers without a function of their own.
        row("authentik", id("authentik-user"), || Issuer::new("https://id.example.test/application/o/api/")
                .profile(Profile::jwt().client_claim("azp").without_roles().roles_claim("groups")),
            "client-abc", "readers", Array, GROUPS, &[ROLES, ENTITLEMENTS]),
        row("Kinde", id("kinde"), || Issuer::new("https://demo.kinde.test")
                .profile(Profile::jwt().scope_array_claim("scp").client_claim("azp").without_roles().roles_claim("permissions")),
            API, "read:notes", Array, PERMISSIONS, &[ROLES]),
        row("Supabase", id("supabase").with("role", json!(["authenticated"])), || Issuer::new("https://ref.supabase.test/auth/v1")
                .profile(Profile::jwt().without_roles().roles_claim("role")),
            "authenticated", "authenticated", Array, ROLE, &[ROLES, &["user_metadata", "role"]]),
        row("by RFC 9068, roles", id("logto"), || Issuer::new("https://demo.logto.test/oidc"), API, "editor", Array, ROLES, &[ROLE, PERMISSIONS]),
        row("by RFC 9068, groups", id("kanidm"), || Issuer::new("https://idm.example.test/oauth2/openid/api"), "api", "editors", Array, GROUPS, &[&["group"]]),
        row("by RFC 9068, entitlements", id("openiddict-unencrypted"), || Issuer::new("https://oi.example.test/"), API, "editor", Array, ENTITLEMENTS, &[ROLE]),
    ]
}

async fn ask(sample: &Sample, issuer: Issuer, audience: &str, wanted: &str) -> Reply {
    let server = server_for(issuer.jwks(sample.jwks()), audience);
    api(server.protect(role(wanted))).bearer(&sample.sign()).await
}

/// 403, and no hint that a scope would help.
#[track_caller]
fn assert_lacks_role(reply: &Reply, name: &str) {
    assert_eq!(reply.status, 403, "{name}: {:?}", reply.error);
    assert_eq!(reply.error.as_ref().map(Error::code), Some("access_denied"), "{name}");
    assert!(!reply.ran, "{name}");
    let [challenge] = reply.challenges.as_slice() else { panic!("{name}: {reply:?}") };
    for param in ["error", "error_description", "scope", "acr_values"] {
        assert_eq!(challenge.param(param), None, "{name}");
    }
}

#[tokio::test]
async fn a_role_counts_only_at_the_place_where_its_server_writes_it() {
    for row in rows() {
        let name = row.name;
        let put = |place, value| put(bare(row.sample.clone()), place, value);
        let ask = async |sample: Sample, wanted: &str| {
            ask(&sample, (row.issuer)(), row.audience, wanted).await
        };
        let good = put(row.place, row.form.of(row.role));
        ask(good.clone(), row.role).await.assert_ok(name);

        let (upper, lower) = (row.role.to_uppercase(), row.role.to_lowercase());
        let other_case = if upper == row.role { lower } else { upper };
        let shorter = &row.role[..row.role.len() - 1];
        let longer = format!("{}s", row.role);
        for wanted in [other_case.as_str(), shorter, &longer] {
            let reply = ask(good.clone(), wanted).await;
            assert_lacks_role(&reply, &format!("{name}: asks for {wanted}"));
            let own = put(row.place, row.form.of(wanted));
            assert_lacks_role(&ask(own, row.role).await, &format!("{name}: has {wanted}"));
        }
        for place in row.elsewhere {
            let sample = put(place, row.form.of(row.role));
            assert_lacks_role(&ask(sample, row.role).await, &format!("{name}: at {place:?}"));
        }
        let other_form = match row.form {
            Form::Array => Form::Names.of(row.role),
            Form::Names => Form::Array.of(row.role),
        };
        let nested = json!([[row.role]]);
        let named = json!([{ "name": row.role, "display": row.role }]);
        for value in [other_form, nested, named, json!(true), json!(1), json!(null), json!([])] {
            let what = format!("{name}: {value}");
            let reply = ask(put(row.place, value), row.role).await;
            assert_lacks_role(&reply, &what);
        }
        assert_lacks_role(&ask(bare(row.sample.clone()), row.role).await, name);
    }
}

/// As a vendor sends them, without a change.
#[tokio::test]
async fn roles_of_the_samples_are_found() {
    let mut found = Vec::new();
    for row in rows() {
        let sample = row.sample.clone();
        if ask(&sample, (row.issuer)(), row.audience, row.role).await.ran {
            found.push(row.name);
        }
    }
    let expected = [
        "Keycloak",
        "Keycloak, service account",
        "Keycloak, roles of a client",
        "Keycloak, and those of the realm",
        "Keycloak, only roles of a client",
        "Entra v2, user",
        "Entra v2, app",
        "Entra v2, tenants",
        "Auth0",
        "Auth0, custom claim",
        "Okta",
        "Cognito",
        "Cognito, for a resource",
        "Zitadel",
        "FusionAuth",
        "Rauthy, roles",
        "authentik",
        "Supabase",
    ];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_server_without_roles_gives_none() {
    let bound = id("kubernetes-bound");
    let pingfederate = id("pingfederate").with("iss", "https://ping.example.test").with("aud", API);
    let canaille = id("logto").with("iss", "https://id.example.test");
    let rows: [(_, _, fn() -> Issuer, _); 8] = [
        ("GitHub", id("github-actions"), github, API),
        ("GitLab", id("gitlab-ci"), gitlab, API),
        ("Kubernetes", bound, || providers::kubernetes("https://kubernetes.default.svc"), API),
        ("Google", id("google-service-account-id-token"), google, API),
        ("Azure AD B2C", id("entra-b2c"), entra_b2c, ENTRA_API),
        ("Hydra", id("hydra-jwt"), || providers::hydra("https://hydra.example.test/"), API),
        (
            "PingFederate",
            pingfederate,
            || providers::pingfederate("https://ping.example.test"),
            API,
        ),
        ("Canaille", canaille, || providers::canaille("https://id.example.test"), API),
    ];
    for (name, sample, issuer, audience) in rows {
        for place in [ROLES, GROUPS, ENTITLEMENTS, ROLE, PERMISSIONS] {
            let sample = put(sample.clone(), place, json!(["editor"]));
            let refused = ask(&sample, issuer(), audience, "editor").await;
            assert_lacks_role(&refused, &format!("{name}: {place:?}"));
            let [claim] = place else { panic!("{name}: {place:?}") };
            let set = issuer().map_profile(|profile| profile.roles_claim(*claim));
            ask(&sample, set, audience, "editor").await.assert_ok(name);
        }
    }
}

/// The object without an id has the roles of the client's project.
#[tokio::test]
async fn a_role_in_another_project_of_zitadel_does_not_count() {
    let sample = bare(id("zitadel-user-roles"));
    let of_both = put(
        put(sample, OWN_PROJECT, Form::Names.of("reader")),
        CLIENTS_PROJECT,
        Form::Names.of("admin"),
    );
    let of_both = put(of_both, OTHER_PROJECT, Form::Names.of("admin"));
    ask(&of_both, zitadel(), PROJECT, "reader").await.assert_ok("of this project");
    let refused = ask(&of_both, zitadel(), PROJECT, "admin").await;
    assert_lacks_role(&refused, "of the client's project");
    // Another API, with the other project as its audience.
    let there = of_both.with("aud", "344374183645413399");
    ask(&there, zitadel(), "344374183645413399", "admin").await.assert_ok("at the other API");
    let refused = ask(&there, zitadel(), "344374183645413399", "reader").await;
    assert_lacks_role(&refused, "at the other API");
}
