//! Authorization servers that one runs, or rents by the tenant.

use crate::config_error::ConfigError;
use crate::crypto::Algorithm;
use crate::issuer::Issuer;
use crate::issuer::providers::{check, is_host};
use crate::profile::{AnswerProfile, Profile};

/// Keycloak, by the URL of the realm: `https://sso.example.com/realms/demo`.
///
/// It sends `typ: JWT` (`at+jwt` where the client is set so), a claim `typ` that says `Bearer` or
/// `DPoP`, the client in `azp`, and `scope` as a string. The client's own token has a `sub` that is
/// neither client nor user. Its signs are `client_id` and `clientHost`, which the scope
/// `service_account` adds, and a `preferred_username` that begins with `service-account-`; keep one of
/// the two scopes, or such a token looks like a user's. Roles are in `realm_access.roles` and `resource_access`.
///
/// `aud` names this API only where an audience mapper of a client scope says so. Without one it is
/// `account`, or absent, and the token is refused: add the mapper, do not accept `account`, which
/// every client of the realm gets.
///
/// Beside RFC 9068 it gives up the header's `typ` and `client_id`; in place of the first, the claim
/// `typ` is required, which ID, refresh and logout tokens have with other values.
///
/// Sources: Keycloak, Server Administration Guide, "Audience support" and "Using a service
/// account"; the kinds of token and the claims of service accounts are those of its classes
/// `TokenUtil` and `ServiceAccountConstants`.
pub fn keycloak(realm_url: impl Into<String>) -> Issuer {
    Issuer::discover(realm_url).profile(
        Profile::jwt()
            .client_claim("azp")
            .require_one_of("typ", ["Bearer", "DPoP"])
            .client_if_present("client_id")
            .client_if_present("clientHost"),
    )
}

/// Auth0 with its default token profile, by the tenant's domain or custom domain:
/// `tenant.eu.auth0.com`. Tokens of the other profile are [`auth0_rfc9068`]'s.
///
/// It sends `typ: JWT`, an issuer that ends in a slash, `aud` with the API's identifier (and the
/// userinfo endpoint's URL after a login), the client in `azp`, `scope` as a string, and
/// `permissions` where RBAC is on. A client's own token has the `sub` `<client>@clients`.
///
/// It gives up `typ`, `client_id` and `jti`. An ID token has the client's id in `aud`, so the API's
/// identifier must be none.
///
/// Source: Auth0 Docs, "Access Token Profiles"
/// (<https://auth0.com/docs/secure/tokens/access-tokens/access-token-profiles>).
///
/// # Errors
/// When `domain` is no host name; it has neither scheme nor slash.
pub fn auth0(domain: &str) -> Result<Issuer, ConfigError> {
    auth0_issuer(domain, Profile::jwt().client_claim("azp"))
}

/// Auth0 with its RFC 9068 profile, by the tenant's domain. Prefer it: it gives up nothing.
///
/// Source: as of [`auth0`].
///
/// # Errors
/// As [`auth0`].
pub fn auth0_rfc9068(domain: &str) -> Result<Issuer, ConfigError> {
    auth0_issuer(domain, Profile::rfc9068())
}

fn auth0_issuer(domain: &str, profile: Profile) -> Result<Issuer, ConfigError> {
    check(is_host(domain), "auth0 domain", domain, "a host name, as `tenant.eu.auth0.com`")?;
    Ok(Issuer::discover(format!("https://{domain}/"))
        .profile(profile.client_if_subject_ends("@clients")))
}

/// Okta, by the issuer of a custom authorization server: `https://example.okta.com/oauth2/default`.
///
/// It sends no `typ`, scopes in the array `scp`, the client in `cid`, and in `aud` the one that the
/// authorization server is set to, such as `api://default`. `sub` is the login name and may be
/// given to another person later; `uid` is the user's id.
///
/// It gives up `typ` and `client_id`; `cid`, which ID tokens have not, is required in its place.
///
/// Access tokens of the org authorization server (`https://example.okta.com`, no path) are for
/// Okta's own APIs, and Okta asks others to treat them as opaque: they are refused here.
///
/// Source: Okta Developer, "Validate access tokens" and "Authorization servers"; Okta Support,
/// "Validation Failed on Access Token Issued by the Org Authorization Server".
///
/// # Errors
/// When `issuer` is not that of a custom authorization server.
pub fn okta(issuer: &str) -> Result<Issuer, ConfigError> {
    let id = issuer.split_once("/oauth2/").map_or("", |(_, id)| id);
    check(
        !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        "okta issuer",
        issuer,
        "that of a custom authorization server, `https://<domain>/oauth2/<id>`",
    )?;
    Ok(Issuer::discover(issuer)
        .algorithms([Algorithm::RS256])
        .profile(Profile::jwt().scope_array_claim("scp").client_claim("cid").require_claim("cid")))
}

/// Zitadel, by the URL of the instance, for applications whose access tokens are set to JWT; by
/// default they are opaque, which needs introspection.
///
/// It sends `typ: JWT`, and in `aud` the ids of the project and of its applications: the audience
/// to configure is the project's id. There is no scope claim in the JWT, so that no scope check
/// passes; roles are an object under `urn:zitadel:iam:org:project:<id>:roles`, for
/// [`and_check`](crate::Policy::and_check). A service account has a `sub` like a user's and its own
/// name as `client_id`. Its `aud` does not have that name, while a user's token has the client in `aud`:
/// that is the sign used here. A service account that asks for a project of its own name can evade it.
///
/// It gives up `typ` and `client_id`. ID tokens may have the same `aud`; they are kept out by
/// `jti`, which they have not.
///
/// Sources: Zitadel Docs, "Claims" (<https://zitadel.com/docs/apis/openidoauth/claims>); what a
/// service account's token has is that of `token_client_credentials.go` in its `internal/api/oidc`.
pub fn zitadel(instance_url: impl Into<String>) -> Issuer {
    Issuer::discover(instance_url)
        .profile(Profile::jwt().require_claim("jti").client_if_not_in_audience())
}

/// Ory Hydra, or Ory Network, with `strategies.access_token: jwt`; by default access tokens are
/// opaque, which needs introspection. The URL is `urls.self.issuer` with its final slash, if it has
/// one there.
///
/// It sends `typ: JWT`, scopes in the array `scp`, `client_id`, and custom claims under `ext`.
/// `aud` holds what the client asked for, and is an empty array if it asked for nothing: such a
/// token is refused.
///
/// With `strategies.jwt.scope_claim: string` the scope is in `scope` instead: replace the profile
/// by `Profile::jwt().require_claim("client_id")`.
///
/// It gives up `typ`; `client_id`, which ID tokens have not, is required.
///
/// Sources: Ory Docs, "JWT access tokens" and "OAuth 2.0 audience"; the setting is that of
/// ory/hydra#3531.
pub fn hydra(issuer: impl Into<String>) -> Issuer {
    Issuer::discover(issuer)
        .profile(Profile::jwt().scope_array_claim("scp").require_claim("client_id"))
}

/// FusionAuth, for tokens of users: the server's URL without a final slash, and the issuer as the
/// tenant's settings have it, which is `acme.com` until somebody changes it.
///
/// It sends `typ: JWT`, in `aud` the id of the application, which is also the client's
/// (`applicationId`), `roles`, and `scope` as a string. Its default key is an HMAC secret: choose a
/// key pair in the settings of the tenant or the application.
///
/// It gives up `typ`, `client_id`, and an audience that is not the client. ID tokens have the same
/// `aud`; they are kept out by `applicationId`, which is required and not in them (since version
/// 1.24, unless a lambda puts it back). Users who are not registered for the application have it
/// not, and are refused with them.
///
/// Source: FusionAuth Docs, "Tokens"
/// (<https://fusionauth.io/docs/lifecycle/authenticate-users/oauth/tokens>).
pub fn fusionauth(server_url: &str, issuer: &str) -> Issuer {
    fusionauth_issuer(
        server_url,
        issuer,
        Profile::jwt()
            .client_claim("applicationId")
            .require_claim("applicationId")
            .answers(AnswerProfile::rfc7662().client_claim("applicationId")),
    )
}

/// FusionAuth, for tokens that entities get by client credentials: as [`fusionauth`], but `aud` is
/// the id of the entity that is called, `sub` that of the caller, which is the client, and
/// `permissions` an array.
///
/// It gives up `typ` and `client_id`. No ID token has an entity's id in `aud`.
///
/// Source: FusionAuth Docs, "Tokens", "Client Credentials Access Token".
pub fn fusionauth_entities(server_url: &str, issuer: &str) -> Issuer {
    let profile = Profile::jwt()
        .client_claim("sub")
        .require_claim("sub")
        .answers(AnswerProfile::rfc7662().client_claim("sub"));
    fusionauth_issuer(server_url, issuer, profile)
}

fn fusionauth_issuer(server_url: &str, issuer: &str, profile: Profile) -> Issuer {
    // The tenant's issuer is free text, so the server's URL is the name and the text an alias.
    let named = Issuer::new(server_url)
        .jwks_uri(format!("{server_url}/.well-known/jwks.json"))
        .profile(profile);
    if issuer == server_url { named } else { named.alias(issuer) }
}

/// PingOne, by the issuer of the environment: `https://auth.pingone.eu/<environment>/as`.
///
/// It sends no `typ` or `at+jwt`, `aud` of the custom resource, `client_id`, and `scope` as a
/// string; client credentials tokens have no `sub`. From March 2027 it says `at+jwt` in all of
/// them.
///
/// It gives up `typ` until then, `sub` and `jti`; `client_id`, which ID tokens have not, is
/// required.
///
/// Source: PingOne Platform APIs, "Token claims"
/// (<https://developer.pingidentity.com/pingone-api/foundations/authentication-concepts/access-tokens-and-id-tokens/token-claims.html>).
pub fn pingone(issuer: impl Into<String>) -> Issuer {
    Issuer::discover(issuer)
        .algorithms([Algorithm::RS256])
        .profile(Profile::jwt().require_claim("client_id"))
}

/// PingFederate, for a JSON Web Token manager with the fields "Issuer Claim Value" and "Audience
/// Claim Value" filled in: without them it sends neither claim, and its tokens are refused.
///
/// It sends no `typ`, `client_id`, and `scope` as an array. Where the manager is set to delimit
/// scopes by spaces, replace the profile by `Profile::jwt().require_claim("client_id")`.
///
/// It gives up `typ`, `sub` and `jti`; `client_id` is required.
///
/// Source: PingFederate Server, "Defining the access token attribute contract" and "Configuring
/// JSON token management".
pub fn pingfederate(issuer: impl Into<String>) -> Issuer {
    Issuer::discover(issuer)
        .profile(Profile::jwt().scope_array_claim("scope").require_claim("client_id"))
}
