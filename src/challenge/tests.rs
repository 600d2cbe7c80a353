use super::*;

fn config() -> ChallengeConfig {
    ChallengeConfig { realm: "notes".into(), descriptions: true, ..ChallengeConfig::default() }
}

fn text(config: &ChallengeConfig, scope: &str, code: Code) -> Result<String, String> {
    let scope: Vec<_> = scope.split(' ').filter_map(|word| ScopeToken::parse(word).ok()).collect();
    let challenges = Challenges::build(config, &scope)?;
    Ok(challenges.of(code, Scheme::Bearer, None).challenges[0].to_str().unwrap().to_owned())
}

#[test]
fn challenges() {
    for (name, scope, code, expected) in [
        ("invitation", "", Code::None, r#"Bearer realm="notes""#),
        ("invitation with scope", "a b", Code::None, r#"Bearer realm="notes", scope="a b""#),
        (
            "invalid_token",
            "",
            Code::InvalidToken,
            "Bearer realm=\"notes\", error=\"invalid_token\", error_description=\"The access \
             token is not valid for this resource\"",
        ),
        (
            "invalid_request names no scope",
            "a",
            Code::InvalidRequest,
            "Bearer realm=\"notes\", error=\"invalid_request\", error_description=\"The \
             request must carry one access token, well-formed\"",
        ),
    ] {
        assert_eq!(text(&config(), scope, code).as_deref(), Ok(expected), "{name}");
    }
}

#[test]
fn a_scope_is_found_whatever_the_realm_says() {
    for realm in ["notes", "x scope=", r#"x" scope="offline"#, r"x\", r#"a scope="offline""#, ""] {
        let config = ChallengeConfig { realm: realm.into(), ..config() };
        let scope = ["read", "write"].map(|scope| ScopeToken::parse(scope).unwrap());
        let challenges = Challenges::build(&config, &scope).unwrap();
        for (scope, named) in [("read", true), ("write", true), ("rea", false), ("offline", false)]
        {
            assert_eq!(challenges.name_scope(scope), named, "{scope} with the realm {realm}");
        }
        let none = Challenges::build(&config, &[]).unwrap();
        assert!(!none.name_scope("offline") && !none.name_scope("read"), "{realm}");
    }
}

#[test]
fn metadata_is_named_whatever_the_code_and_by_our_scheme_alone() {
    let url = "https://api.example.com/.well-known/oauth-protected-resource/v1";
    let others = vec![parse_other("ApiKey").unwrap()];
    let resource_metadata = Some(url.to_owned());
    let config = ChallengeConfig { resource_metadata, others, ..config() };
    let parameter = format!("resource_metadata=\"{url}\"");
    let all = Challenges::build(&config, &[]).unwrap();
    let step_up = StepUp { acr_values: None, max_age: Some(60) };
    let branch = BranchChallenges::build(&config, &[], Some(&step_up)).unwrap();
    for code in [
        Code::None,
        Code::Denied,
        Code::InvalidRequest,
        Code::InvalidToken,
        Code::InsufficientScope,
        Code::InsufficientUserAuthentication,
    ] {
        let prepared = all.of(code, Scheme::Bearer, Some(&branch));
        let named = |value: &&HeaderValue| value.to_str().unwrap().contains(&parameter);
        let with: Vec<_> = prepared.challenges.iter().filter(named).collect();
        assert_eq!(with, [&prepared.challenges[0]], "{code:?}");
        assert!(prepared.challenges[0].to_str().unwrap().starts_with("Bearer "));
    }
}

#[test]
fn values_are_quoted_or_refused() {
    let realm = |realm: &str| ChallengeConfig { realm: realm.into(), ..config() };
    let quoted = text(&realm(r#"a"b\c, d"#), "", Code::None);
    assert_eq!(quoted.as_deref(), Ok(r#"Bearer realm="a\"b\\c, d""#));
    for bad in ["a\r\nb", "a\0", "é", "a\tb"] {
        assert!(text(&realm(bad), "", Code::None).is_err(), "{bad:?}");
    }
}

#[test]
fn names_stand_once_and_are_tokens() {
    let with = |name: &str| ChallengeConfig { params: vec![(name.into(), "x".into())], ..config() };
    assert!(text(&with("resource"), "", Code::None).is_ok());
    assert!(text(&with("Realm"), "", Code::None).is_err());
    for own in ["ERROR", "error_description", "error_uri", "scope"] {
        assert!(text(&with(own), "", Code::None).is_err(), "{own} stands in other challenges");
    }
    assert!(text(&with("a b"), "", Code::None).is_err());
    assert!(text(&with(""), "", Code::None).is_err());
    let url = Some("https://api.example.com/.well-known/oauth-protected-resource".to_owned());
    let with = |name| ChallengeConfig { resource_metadata: url.clone(), ..with(name) };
    assert!(text(&with("resource"), "", Code::None).is_ok());
    assert!(text(&with("Resource_Metadata"), "", Code::None).is_err());
}

#[test]
fn challenges_of_other_schemes() {
    for (challenge, good) in [
        ("ApiKey", true),
        (r#"ApiKey realm="partners""#, true),
        ("Negotiate", true),
        ("", false),
        (" ApiKey", false),
        ("Api,Key x", false),
        (r#"bearer realm="x""#, false),
        ("DPOP", false),
        ("ApiKey realm=\"é\"", false),
        ("ApiKey a\r\nb", false),
    ] {
        assert_eq!(parse_other(challenge).is_ok(), good, "{challenge:?}");
    }
    let others = vec![parse_other("ApiKey").unwrap()];
    let config = ChallengeConfig { others, ..config() };
    let challenges = Challenges::build(&config, &[]).unwrap();
    let of = |code| challenges.of(code, Scheme::Bearer, None);
    let count = |code| of(code).headers.get_all(WWW_AUTHENTICATE).iter().count();
    let codes = [Code::None, Code::InvalidToken, Code::InvalidRequest, Code::Denied];
    assert_eq!(codes.map(count), [2, 2, 1, 1]);
}

#[test]
fn error_uris() {
    for (uri, good) in [
        ("https://docs.example.com/errors", true),
        ("/errors", false),
        ("https://docs.example.com/a b", false),
        ("https://docs.example.com/\"", false),
        ("1https:x", false),
        ("", false),
    ] {
        assert_eq!(is_error_uri(uri), good, "{uri}");
    }
}

#[test]
fn an_error_code_is_in_the_challenge_of_the_scheme_that_was_used() {
    let algs = || "ES256 PS256".to_owned();
    let step_up = StepUp { acr_values: None, max_age: Some(60) };
    let shown = |dpop: Option<DpopChallenge>, code, scheme| {
        let config = ChallengeConfig { dpop, descriptions: false, ..config() };
        let scope = [ScopeToken::parse("a").unwrap()];
        let challenges = Challenges::build(&config, &scope).unwrap();
        let branch = BranchChallenges::build(&config, &scope, Some(&step_up)).unwrap();
        let prepared = challenges.of(code, scheme, Some(&branch));
        prepared.challenges.iter().map(|c| c.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (bearer, dpop) = (Scheme::Bearer, Scheme::Dpop);
    let plain = r#"Bearer realm="notes", scope="a""#;
    let proof = r#"DPoP realm="notes", scope="a", algs="ES256 PS256""#;
    let cases: [(Code, Scheme, &[&str]); 12] = [
        (Code::None, bearer, &[plain, proof]),
        (Code::Denied, bearer, &[plain]),
        (Code::Denied, dpop, &[proof]),
        (Code::InvalidRequest, bearer, &[r#"Bearer realm="notes", error="invalid_request""#]),
        (
            Code::InvalidRequest,
            dpop,
            &[r#"DPoP realm="notes", error="invalid_request", algs="ES256 PS256""#],
        ),
        (
            Code::InvalidToken,
            bearer,
            &[r#"Bearer realm="notes", error="invalid_token", scope="a""#, proof],
        ),
        (
            Code::InvalidToken,
            dpop,
            &[r#"DPoP realm="notes", error="invalid_token", scope="a", algs="ES256 PS256""#, plain],
        ),
        (
            Code::InvalidProof,
            dpop,
            &[r#"DPoP realm="notes", error="invalid_dpop_proof", algs="ES256 PS256""#],
        ),
        (
            Code::UseNonce,
            dpop,
            &[r#"DPoP realm="notes", error="use_dpop_nonce", algs="ES256 PS256""#],
        ),
        (
            Code::InsufficientScope,
            dpop,
            &[r#"DPoP realm="notes", error="insufficient_scope", scope="a", algs="ES256 PS256""#],
        ),
        (
            Code::InsufficientUserAuthentication,
            dpop,
            &["DPoP realm=\"notes\", error=\"insufficient_user_authentication\", scope=\"a\", \
                 max_age=\"60\", algs=\"ES256 PS256\""],
        ),
        (
            Code::InsufficientScope,
            bearer,
            &[r#"Bearer realm="notes", error="insufficient_scope", scope="a""#],
        ),
    ];
    for (code, scheme, expected) in cases {
        let on = Some(DpopChallenge { algs: algs(), alone: false });
        assert_eq!(shown(on, code, scheme), expected, "{code:?} {scheme:?}");
    }
    // Where every token must be bound to a key, `Bearer` is not offered.
    let alone = || Some(DpopChallenge { algs: algs(), alone: true });
    assert_eq!(shown(alone(), Code::None, bearer), [proof]);
    assert_eq!(shown(alone(), Code::InvalidToken, dpop).len(), 1);
    assert_eq!(shown(alone(), Code::InvalidToken, bearer).len(), 2);
    assert_eq!(shown(None, Code::None, bearer), [plain]);
}
