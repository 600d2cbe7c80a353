//! Builds the trusted issuer from the command line, and describes the checks as text.

use std::time::Duration;

use clap::ValueEnum;
use tower_resource_server::introspection::{ClientAuth, Introspection};
use tower_resource_server::{ConfigError, Issuer, Profile, providers};

use crate::options::{Asked, OfProvider, Options, ProfileName, Provider, SecretIn, Written};

/// The problems that prevent the API from starting, one line for each.
pub struct Problems(pub Vec<String>);

impl From<ConfigError> for Problems {
    fn from(error: ConfigError) -> Self {
        Self(error.problems().to_vec())
    }
}

impl From<String> for Problems {
    fn from(problem: String) -> Self {
        Self(vec![problem])
    }
}

/// The trusted issuer.
pub fn issuer(options: &mut Options) -> Result<Issuer, Problems> {
    let mut issuer = match options.of_provider.provider {
        Some(provider) => known(provider, &mut options.issuer, &mut options.of_provider)?,
        None => {
            Issuer::new(text(&mut options.issuer, "--issuer")?).profile(profile(&options.written))
        }
    };
    for name in &options.alias {
        issuer = issuer.alias(name);
    }
    issuer = issuer.leeway(Duration::from_secs(options.leeway));
    if !options.jwks_uri.is_empty() {
        issuer = issuer.jwks_uris(&options.jwks_uri);
    }
    if !options.algorithms.is_empty() {
        issuer = issuer.algorithms(options.algorithms.iter().copied());
    }
    Ok(match introspection(&options.asked) {
        Some(introspection) => issuer.introspection(introspection),
        None => issuer,
    })
}

/// Calls the function of a provider. Its arguments are taken out of the options. Options that are
/// left have no effect, so they are reported as problems.
fn known(
    provider: Provider,
    issuer: &mut Option<String>,
    of: &mut OfProvider,
) -> Result<Issuer, Problems> {
    let made = match provider {
        Provider::Auth0 => providers::auth0(&text(&mut of.domain, "--domain")?)?,
        Provider::Auth0Rfc9068 => providers::auth0_rfc9068(&text(&mut of.domain, "--domain")?)?,
        Provider::Canaille => providers::canaille(text(issuer, "--issuer")?),
        Provider::Cognito => {
            let pool = text(&mut of.user_pool, "--user-pool")?;
            providers::cognito(&pool, list(&mut of.allowed_client, "--allowed-client")?)?
        }
        Provider::CognitoResourceBound => {
            providers::cognito_resource_bound(&text(&mut of.user_pool, "--user-pool")?)?
        }
        Provider::Duende => providers::duende(text(issuer, "--issuer")?),
        Provider::EntraB2c => {
            let tenant = text(&mut of.tenant, "--tenant")?;
            let tenant_id = one(&mut of.tenant_id, "--tenant-id")?;
            providers::entra_b2c(&tenant, &tenant_id, list(&mut of.policy, "--policy")?)?
        }
        Provider::EntraV1 => providers::entra_v1(&one(&mut of.tenant_id, "--tenant-id")?)?,
        Provider::EntraV2 => providers::entra_v2(&one(&mut of.tenant_id, "--tenant-id")?)?,
        Provider::EntraV2Multitenant => {
            let customers = list(&mut of.tenant_id, "--tenant-id")?;
            providers::entra_v2_multitenant(move |tenant| customers.iter().any(|own| own == tenant))
        }
        Provider::Fusionauth => {
            let url = text(&mut of.server_url, "--server-url")?;
            providers::fusionauth(&url, &text(issuer, "--issuer")?)
        }
        Provider::FusionauthEntities => {
            let url = text(&mut of.server_url, "--server-url")?;
            providers::fusionauth_entities(&url, &text(issuer, "--issuer")?)
        }
        Provider::GithubActions => {
            providers::github_actions(list(&mut of.owner_id, "--owner-id")?)?
        }
        Provider::GitlabCi => {
            let namespaces = list(&mut of.namespace_id, "--namespace-id")?;
            providers::gitlab_ci(text(issuer, "--issuer")?, namespaces)?
        }
        Provider::GoogleServiceAccounts => {
            providers::google_service_accounts(list(&mut of.account_id, "--account-id")?)?
        }
        Provider::Hydra => providers::hydra(text(issuer, "--issuer")?),
        Provider::Keycloak => providers::keycloak(text(issuer, "--issuer")?),
        Provider::Kubernetes => providers::kubernetes(text(issuer, "--issuer")?),
        Provider::KubernetesInCluster => {
            providers::kubernetes_in_cluster(text(issuer, "--issuer")?)?
        }
        Provider::Lemonldap => providers::lemonldap(text(issuer, "--issuer")?),
        Provider::Okta => providers::okta(&text(issuer, "--issuer")?)?,
        Provider::Pingfederate => providers::pingfederate(text(issuer, "--issuer")?),
        Provider::Pingone => providers::pingone(text(issuer, "--issuer")?),
        Provider::Rauthy => {
            let clients = list(&mut of.allowed_client, "--allowed-client")?;
            providers::rauthy(text(issuer, "--issuer")?, clients)?
        }
        Provider::SpringAuthorizationServer => {
            let clients = list(&mut of.allowed_client, "--allowed-client")?;
            providers::spring_authorization_server(text(issuer, "--issuer")?, clients)?
        }
        Provider::Wso2 => providers::wso2(text(issuer, "--issuer")?),
        Provider::Zitadel => providers::zitadel(text(issuer, "--issuer")?),
    };
    let left = [
        ("--issuer", issuer.is_some()),
        ("--domain", of.domain.is_some()),
        ("--tenant-id", !of.tenant_id.is_empty()),
        ("--tenant", of.tenant.is_some()),
        ("--policy", !of.policy.is_empty()),
        ("--user-pool", of.user_pool.is_some()),
        ("--allowed-client", !of.allowed_client.is_empty()),
        ("--server-url", of.server_url.is_some()),
        ("--owner-id", !of.owner_id.is_empty()),
        ("--namespace-id", !of.namespace_id.is_empty()),
        ("--account-id", !of.account_id.is_empty()),
    ];
    let useless = left.into_iter().filter(|(_, is_left)| *is_left);
    let useless: Vec<_> =
        useless.map(|(flag, _)| format!("{flag} plays no part with this --provider")).collect();
    if useless.is_empty() { Ok(made) } else { Err(Problems(useless)) }
}

fn text(option: &mut Option<String>, flag: &str) -> Result<String, Problems> {
    option.take().ok_or_else(|| format!("{flag} is needed").into())
}

fn list(values: &mut Vec<String>, flag: &str) -> Result<Vec<String>, Problems> {
    match std::mem::take(values) {
        none if none.is_empty() => Err(format!("{flag} is needed, once or more").into()),
        values => Ok(values),
    }
}

fn one(values: &mut Vec<String>, flag: &str) -> Result<String, Problems> {
    match <[String; 1]>::try_from(std::mem::take(values)) {
        Ok([value]) => Ok(value),
        Err(_) => Err(format!("{flag} is needed, once").into()),
    }
}

fn profile(written: &Written) -> Profile {
    let mut profile = match written.profile {
        ProfileName::Rfc9068 => Profile::rfc9068(),
        ProfileName::Jwt => Profile::jwt(),
    };
    if let Some(claim) = &written.client_claim {
        profile = profile.client_claim(claim.clone());
    }
    if let Some(claim) = &written.scope_claim {
        profile = profile.scope_claim(claim.clone());
    }
    if let Some(claim) = &written.scope_array_claim {
        profile = profile.scope_array_claim(claim.clone());
    }
    if let Some(claim) = &written.audience_claim {
        profile = profile.audience_claim(claim.clone());
    }
    for claim in &written.claim_optional {
        profile = profile.claim_optional(claim.clone());
    }
    for claim in &written.require_claim {
        profile = profile.require_claim(claim.clone());
    }
    profile
}

fn introspection(asked: &Asked) -> Option<Introspection> {
    let (id, secret) = asked.client_id.as_ref().zip(asked.client_secret.as_ref())?;
    let auth = match asked.client_secret_in {
        SecretIn::Basic => ClientAuth::client_secret_basic(id, secret),
        SecretIn::BasicAsIs => ClientAuth::client_secret_basic_as_is(id, secret),
        SecretIn::Post => ClientAuth::client_secret_post(id, secret),
    };
    let mut introspection =
        Introspection::new(auth).cache_ttl(Duration::from_secs(asked.introspection_ttl));
    if let Some(endpoint) = &asked.introspection_endpoint {
        introspection = introspection.endpoint(endpoint);
    }
    if asked.jwt_and_introspect {
        introspection = introspection.also_for_jwts();
    }
    if asked.introspect_only {
        introspection = introspection.only();
    }
    if asked.audience_optional {
        introspection = introspection.audience_optional();
    }
    if asked.signed_answers {
        introspection = introspection.require_signed_answers();
    }
    Some(introspection)
}

/// The checks that will be made, one line for each.
pub fn described(options: &Options, audiences: &[String]) -> Vec<String> {
    let Written { profile, client_claim, scope_claim, scope_array_claim, .. } = &options.written;
    let mut lines = Vec::new();
    let mut line = |label: &str, text: String| lines.push(format!("  {label:<13} {text}"));
    if let Some(issuer) = &options.issuer {
        line("issuer", issuer.clone());
    }
    if !options.alias.is_empty() {
        line("also named", options.alias.join(", "));
    }
    line(
        "keys",
        match (&*options.jwks_uri, options.of_provider.provider) {
            ([], Some(_)) => "where this provider has them".to_owned(),
            ([], None) => "found by the issuer's metadata".to_owned(),
            // A query may be a secret.
            (uris, _) => {
                let shown: Vec<_> = uris.iter().filter_map(|uri| uri.split('?').next()).collect();
                shown.join(", ")
            }
        },
    );
    line(
        "algorithms",
        match (&*options.algorithms, options.of_provider.provider) {
            ([], Some(_)) => "those of this provider".to_owned(),
            ([], None) => "RS, PS and ES with 256, 384 and 512; Ed25519".to_owned(),
            (some, _) => some.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        },
    );
    let name_of = |provider: Provider| {
        let value = provider.to_possible_value();
        value.map(|value| value.get_name().to_owned()).unwrap_or_default()
    };
    if let Some(provider) = options.of_provider.provider {
        let name = name_of(provider);
        let function = name.replace('-', "_");
        line("written as", format!("{name}: what `providers::{function}` says it takes"));
        line("audience", format!("one of {}", audiences.join(", ")));
    } else {
        line(
            "typ",
            match profile {
                ProfileName::Rfc9068 => "at+jwt".to_owned(),
                ProfileName::Jwt => "at+jwt, JWT or none".to_owned(),
            },
        );
        let of = options.written.audience_claim.as_deref().unwrap_or("aud");
        line("audience", format!("claim `{of}`, one of {}", audiences.join(", ")));
        line("client", format!("claim `{}`", client_claim.as_deref().unwrap_or("client_id")));
        let scope = match (scope_claim, scope_array_claim) {
            (_, Some(claim)) => format!("claim `{claim}`, an array"),
            (Some(claim), None) => format!("claim `{claim}`, a string"),
            (None, None) => "claim `scope`, a string".to_owned(),
        };
        line("scope", scope);
        for (label, claims) in [
            ("optional", &options.written.claim_optional),
            ("required", &options.written.require_claim),
        ] {
            if !claims.is_empty() {
                line(label, format!("claims {}", claims.join(", ")));
            }
        }
    }
    line("times", format!("`exp`, `nbf` and `iat`, with a leeway of {} s", options.leeway));
    line("routes", format!("GET /api/read asks for `{}`", options.scope_read));
    line("", format!("POST /api/write asks for `{}`", options.scope_write));
    line("", "GET /api/whoami asks for any good token, GET /open for none".to_owned());
    #[cfg(feature = "dpop")]
    for (number, text) in options.proofs.described(&options.scope_read).into_iter().enumerate() {
        line(if number == 0 { "DPoP" } else { "" }, text);
    }
    let asked = &options.asked;
    match &asked.client_id {
        None => line("opaque tokens", "refused: there is no --client-id".to_owned()),
        Some(id) => {
            let which = match (asked.introspect_only, asked.jwt_and_introspect) {
                (true, _) => "all tokens are introspected, and none is validated here",
                (_, true) => {
                    "JWTs are validated here and introspected as well; others introspected"
                }
                _ => "JWTs are validated here, others introspected",
            };
            line("introspection", format!("as client `{id}`: {which}"));
            if asked.audience_optional {
                line("", "an answer without `aud` passes".to_owned());
            }
            line("", format!("an answer is good for {} s", asked.introspection_ttl));
        }
    }
    lines
}
