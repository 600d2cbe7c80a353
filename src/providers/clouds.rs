//! Directories of the cloud providers.

use crate::config_error::ConfigError;
use crate::crypto::Algorithm;
use crate::issuer::Issuer;
use crate::profile::Profile;
use crate::providers::{check, pinned};

/// Microsoft Entra ID, v2.0 tokens of one tenant. The argument is the tenant's id.
///
/// The server sends `typ: JWT`, the API's own client id in `aud` (a GUID, never its URI), and the client in `azp`. A
/// user's token has the scopes in `scp`, as a string. An app's own token has no `scp`, so it has no scope. Its `sub` is
/// not the client. The missing `scp` shows that a client acts.
///
/// Roles are read from two claims. `roles` has the app roles of this API, for users and for apps. `wids` has the
/// template ids of the user's directory roles (GUIDs): compare the whole id. Groups are not read, because a token does
/// not list the groups of a user who has too many of them. To decide by a group, use
/// `claim("groups").contains("<id>")`.
///
/// The API's registration (`requestedAccessTokenVersion`) decides the version of the tokens. The endpoint that the
/// client uses does not matter. Only Microsoft can verify tokens for its own APIs, such as Graph. This API refuses such
/// tokens with 401.
///
/// This function gives up `typ`, `client_id` and `jti`. If the API's registration also signs users in, its ID tokens
/// have the same `aud`. They are refused because `azp` is required and ID tokens do not have it.
///
/// Source: Microsoft Learn, "Access token claims reference"
/// (<https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference>) and
/// "Access tokens in the Microsoft identity platform".
///
/// # Errors
/// If `tenant_id` is not a GUID. A domain, `common` or `organizations` never appears in `iss`.
pub fn entra_v2(tenant_id: &str) -> Result<Issuer, ConfigError> {
    check_tenant(tenant_id)?;
    Ok(Issuer::new(format!("https://login.microsoftonline.com/{tenant_id}/v2.0"))
        .algorithms([Algorithm::RS256])
        .profile(entra_profile("azp")))
}

/// Microsoft Entra ID, v1.0 tokens of one tenant. The argument is the tenant's id.
///
/// The differences from [`entra_v2`] are: the issuer is `https://sts.windows.net/<tenant>/`; `aud`
/// is the API's App ID URI (`api://..`) or its client id, as the client wrote it; the client is in
/// `appid`. Roles are in the same places. If an API gets both versions, add both issuers to the builder.
///
/// Source: as for [`entra_v2`].
///
/// # Errors
/// As [`entra_v2`].
pub fn entra_v1(tenant_id: &str) -> Result<Issuer, ConfigError> {
    check_tenant(tenant_id)?;
    // The metadata is on another host than the issuer's name, so the URL of the keys is set.
    Ok(Issuer::new(format!("https://sts.windows.net/{tenant_id}/"))
        .jwks_uri(format!("https://login.microsoftonline.com/{tenant_id}/discovery/keys"))
        .algorithms([Algorithm::RS256])
        .profile(entra_profile("appid")))
}

/// Microsoft Entra ID, v2.0 tokens of all tenants that `allow` accepts. `allow` gets the tenant's
/// id.
///
/// As [`entra_v2`], with the key set that all tenants share. A token is bound to its tenant in two ways: `iss` and
/// `tid` must name the same tenant, and `iss` must match the issuer that the key set names for the key. `allow` gets
/// the GUID from `iss`, before the signature is verified. It should look up the GUID among your customers, without a
/// request to another server.
///
/// ```
/// use tower_resource_server::{ResourceServer, providers};
///
/// let customers = ["11111111-2222-3333-4444-555555555555"];
/// let api = ResourceServer::builder()
///     .issuer(providers::entra_v2_multitenant(move |tenant| customers.contains(&tenant)))
///     .audience("00000000-aaaa-bbbb-cccc-111111111111");
/// # let _ = api;
/// ```
///
/// Source: as for [`entra_v2`], and "Access tokens in the Microsoft identity platform", "Validate the issuer".
pub fn entra_v2_multitenant(allow: impl Fn(&str) -> bool + Send + Sync + 'static) -> Issuer {
    Issuer::new("https://login.microsoftonline.com/{tenantid}/v2.0")
        .jwks_uri("https://login.microsoftonline.com/common/discovery/v2.0/keys")
        .tenants("tid", allow)
        .algorithms([Algorithm::RS256])
        .profile(entra_profile("azp"))
}

fn entra_profile(client: &'static str) -> Profile {
    Profile::jwt()
        .without_roles()
        .roles_claim("roles")
        .roles_claim("wids")
        .scope_claim("scp")
        .client_claim(client)
        .require_claim(client)
        .client_if_absent("scp")
}

/// A GUID as Entra writes it into `iss`: lower case, with hyphens.
fn check_tenant(tenant_id: &str) -> Result<(), ConfigError> {
    let lengths: Vec<_> = tenant_id.split('-').map(str::len).collect();
    let digits = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-');
    check(
        lengths == [8, 4, 4, 4, 12] && tenant_id.bytes().all(digits),
        "entra tenant_id",
        tenant_id,
        "the tenant's id, a GUID in lower case; `iss` never holds a domain or `common`",
    )
}

/// Azure AD B2C, user flows and custom policies of one tenant. The arguments are the tenant's name
/// (the first label of `contoso.b2clogin.com`), its id, and at most 16 policies (`B2C_1_signin`),
/// as `tfp` spells them.
///
/// The server sends `typ: JWT`, the API's own client id in `aud`, the client in `azp`, and scopes in `scp` as a string.
/// All policies of a tenant share the issuer. Each policy has its own key set, and `tfp` names the policy. So a token
/// of a policy that is not listed, for example one with weaker sign-in, is refused. The keys of all `policies` are used
/// together. If one key set can't be fetched, tokens of the other policies still pass.
///
/// This function gives up `typ`, `client_id` and `jti`. ID tokens may have the same `aud`. They are refused because
/// `azp` and `scp` are required and ID tokens do not have them. A client's own tokens have no policy and no `scp`, and
/// are refused.
///
/// The server writes no roles. For a custom claim, add
/// `.map_profile(|profile| profile.roles_claim("extension_roles"))`.
///
/// With a custom domain, or with a policy that writes its name into `acr`, build the issuer
/// yourself, with [`Issuer::jwks_uris`](crate::Issuer::jwks_uris) and the methods of [`Profile`].
/// If the issuer names the policy (`https://contoso.b2clogin.com/tfp/..`), each policy is a
/// separate issuer.
///
/// Source: Microsoft Learn, "Overview of tokens in Azure Active Directory B2C"
/// (<https://learn.microsoft.com/azure/active-directory-b2c/tokens-overview>) and "Configure tokens".
///
/// # Errors
/// If `tenant` is not a label of a host name, if `tenant_id` is not a GUID, if a policy does not begin with `B2C_1` or
/// has a character that a policy can't have, or if there are no policies.
pub fn entra_b2c<V: Into<String>>(
    tenant: &str,
    tenant_id: &str,
    policies: impl IntoIterator<Item = V>,
) -> Result<Issuer, ConfigError> {
    let is_name =
        |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    check(
        !tenant.is_empty() && tenant.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        "entra b2c tenant",
        tenant,
        "the first label of the tenant's host name, as `contoso`",
    )?;
    check_tenant(tenant_id)?;
    let policies = pinned("entra b2c policies", policies)?;
    for policy in &policies {
        let begins = policy.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("b2c_1"));
        let is_policy = begins && is_name(policy);
        check(is_policy, "entra b2c policy", policy, "its name, as `B2C_1_signin`")?;
    }
    let host = format!("https://{tenant}.b2clogin.com");
    let keys = |policy| format!("{host}/{tenant}.onmicrosoft.com/{policy}/discovery/v2.0/keys");
    Ok(Issuer::new(format!("{host}/{tenant_id}/v2.0/"))
        .jwks_uris(policies.iter().map(keys))
        .algorithms([Algorithm::RS256])
        .profile(
            Profile::jwt()
                .without_roles()
                .scope_claim("scp")
                .client_claim("azp")
                .require_claim("azp")
                .require_claim("scp")
                .require_one_of("tfp", policies),
        ))
}

/// Amazon Cognito. The arguments are the id of the user pool (`eu-west-1_ABC123`) and the ids of
/// the app clients that may call this API.
///
/// The server sends no `typ` and no `aud`. Instead of `aud`, `client_id` is checked, and `token_use` must be `access`.
/// `scope` is a string. Each scope begins with the resource server's identifier (`https://api.example.com/read`). Roles
/// are the groups of the user in the pool, in `cognito:groups`. The pool's ID tokens have the same `iss`, and the
/// client's id in `aud`. So both `client_id` and `token_use` are required.
///
/// This function gives up `typ` and, most importantly, `aud`: a token names the client that got it, not the API. If two
/// APIs share a client, only the scopes show which API a token is for. If clients request a resource, use
/// [`cognito_resource_bound`], which gives up less.
///
/// Source: Amazon Cognito Developer Guide, "Understanding the access token"
/// (<https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html>)
/// and "Verifying JSON web tokens".
///
/// # Errors
/// If `user_pool_id` does not have the form `<region>_<id>`, or there are no clients.
pub fn cognito<V: Into<String>>(
    user_pool_id: &str,
    client_ids: impl IntoIterator<Item = V>,
) -> Result<Issuer, ConfigError> {
    let profile = cognito_profile().audience_claim("client_id");
    let issuer = cognito_issuer(user_pool_id, profile)?;
    Ok(pinned("cognito client_ids", client_ids)?.into_iter().fold(issuer, Issuer::audience))
}

/// Amazon Cognito, for clients that request this API as their resource (RFC 8707, "resource binding"). Their access
/// tokens have the API in `aud`. No other tokens are accepted. The argument is the id of the user pool. Roles are in
/// `cognito:groups`.
///
/// This function gives up only `typ`. ID tokens are refused because of their `token_use`.
///
/// Source: Amazon Cognito Developer Guide, "Scopes, M2M, and resource servers", "Resource binding".
///
/// # Errors
/// If `user_pool_id` does not have the form `<region>_<id>`.
pub fn cognito_resource_bound(user_pool_id: &str) -> Result<Issuer, ConfigError> {
    cognito_issuer(user_pool_id, cognito_profile())
}

fn cognito_profile() -> Profile {
    Profile::jwt()
        .without_roles()
        .roles_claim("cognito:groups")
        .require_value("token_use", "access")
}

fn cognito_issuer(user_pool_id: &str, profile: Profile) -> Result<Issuer, ConfigError> {
    let (region, id) = user_pool_id.split_once('_').unwrap_or_default();
    let is_region = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    check(
        !region.is_empty()
            && region.bytes().all(is_region)
            && !id.is_empty()
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        "cognito user_pool_id",
        user_pool_id,
        "`<region>_<id>`, as `eu-west-1_ABC123`",
    )?;
    let name = format!("https://cognito-idp.{region}.amazonaws.com/{user_pool_id}");
    Ok(Issuer::new(name).algorithms([Algorithm::RS256]).profile(profile))
}
