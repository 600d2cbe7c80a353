use super::*;

fn config() -> ChallengeConfig {
    ChallengeConfig { realm: "notes".into(), descriptions: true, ..ChallengeConfig::default() }
}

fn text(config: &ChallengeConfig, scope: &str, code: Code) -> Result<String, String> {
    let scope: Vec<_> = scope.split(' ').filter_map(|word| ScopeToken::parse(word).ok()).collect();
    let challenges = Challenges::build(config, &scope)?;
    Ok(challenges.of(code, None).challenges[0].to_str().unwrap().to_owned())
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
fn metadata_is_named_whatever_the_code_and_by_our_scheme_alone() {
    let url = "https://api.example.com/.well-known/oauth-protected-resource/v1";
    let others = vec![parse_other("ApiKey").unwrap()];
    let resource_metadata = Some(url.to_owned());
    let config = ChallengeConfig { resource_metadata, others, ..config() };
    let parameter = format!("resource_metadata=\"{url}\"");
    let (all, lacks) =
        (Challenges::build(&config, &[]).unwrap(), Challenges::without_scope(&config).unwrap());
    let step_up = StepUp { acr_values: None, max_age: Some(60) };
    let branch = BranchChallenges::build(&config, &[], Some(&step_up)).unwrap();
    for code in [
        Code::None,
        Code::InvalidRequest,
        Code::InvalidToken,
        Code::InsufficientScope,
        Code::InsufficientUserAuthentication,
    ] {
        for challenges in [&all, &lacks] {
            let prepared = challenges.of(code, Some(&branch));
            let named = |value: &&HeaderValue| value.to_str().unwrap().contains(&parameter);
            let with: Vec<_> = prepared.challenges.iter().filter(named).collect();
            assert_eq!(with, [&prepared.challenges[0]], "{code:?}");
            assert!(prepared.challenges[0].to_str().unwrap().starts_with("Bearer "));
        }
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
    let count = |code| challenges.of(code, None).headers.get_all(WWW_AUTHENTICATE).iter().count();
    assert_eq!([Code::None, Code::InvalidToken, Code::InvalidRequest].map(count), [2, 2, 1]);
    let lacks = Challenges::without_scope(&config).unwrap();
    assert_eq!(lacks.of(Code::None, None).challenges.len(), 1);
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
