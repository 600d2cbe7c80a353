use std::time::Duration;

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use form_urlencoded::Serializer;
use serde_json::json;

use super::*;
use crate::introspection::endpoint::credentials::JWT_BEARER;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn sent(auth: &ClientAuth) -> (Option<String>, String) {
    let mut form = Serializer::new(String::new());
    let credentials = auth.prepare("https://as").unwrap();
    let header = credentials.add_to(&mut form, Duration::from_secs(1_000)).unwrap();
    (header.map(|value| value.to_str().unwrap().to_owned()), form.finish())
}

#[test]
fn secrets_by_header_and_form() {
    // RFC 6749 §2.3.1 and appendix B.
    let auth = ClientAuth::client_secret_basic("a:b c", "p%+é&=");
    let pair = STANDARD.encode("a%3Ab+c:p%25%2B%C3%A9%26%3D");
    assert_eq!(sent(&auth), (Some(format!("Basic {pair}")), String::new()));
    let auth = ClientAuth::client_secret_post("a:b", "p%+");
    assert_eq!(sent(&auth), (None, "client_id=a%3Ab&client_secret=p%25%2B".to_owned()));
    assert_eq!(sent(&ClientAuth::bearer_token("abc")).0.as_deref(), Some("Bearer abc"));
    assert_eq!(sent(&ClientAuth::mutual_tls("a", "PEM")), (None, "client_id=a".to_owned()));
}

#[test]
fn an_assertion_names_the_client_and_the_server_and_is_never_the_same() {
    let auth = ClientAuth::client_secret_jwt("app", SECRET).key_id("k1");
    let assertion = |auth: &ClientAuth| {
        let (_, form) = sent(auth);
        let pairs: Vec<_> = form_urlencoded::parse(form.as_bytes()).into_owned().collect();
        assert_eq!(pairs[0], ("client_id".into(), "app".into()));
        assert_eq!(pairs[1], ("client_assertion_type".into(), JWT_BEARER.into()));
        let parts: Vec<_> = pairs[2].1.split('.').map(str::to_owned).collect();
        let json = |part: &str| -> serde_json::Value {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
        };
        (json(&parts[0]), json(&parts[1]))
    };
    let (header, mut claims) = assertion(&auth);
    assert_eq!(header, json!({ "alg": "HS256", "typ": "JWT", "kid": "k1" }));
    let jti = claims["jti"].take();
    let expected = json!({
        "iss": "app", "sub": "app", "aud": "https://as", "iat": 1000, "exp": 1060, "jti": null,
    });
    assert_eq!(claims, expected);
    assert_ne!(assertion(&auth).1["jti"], jti);
    let auth = auth.assertion_audience("https://as/introspect");
    assert_eq!(assertion(&auth).1["aud"], "https://as/introspect");
}

#[test]
fn what_can_t_be_is_said_without_the_secret() {
    for (auth, expected) in [
        (ClientAuth::client_secret_basic("", SECRET), "client_id"),
        (ClientAuth::client_secret_basic("app", ""), "client_secret_basic: the secret"),
        (ClientAuth::client_secret_post("app", ""), "client_secret_post: the secret"),
        (ClientAuth::bearer_token(""), "bearer_token: the secret"),
        (ClientAuth::client_secret_jwt("app", &SECRET[1..]), "client_secret_jwt: secret"),
        (ClientAuth::private_key_jwt("app", Algorithm::ES256, SECRET), "private_key_jwt: no PEM"),
        (ClientAuth::bearer_token(format!("{SECRET}\n")), "bearer_token"),
        (ClientAuth::client_secret_post("app", SECRET).key_id("k"), "client_secret_post: has no"),
    ] {
        let problem = auth.prepare("https://as").unwrap_err();
        assert!(problem.starts_with(expected), "{problem}");
        assert!(!format!("{problem} {auth:?}").contains(&SECRET[1..]), "{problem}");
    }
}
