//! The modifiers of a profile, through the layer: each with what it refuses and a neighbour that
//! passes.

#[path = "support/mod.rs"]
mod support;

use serde_json::{Value, json};
use tower_resource_server::policy::{all_of, any_of, authenticated, not, role, user};
use tower_resource_server::test_issuer::TestIssuer;
use tower_resource_server::token::Principal;
use tower_resource_server::{Error, Profile, danger, scope};

use support::*;

/// The answer to a token with these claims, on a route for users or for any token.
async fn ask(
    issuer: &TestIssuer,
    profile: Profile,
    claims: &[(&str, Value)],
    users: bool,
) -> Reply {
    let server = builder(trusting(issuer).profile(profile)).build().unwrap();
    let token = claims.iter().fold(issuer.token().header("typ", "JWT"), |token, (name, value)| {
        token.claim(name, value.clone())
    });
    let token = token.sign();
    if users {
        api(server.protect(user())).bearer(&token).await
    } else {
        api(server.layer()).bearer(&token).await
    }
}

#[tokio::test]
async fn a_required_value_is_one_of_those_listed() {
    let issuer = issuer();
    let one = || Profile::jwt().require_value("kind", "a");
    let two = || Profile::jwt().require_one_of("kind", ["a", "b"]);
    let none = || Profile::jwt().require_one_of("kind", [] as [&str; 0]);
    let unaccepted = Some(Error::UnacceptedValue { claim: "kind".into() });
    let malformed = Some(Error::MalformedClaim { claim: "kind".into() });
    let missing = Some(Error::MissingClaim { claim: "kind".into() });
    for (name, profile, value, expected) in [
        ("the value", one(), json!("a"), None),
        ("the first of two", two(), json!("a"), None),
        ("the second of two", two(), json!("b"), None),
        ("another", one(), json!("b"), unaccepted.clone()),
        ("none of two", two(), json!("c"), unaccepted.clone()),
        ("case differs", one(), json!("A"), unaccepted.clone()),
        ("a longer one", one(), json!("ab"), unaccepted.clone()),
        ("nothing is listed", none(), json!("a"), unaccepted),
        ("an array of it", one(), json!(["a"]), malformed),
        ("null", one(), json!(null), missing),
    ] {
        let reply = ask(&issuer, profile, &[("kind", value)], false).await;
        assert_eq!(reply.error, expected, "{name}");
        match expected {
            None => reply.assert_ok(name),
            Some(_) => reply.assert_invalid_token(name),
        }
    }
    let absent = ask(&issuer, one(), &[], false).await;
    absent.assert_invalid_token("absent");
    assert_eq!(absent.error, Some(Error::MissingClaim { claim: "kind".into() }));
}

#[tokio::test]
async fn id_9068_5_1_a_clients_own_token_is_told_by_the_sign_of_its_server() {
    let issuer = issuer();
    let present = || Profile::jwt().client_if_present("service");
    let absent = || Profile::jwt().client_if_absent("scp");
    let suffix = || Profile::jwt().client_if_subject_ends("@clients");
    for (name, profile, claims, is_user) in [
        ("sign absent", present(), vec![], true),
        ("sign null", present(), vec![("service", json!(null))], true),
        ("sign present", present(), vec![("service", json!("x"))], false),
        ("sign present, of any type", present(), vec![("service", json!(false))], false),
        ("claim of users present", absent(), vec![("scp", json!("read"))], true),
        ("claim of users absent", absent(), vec![], false),
        ("claim of users null", absent(), vec![("scp", json!(null))], false),
        ("another subject", suffix(), vec![("sub", json!("app@client"))], true),
        ("subject in the middle", suffix(), vec![("sub", json!("@clients|x"))], true),
        ("subject of a client", suffix(), vec![("sub", json!("app@clients"))], false),
        ("two signs, one holds", present().client_if_absent("scp"), vec![], false),
        // A sign makes a client of a user, never a user of a client.
        ("client by its subject", present(), vec![("sub", json!("app"))], false),
    ] {
        ask(&issuer, profile.clone(), &claims, false).await.assert_ok(name);
        let reply = ask(&issuer, profile, &claims, true).await;
        if is_user {
            reply.assert_ok(name);
        } else {
            assert_eq!(reply.status, 403, "{name}: {:?}", reply.error);
            assert_eq!(reply.error.as_ref().map(Error::code), Some("access_denied"), "{name}");
        }
    }
}

#[tokio::test]
async fn a_claim_in_place_of_aud_does_not_outdo_aud() {
    let issuer = issuer();
    let profile = || Profile::jwt().audience_claim("resource");
    let foreign = "https://other.example.com";
    for (name, resource, aud, good) in [
        ("in its place", json!(AUDIENCE), None, true),
        ("one of several", json!([foreign, AUDIENCE]), None, true),
        ("both", json!(AUDIENCE), Some(json!(AUDIENCE)), true),
        ("foreign", json!(foreign), None, false),
        ("empty", json!([]), None, false),
        ("aud alone", json!(null), Some(json!(AUDIENCE)), false),
        ("ours, and a foreign aud", json!(AUDIENCE), Some(json!(foreign)), false),
        ("ours, and an empty aud", json!(AUDIENCE), Some(json!([])), false),
        ("ours, and an aud that is none", json!(AUDIENCE), Some(json!(5)), false),
        ("foreign, and our aud", json!(foreign), Some(json!(AUDIENCE)), false),
    ] {
        let token = issuer.token().claim("resource", resource);
        let token = match aud {
            Some(aud) => token.claim("aud", aud),
            None => token.without("aud"),
        };
        let server = builder(trusting(&issuer).profile(profile())).build().unwrap();
        let reply = api(server.layer()).bearer(&token.sign()).await;
        if good { reply.assert_ok(name) } else { reply.assert_invalid_token(name) }
    }
}

#[tokio::test]
async fn an_alias_is_compared_and_may_be_no_url() {
    let issuer = issuer();
    let alias = |name: &str| builder(trusting(&issuer).profile(Profile::jwt()).alias(name)).build();
    let server = alias("acme.com").unwrap();
    let api = api(server.layer());
    for (iss, good) in [(ISSUER, true), ("acme.com", true), ("acme.co", false), ("", false)] {
        let reply = api.bearer(&issuer.token().claim("iss", iss).sign()).await;
        if good {
            reply.assert_ok(iss);
            assert_eq!(reply.json()["iss"], ISSUER, "the issuer's own name");
        } else {
            reply.assert_invalid_token(iss);
        }
    }
    assert!(alias("").is_err(), "an empty alias");
    assert!(alias(ISSUER).is_err(), "its own name again");
}

/// The first word of what `Principal` shows.
fn kind(reply: &Reply) -> String {
    reply.json()["principal"].as_str().unwrap().split(' ').next().unwrap().to_owned()
}

#[tokio::test]
async fn who_acts_is_told_by_the_client_a_sign_of_clients_or_a_sign_of_users_in_this_order() {
    let issuer = issuer();
    let jwt = Profile::jwt;
    let mail = || jwt().user_if_present("email");
    let role = || jwt().user_if_value("role", "person");
    let machine = || jwt().client_if_value("aut", "MACHINE");
    let named = || jwt().client_if_not_in_audience();
    let (gone, null) = (json!("(absent)"), json!(null));
    // Each token has `sub` alice and `client_id` app, unless the row says something else.
    for (name, profile, claims, expected) in [
        ("another client", jwt(), vec![], "User"),
        ("no client", jwt(), vec![("client_id", gone.clone())], "Unknown"),
        ("null client", jwt(), vec![("client_id", null.clone())], "Unknown"),
        (
            "client under another name",
            jwt(),
            vec![("client_id", gone.clone()), ("azp", json!("app"))],
            "Unknown",
        ),
        (
            "that name",
            jwt().client_claim("azp"),
            vec![("client_id", gone.clone()), ("azp", json!("app"))],
            "User",
        ),
        (
            "subject under another name",
            jwt(),
            vec![("client_id", gone.clone()), ("azp", json!("alice"))],
            "Client",
        ),
        ("no subject", jwt(), vec![("sub", gone.clone())], "Client"),
        (
            "no subject, with a user's sign",
            mail(),
            vec![("sub", gone.clone()), ("email", json!("a@b.c"))],
            "Unknown",
        ),
        ("neither", jwt(), vec![("sub", gone.clone()), ("client_id", gone.clone())], "Client"),
        (
            "user's sign",
            mail(),
            vec![("client_id", gone.clone()), ("email", json!("a@b.c"))],
            "User",
        ),
        ("user's sign absent", mail(), vec![("client_id", gone.clone())], "Unknown"),
        (
            "user's sign null",
            mail(),
            vec![("client_id", gone.clone()), ("email", null.clone())],
            "Unknown",
        ),
        (
            "user's sign empty",
            mail(),
            vec![("client_id", gone.clone()), ("email", json!(""))],
            "Unknown",
        ),
        (
            "user's sign false",
            mail(),
            vec![("client_id", gone.clone()), ("email", json!(false))],
            "Unknown",
        ),
        (
            "user's sign an empty array",
            mail(),
            vec![("client_id", gone.clone()), ("email", json!([]))],
            "Unknown",
        ),
        (
            "user's sign an empty object",
            mail(),
            vec![("client_id", gone.clone()), ("email", json!({}))],
            "Unknown",
        ),
        (
            "user's sign on a client",
            mail(),
            vec![("client_id", json!("alice")), ("email", json!("a@b.c"))],
            "Client",
        ),
        (
            "user's sign on a known machine",
            mail(),
            vec![
                ("client_id", gone.clone()),
                ("email", json!("a@b.c")),
                ("gty", json!("client-credentials")),
            ],
            "Client",
        ),
        (
            "user's sign against a client's",
            mail().client_if_present("svc"),
            vec![("email", json!("a@b.c")), ("svc", json!(1))],
            "Client",
        ),
        (
            "user's sign by value",
            role(),
            vec![("client_id", gone.clone()), ("role", json!("person"))],
            "User",
        ),
        (
            "user's sign by value, in an array",
            role(),
            vec![("client_id", gone.clone()), ("role", json!(["x", "person"]))],
            "User",
        ),
        (
            "user's sign by another value",
            role(),
            vec![("client_id", gone.clone()), ("role", json!("persons"))],
            "Unknown",
        ),
        (
            "user's sign by value, inside an object",
            role(),
            vec![("client_id", gone.clone()), ("role", json!({ "person": "person" }))],
            "Unknown",
        ),
        ("client's sign by value", machine(), vec![("aut", json!("MACHINE"))], "Client"),
        (
            "client's sign by value, in an array",
            machine(),
            vec![("aut", json!(["MACHINE"]))],
            "Client",
        ),
        ("client's sign by another value", machine(), vec![("aut", json!("PERSON"))], "User"),
        ("client's sign in another case", machine(), vec![("aut", json!("machine"))], "User"),
        ("client in the audience", named(), vec![("aud", json!([AUDIENCE, "app"]))], "User"),
        ("client not in the audience", named(), vec![], "Client"),
        ("a known sign", jwt(), vec![("aut", json!("APPLICATION"))], "Client"),
        ("a known sign of users", jwt(), vec![("aut", json!("APPLICATION_USER"))], "User"),
        ("a known grant", jwt(), vec![("gty", json!(["client_credentials"]))], "Client"),
        ("another grant", jwt(), vec![("gty", json!(["authorization_code"]))], "User"),
        ("a workload", jwt(), vec![("sub", json!("spiffe://example.com/api"))], "Client"),
        // What brings the old answers back.
        (
            "any subject, no client",
            danger::any_subject_is_a_user(jwt()),
            vec![("client_id", gone.clone())],
            "User",
        ),
        (
            "any subject, a known sign",
            danger::any_subject_is_a_user(jwt()),
            vec![("aut", json!("APPLICATION"))],
            "User",
        ),
        (
            "any subject, the client's",
            danger::any_subject_is_a_user(jwt()),
            vec![("client_id", json!("alice"))],
            "Client",
        ),
        (
            "any subject, a sign of the profile",
            danger::any_subject_is_a_user(machine()),
            vec![("aut", json!("MACHINE"))],
            "Client",
        ),
        (
            "any subject, none",
            danger::any_subject_is_a_user(jwt()),
            vec![("sub", gone.clone())],
            "Client",
        ),
    ] {
        let server = builder(trusting(&issuer).profile(profile)).build().unwrap();
        let token = issuer.token().header("typ", "JWT").subject("alice").claim("client_id", "app");
        let token = claims.iter().fold(token, |token, (claim, value)| match value {
            value if *value == gone => token.without(claim),
            value => token.claim(claim, value.clone()),
        });
        let token = token.sign();
        let reply = api(server.layer()).bearer(&token).await;
        reply.assert_ok(name);
        assert_eq!(kind(&reply), expected, "{name}");
        let users = api(server.protect(user())).bearer(&token).await;
        match expected {
            "User" => users.assert_ok(name),
            _ => {
                assert_eq!(users.status, 403, "{name}");
                assert!(!users.ran, "{name}");
            }
        }
    }
}

#[tokio::test]
async fn where_nothing_tells_a_user_the_client_gets_no_code_and_the_log_the_setting() {
    let issuer = issuer();
    let server = builder(trusting(&issuer).profile(Profile::jwt())).build().unwrap();
    let token = |claim: &str| {
        issuer
            .token()
            .header("typ", "JWT")
            .without("client_id")
            .claim(claim, "my-app")
            .scope("a")
            .sign()
    };
    for (name, policy, status, code) in [
        ("a user", user(), 403, None),
        ("a user with a scope", all_of([user(), scope("a")]), 403, None),
        ("a user with a scope that lacks", all_of([user(), scope("b")]), 403, None),
        ("a user or a scope", any_of([user(), scope("a")]), 200, None),
        (
            "a user or a scope that lacks",
            any_of([user(), scope("b")]),
            403,
            Some("insufficient_scope"),
        ),
        ("any token", authenticated(), 200, None),
    ] {
        let reply = api(server.protect(policy)).bearer(&token("azp")).await;
        assert_eq!(reply.status, status, "{name}");
        if status == 403 {
            assert_eq!(reply.challenges.len(), 1, "{name}");
            assert_eq!(reply.challenges[0].param("error"), code, "{name}");
        }
        let unknown = status == 403 && code.is_none();
        let expected = Error::UnknownPrincipal { claim: Some("azp") };
        assert_eq!(reply.error == Some(expected), unknown, "{name}: {:?}", reply.error);
    }
    for (claim, shown) in [("azp", true), ("cid", true), ("appid", true), ("other", false)] {
        let reply = api(server.protect(user())).bearer(&token(claim)).await;
        let logged = reply.error.unwrap().to_string();
        for setting in
            ["Profile::client_claim", "Profile::client_if_value", "Profile::user_if_present"]
        {
            assert!(logged.contains(setting), "{logged}");
        }
        assert_eq!(logged.contains(&format!("`{claim}`")), shown, "{logged}");
        assert!(!logged.contains("my-app") && !logged.contains("alice"), "{logged}");
    }
}

#[test]
fn debug_of_a_principal_shows_neither_subject_nor_client() {
    let (iss, sub, client_id) = ("https://as.example.com", "alice", Some("my-app"));
    for (principal, expected) in [
        (Principal::User { iss, sub }, "User"),
        (Principal::Client { iss, client_id }, "Client"),
        (Principal::Unknown { iss, sub: Some(sub), client_id }, "Unknown"),
    ] {
        let shown = format!("{principal:?} {principal:#?}");
        assert!(shown.starts_with(expected) && shown.contains(iss), "{shown}");
        assert!(!shown.contains("alice") && !shown.contains("my-app"), "{shown}");
    }
    let iss = "https://user:hunter2@as.example.com";
    let shown = format!("{:?}", Principal::User { iss, sub });
    assert!(shown.contains("as.example.com") && !shown.contains("hunter2"), "{shown}");
}

/// What a route's log would say of the refusal, or nothing.
fn logged(reply: &Reply) -> String {
    reply.error.as_ref().map(ToString::to_string).unwrap_or_default()
}

#[tokio::test]
async fn a_nonce_is_no_sign_of_an_id_token_where_the_token_names_its_kind() {
    let issuer = issuer();
    let profile = || Profile::jwt().access_if_value("kind", "api");
    let nonce = ("nonce", json!("n-0S6_WzA2Mj"));
    for (name, claims, good) in [
        ("a nonce alone", vec![], false),
        ("Keycloak's access token", vec![("typ", json!("Bearer"))], true),
        ("in lower case", vec![("typ", json!("bearer"))], true),
        ("a word for any JWT", vec![("typ", json!("JWT"))], false),
        ("Keycloak's ID token", vec![("typ", json!("ID"))], false),
        ("a use of access", vec![("token_use", json!("access"))], true),
        ("a use of ID tokens", vec![("token_use", json!("id"))], false),
        ("both, which disagree", vec![("typ", json!("Bearer")), ("token_use", json!("id"))], false),
        ("a word of its own", vec![("kind", json!("api"))], true),
        ("another word there", vec![("kind", json!("login"))], false),
        // What only an ID token has outweighs a word.
        ("a hash", vec![("typ", json!("Bearer")), ("at_hash", json!("x"))], false),
    ] {
        let claims: Vec<_> = [nonce.clone()].into_iter().chain(claims).collect();
        let reply = ask(&issuer, profile(), &claims, false).await;
        if good { reply.assert_ok(name) } else { reply.assert_invalid_token(name) }
    }
}

#[tokio::test]
async fn words_for_access_tokens_can_be_set_and_none_for_other_kinds() {
    let issuer = issuer();
    let set = |name: &'static str, value: &'static str| Profile::jwt().access_if_value(name, value);
    for (name, profile, claim, value, good) in [
        ("not set", Profile::jwt(), "typ", "access", false),
        ("set", set("typ", "access"), "typ", "access", true),
        ("in another case", set("typ", "access"), "typ", "Access", true),
        ("another word", set("typ", "access"), "typ", "user", false),
        ("a longer word", set("typ", "access"), "typ", "accessory", false),
        ("the usual word beside it", set("typ", "access"), "typ", "Bearer", true),
        ("set for another claim", set("token_use", "api"), "typ", "api", false),
        ("a use, not set", Profile::jwt(), "token_use", "api", false),
        ("a use, set", set("token_use", "api"), "token_use", "api", true),
        ("a refresh token, set", set("typ", "Refresh"), "typ", "Refresh", false),
        (
            "a refresh token's use, set",
            set("token_use", "refresh_token"),
            "token_use",
            "refresh_token",
            false,
        ),
        ("an ID token, set", set("typ", "id"), "typ", "id", false),
        ("a logout token, set", set("typ", "logout+jwt"), "typ", "logout+jwt", false),
        ("a word that begins alike", set("typ", "identity"), "typ", "identity", true),
        ("a type of access tokens", Profile::jwt(), "token_type", "access", true),
        ("a type of refresh tokens", Profile::jwt(), "token_type", "refresh", false),
        ("a type of ID tokens", Profile::jwt(), "token_type", "id_token", false),
    ] {
        let reply = ask(&issuer, profile, &[(claim, json!(value))], false).await;
        if good { reply.assert_ok(name) } else { reply.assert_invalid_token(name) }
    }
    let reply = ask(&issuer, Profile::jwt(), &[("typ", json!("access"))], false).await;
    assert!(logged(&reply).contains("Profile::access_if_value"), "{}", logged(&reply));
}

#[tokio::test]
async fn a_scope_is_a_string_for_one_and_an_array_for_several() {
    let issuer = issuer();
    let array = || Profile::rfc9068().scope_array_claim("scope");
    for (name, profile, value, expected) in [
        ("a string", Profile::rfc9068(), json!("a b"), Some("a b")),
        ("an array by RFC 9068", Profile::rfc9068(), json!(["a", "b"]), None),
        ("an array by opt-in", array(), json!(["a", "b"]), Some("a b")),
        ("a string, where arrays are expected", array(), json!("a"), Some("a")),
        ("an array of another server's", Profile::jwt(), json!(["a", "b"]), Some("a b")),
        ("its string", Profile::jwt(), json!("a"), Some("a")),
        ("an empty array", Profile::jwt(), json!([]), Some("")),
        ("a word with a space", Profile::jwt(), json!(["a b"]), None),
        ("a word that is no text", Profile::jwt(), json!(["a", 1]), None),
        ("an object", Profile::jwt(), json!({ "a": true }), None),
        ("true", array(), json!(true), None),
    ] {
        let server = builder(trusting(&issuer).profile(profile)).build().unwrap();
        let reply = api(server.layer()).bearer(&issuer.token().claim("scope", value).sign()).await;
        match expected {
            Some(scope) => {
                reply.assert_ok(name);
                assert_eq!(reply.json()["scope"], scope, "{name}");
            }
            None => {
                reply.assert_invalid_token(name);
                assert_eq!(reply.error, Some(Error::MalformedClaim { claim: "scope".into() }));
                assert!(logged(&reply).contains("Profile::scope_array_claim"), "{name}");
            }
        }
    }
}

#[tokio::test]
async fn a_missing_audience_names_what_needs_none() {
    let issuer = issuer();
    let api = api(builder(trusting(&issuer)).build().unwrap().layer());
    let reply = api.bearer(&issuer.token().without("aud").sign()).await;
    reply.assert_invalid_token("no audience");
    assert_eq!(reply.error, Some(Error::MissingClaim { claim: "aud".into() }));
    for setting in
        ["Profile::audience_claim", "providers::cognito", "Introspection::audience_optional"]
    {
        assert!(logged(&reply).contains(setting), "{}", logged(&reply));
    }
    let reply = api.bearer(&issuer.token().without("sub").sign()).await;
    assert_eq!(
        logged(&reply),
        "claim `sub` is missing: RFC 9068 requires it; for a server that does not follow it, see \
         `Profile::jwt` and `providers`"
    );
    api.bearer(&issuer.token().sign()).await.assert_ok("with an audience");
}

/// Whether `role("editor")` and `not(role("guest"))` let a token through. A refusal has no error code.
async fn roles(issuer: &TestIssuer, profile: Profile, claims: &[(&str, Value)]) -> (bool, bool) {
    let server = builder(trusting(issuer).profile(profile)).build().unwrap();
    let token =
        claims.iter().fold(issuer.token(), |token, (name, value)| token.claim(name, value.clone()));
    let token = token.sign();
    let mut passed = Vec::new();
    for policy in [role("editor"), not(role("guest"))] {
        let reply = api(server.protect(policy)).bearer(&token).await;
        if reply.status != 200 {
            assert_eq!(reply.status, 403, "{:?}", reply.error);
            assert_eq!(reply.error.as_ref().map(Error::code), Some("access_denied"));
            for param in ["error", "scope"] {
                assert_eq!(reply.challenges[0].param(param), None, "{param}");
            }
        }
        passed.push(reply.ran);
    }
    (passed[0], passed[1])
}

#[tokio::test]
async fn a_role_that_must_be_missing_needs_a_complete_list_of_roles() {
    let issuer = issuer();
    let default = Profile::rfc9068;
    let tags = || default().without_roles().roles_claim("tags");
    let names = || default().without_roles().role_names_claim("tags");
    let deep = || default().without_roles().roles_at("/tags/roles");
    let editor = json!(["editor"]);
    for (name, profile, claims, expected) in [
        ("no claim", default(), vec![], (false, false)),
        ("null", default(), vec![("roles", json!(null))], (false, false)),
        ("a list without the role", default(), vec![("roles", editor.clone())], (true, true)),
        ("an empty list", default(), vec![("roles", json!([]))], (false, true)),
        (
            "a list with the role",
            default(),
            vec![("roles", json!(["editor", "guest"]))],
            (true, false),
        ),
        ("another case", default(), vec![("roles", json!(["Editor", "Guest"]))], (false, true)),
        ("a longer name", default(), vec![("roles", json!(["editors", "guests"]))], (false, true)),
        ("one string", default(), vec![("roles", json!("editor"))], (true, true)),
        (
            "one string with a space",
            default(),
            vec![("roles", json!("guest editor"))],
            (false, false),
        ),
        (
            "one string with commas",
            default(),
            vec![("roles", json!("editor,guest"))],
            (false, false),
        ),
        (
            "one string with semicolons",
            default(),
            vec![("roles", json!("editor; guest"))],
            (false, false),
        ),
        (
            "an array with a space",
            default(),
            vec![("roles", json!(["editor", "a guest"]))],
            (true, true),
        ),
        (
            "SCIM",
            default(),
            vec![("roles", json!([{ "value": "editor", "display": "guest" }]))],
            (true, true),
        ),
        (
            "SCIM, with the role",
            default(),
            vec![("roles", json!([{ "value": "guest" }]))],
            (false, false),
        ),
        ("an object", default(), vec![("roles", json!({ "editor": {} }))], (false, false)),
        ("a boolean", default(), vec![("roles", json!(true))], (false, false)),
        ("a number", default(), vec![("roles", json!(7))], (false, false)),
        (
            "an element of another type",
            default(),
            vec![("roles", json!(["editor", 7]))],
            (true, false),
        ),
        (
            "an element without a value",
            default(),
            vec![("roles", json!(["editor", { "key": "guest" }]))],
            (true, false),
        ),
        ("a nested list", default(), vec![("roles", json!([["editor"]]))], (false, false)),
        (
            "two claims",
            default(),
            vec![("roles", editor.clone()), ("groups", json!(["guest"]))],
            (true, false),
        ),
        (
            "a good and a bad claim",
            default(),
            vec![("groups", editor.clone()), ("roles", json!(7))],
            (true, false),
        ),
        (
            "a claim that is not read",
            default(),
            vec![("role", json!(["editor", "guest"]))],
            (false, false),
        ),
        ("no place", default().without_roles(), vec![("roles", editor.clone())], (false, false)),
        ("another place", tags(), vec![("roles", editor.clone())], (false, false)),
        (
            "the place that is set",
            tags(),
            vec![("tags", editor.clone()), ("roles", json!(["guest"]))],
            (true, true),
        ),
        ("names", names(), vec![("tags", json!({ "editor": null }))], (true, true)),
        (
            "names, with the role",
            names(),
            vec![("tags", json!({ "editor": {}, "guest": {} }))],
            (true, false),
        ),
        ("names in an array", names(), vec![("tags", editor.clone())], (false, false)),
        ("names as a string", names(), vec![("tags", json!("editor"))], (false, false)),
        ("deep", deep(), vec![("tags", json!({ "roles": editor }))], (true, true)),
        (
            "deep, with the role",
            deep(),
            vec![("tags", json!({ "roles": ["guest"] }))],
            (false, false),
        ),
        ("deep, absent", deep(), vec![("tags", json!({ "role": ["editor"] }))], (false, false)),
        (
            "deep, another type",
            deep(),
            vec![("tags", json!({ "roles": { "editor": 1 } }))],
            (false, false),
        ),
    ] {
        assert_eq!(roles(&issuer, profile, &claims).await, expected, "{name}");
    }
}

#[tokio::test]
async fn a_place_for_roles_with_the_audience_in_its_name_is_only_that_of_this_server() {
    let issuer = issuer();
    let arrays = || Profile::rfc9068().without_roles().roles_claim("of:{audience}:roles");
    let names = || Profile::rfc9068().without_roles().role_names_claim("of:{audience}:roles");
    let own = format!("of:{AUDIENCE}:roles");
    let editor = json!(["editor"]);
    for (name, profile, claim, value, expected) in [
        ("array", arrays(), &*own, editor.clone(), (true, true)),
        ("names", names(), &own, json!({ "editor": {} }), (true, true)),
        ("another form", names(), &own, editor.clone(), (false, false)),
        (
            "another audience",
            arrays(),
            "of:https://other.example.com:roles",
            editor.clone(),
            (false, false),
        ),
        (
            "a longer one",
            arrays(),
            &format!("of:{AUDIENCE}/:roles"),
            editor.clone(),
            (false, false),
        ),
        ("none", arrays(), "of::roles", editor.clone(), (false, false)),
        ("the setting itself", arrays(), "of:{audience}:roles", editor.clone(), (false, false)),
        (
            "another start",
            arrays(),
            &format!("xof:{AUDIENCE}:roles"),
            editor.clone(),
            (false, false),
        ),
        ("another end", arrays(), &format!("{own}s"), editor, (false, false)),
    ] {
        assert_eq!(roles(&issuer, profile, &[(claim, value)]).await, expected, "{name}");
    }
    // Both parts of the name overlap in a short one.
    let short = Profile::rfc9068().without_roles().roles_claim("aba{audience}aba");
    assert_eq!(roles(&issuer, short, &[("aba", json!(["editor"]))]).await, (false, false));
}

#[test]
fn a_place_for_roles_that_cannot_be_is_refused_when_the_server_is_built() {
    let issuer = issuer();
    for (name, profile, problem) in [
        ("no name", Profile::jwt().roles_claim(""), Some("roles_claim ``: must not be empty")),
        (
            "no name of an object",
            Profile::jwt().role_names_claim(""),
            Some("role_names_claim ``: must not be empty"),
        ),
        ("no client", Profile::jwt().client_roles(""), Some("client_roles ``: must not be empty")),
        (
            "no slash",
            Profile::jwt().roles_at("realm_access/roles"),
            Some("roles_at `realm_access/roles`"),
        ),
        ("a bad escape", Profile::jwt().roles_at("/a~2b"), Some("roles_at `/a~2b`")),
        ("the empty pointer", Profile::jwt().roles_at(""), Some("roles_at ``")),
        ("a claim", Profile::jwt().roles_claim("a"), None),
        ("a pointer", Profile::jwt().roles_at("/realm_access/roles"), None),
        ("a client with any name", Profile::jwt().client_roles("~2/ é"), None),
    ] {
        match (builder(trusting(&issuer).profile(profile)).build(), problem) {
            (Ok(_), None) => {}
            (Err(error), Some(problem)) => {
                assert!(
                    error.problems().iter().any(|own| own.contains(problem)),
                    "{name}: {error}"
                );
            }
            (built, _) => panic!("{name}: {:?}", built.err()),
        }
    }
}
