//! Directories of the cloud providers.

use crate::config_error::ConfigError;
use crate::crypto::Algorithm;
use crate::issuer::Issuer;
use crate::issuer::providers::{check, pinned};
use crate::profile::Profile;

/// Microsoft Entra ID, v2.0 tokens of one tenant, by the tenant's id.
///
/// It sends `typ: JWT`, the API's own client id (a GUID, never its URI) in `aud`, the client in
/// `azp`, and scopes in `scp` as a string, for users only. An app's own token has no `scp`, hence no
/// scope, and a `sub` that is not the client: it is told by that absence. What it may do is in
/// `roles`, for [`and_check`](crate::Policy::and_check) with
/// [`Claims::has`](crate::Claims::has).
///
/// Which version arrives is set in the API's registration (`requestedAccessTokenVersion`), not by
/// the endpoint that the client used. Tokens for Microsoft's own APIs, Graph among them, can't be
/// verified by anybody else, and end as 401.
///
/// It gives up `typ`, `client_id` and `jti`. If the API's registration signs users in, too, its ID
/// tokens have the same `aud`: they are kept out by `azp`, which is required and not in them.
///
/// Source: Microsoft Learn, "Access token claims reference"
/// (<https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference>) and
/// "Access tokens in the Microsoft identity platform".
///
/// # Errors
/// When `tenant_id` is no GUID: a domain, `common` or `organizations` is never in `iss`.
pub fn entra_v2(tenant_id: &str) -> Result<Issuer, ConfigError> {
    check_tenant(tenant_id)?;
    Ok(Issuer::discover(format!("https://login.microsoftonline.com/{tenant_id}/v2.0"))
        .algorithms([Algorithm::RS256])
        .profile(entra_profile("azp")))
}

/// Microsoft Entra ID, v1.0 tokens of one tenant, by the tenant's id.
///
/// As [`entra_v2`], but: the issuer is `https://sts.windows.net/<tenant>/`, `aud` is the API's App
/// ID URI (`api://..`) or its client id, as the client spelled it, and the client is in `appid`. An
/// API that gets both versions trusts both issuers, which the builder takes side by side.
///
/// Source: as of [`entra_v2`].
///
/// # Errors
/// As [`entra_v2`].
pub fn entra_v1(tenant_id: &str) -> Result<Issuer, ConfigError> {
    check_tenant(tenant_id)?;
    // The metadata lies under another host than the issuer's name says, so the keys are named.
    Ok(Issuer::new(format!("https://sts.windows.net/{tenant_id}/"))
        .jwks_uri(format!("https://login.microsoftonline.com/{tenant_id}/discovery/keys"))
        .algorithms([Algorithm::RS256])
        .profile(entra_profile("appid")))
}

/// Microsoft Entra ID, v2.0 tokens of all tenants that `allow` lets in, by the tenant's id.
///
/// As [`entra_v2`], with the key set that all tenants share. A token is bound to its tenant by `iss`
/// and `tid`, which have to name the same one, and by the issuer that the set names for each key.
/// `allow` is asked with the GUID in `iss`: look it up among your customers, fetch nothing.
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
/// Source: as of [`entra_v2`], and "Access tokens in the Microsoft identity platform", "Validate the issuer".
pub fn entra_v2_multitenant(allow: impl Fn(&str) -> bool + Send + Sync + 'static) -> Issuer {
    Issuer::new("https://login.microsoftonline.com/{tenantid}/v2.0")
        .jwks_uri("https://login.microsoftonline.com/common/discovery/v2.0/keys")
        .tenants("tid", allow)
        .algorithms([Algorithm::RS256])
        .profile(entra_profile("azp"))
}

fn entra_profile(client: &'static str) -> Profile {
    Profile::jwt()
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

/// Azure AD B2C, user flows and custom policies of one tenant: by the tenant's name (the first label of
/// `contoso.b2clogin.com`), its id, and the policies (`B2C_1_signin`) as `tfp` spells them, at most 16.
///
/// It sends `typ: JWT`, the API's own client id in `aud`, the client in `azp`, and scopes in `scp` as a
/// string. All policies of a tenant share the issuer. Each has a key set of its own, and `tfp` names the
/// policy, so a token of a policy with weaker sign-in is refused. The keys of all `policies` count
/// together: where the key set of one can't be fetched, tokens of the others still pass.
///
/// It gives up `typ`, `client_id` and `jti`. ID tokens may have the same `aud`; they are kept out by
/// `azp` and `scp`, which are required and not in them. Tokens that clients get for themselves have no
/// policy and no `scp`, and are refused.
///
/// With a custom domain, or a policy that writes its name into `acr`, build the same by
/// [`Issuer::jwks_uris`](crate::Issuer::jwks_uris) and [`Profile`]'s methods. Where the issuer names the
/// policy (`https://contoso.b2clogin.com/tfp/..`), each policy is an issuer of its own.
///
/// Source: Microsoft Learn, "Overview of tokens in Azure Active Directory B2C"
/// (<https://learn.microsoft.com/azure/active-directory-b2c/tokens-overview>) and "Configure tokens".
///
/// # Errors
/// When `tenant` is no label of a host name, `tenant_id` no GUID, or a policy does not begin with
/// `B2C_1`, or there are no policies.
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
                .scope_claim("scp")
                .client_claim("azp")
                .require_claim("azp")
                .require_claim("scp")
                .require_one_of("tfp", policies),
        ))
}

/// Amazon Cognito, by the id of the user pool (`eu-west-1_ABC123`) and the ids of the app clients
/// that may call this API.
///
/// It sends no `typ` and no `aud`: `client_id` plays its part, and `token_use` has to be `access`.
/// `scope` is a string with the resource server's identifier before each scope
/// (`https://api.example.com/read`); groups are in `cognito:groups`. The `iss` of a pool's ID
/// tokens is the same, and so is the client's id in their `aud`, which is why both claims are
/// required here.
///
/// It gives up `typ` and, above all, `aud`: a token says which client it was given to, not which
/// API it is for. An API that shares a client with another has only the scopes to tell its
/// tokens by. Where clients ask for a resource, [`cognito_resource_bound`] gives up less.
///
/// Source: Amazon Cognito Developer Guide, "Understanding the access token"
/// (<https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html>)
/// and "Verifying JSON web tokens".
///
/// # Errors
/// When `user_pool_id` is not of the form `<region>_<id>`, or there are no clients.
pub fn cognito<V: Into<String>>(
    user_pool_id: &str,
    client_ids: impl IntoIterator<Item = V>,
) -> Result<Issuer, ConfigError> {
    let profile = Profile::jwt().audience_claim("client_id").require_value("token_use", "access");
    let issuer = cognito_issuer(user_pool_id, profile)?;
    Ok(pinned("cognito client_ids", client_ids)?.into_iter().fold(issuer, Issuer::audience))
}

/// Amazon Cognito, by the id of the user pool, for clients that ask for this API as their resource
/// (RFC 8707, "resource binding"): their access tokens have it in `aud`, and no others are taken.
///
/// It gives up `typ` alone; ID tokens are kept out by `token_use`.
///
/// Source: Amazon Cognito Developer Guide, "Scopes, M2M, and resource servers", "Resource binding".
///
/// # Errors
/// When `user_pool_id` is not of the form `<region>_<id>`.
pub fn cognito_resource_bound(user_pool_id: &str) -> Result<Issuer, ConfigError> {
    cognito_issuer(user_pool_id, Profile::jwt().require_value("token_use", "access"))
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
    Ok(Issuer::discover(name).algorithms([Algorithm::RS256]).profile(profile))
}
