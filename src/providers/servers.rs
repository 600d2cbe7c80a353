//! Authorization servers that you run yourself or use as a hosted service.

use crate::config_error::ConfigError;
use crate::crypto::Algorithm;
use crate::issuer::Issuer;
use crate::profile::{AnswerProfile, Profile};
use crate::providers::{check, is_host};

/// Keycloak. The argument is the URL of the realm: `https://sso.example.com/realms/demo`.
///
/// The server sends `typ: JWT` (`at+jwt` if the client has this setting), a claim `typ` with `Bearer` or `DPoP`, the
/// client in `azp`, and `scope` as a string.
///
/// The roles of the realm are read from `realm_access.roles`. A client's roles, in `resource_access.<client>.roles`,
/// are read only for the clients that you name:
///
/// ```
/// use tower_resource_server::providers;
///
/// let issuer = providers::keycloak("https://sso.example.com/realms/demo")
///     .map_profile(|profile| profile.client_roles("notes-api"));
/// # let _ = issuer;
/// ```
///
/// With `profile.without_roles().client_roles("notes-api")`, the roles of the realm do not count. A lightweight access
/// token has no roles. The roles are then only in the introspection answer: use `Introspection::only` (feature
/// `http-client`).
///
/// In a client's own token, `sub` is the id of a service account. Two kinds of claims show that a client acts. The
/// scope `service_account` adds `client_id` and `clientHost`. Another scope adds `preferred_username`, which begins
/// with `service-account-`. Keep at least one of these scopes. Otherwise such a token looks like a user's token.
///
/// `aud` names this API only if an audience mapper of a client scope adds it. Without a mapper,
/// `aud` is `account` or absent, and the token is refused. Add the mapper. Do not accept `account`:
/// every client of the realm gets it.
///
/// This function gives up the header's `typ`, and `client_id`. Instead of the header's `typ`, the claim `typ` is
/// required. ID, refresh and logout tokens have other values in this claim.
///
/// Sources: Keycloak, Server Administration Guide, "Audience support" and "Using a service account"; for the kinds of
/// token and the claims of service accounts, Keycloak's classes `TokenUtil` and `ServiceAccountConstants`.
pub fn keycloak(realm_url: impl Into<String>) -> Issuer {
    Issuer::new(realm_url).profile(
        Profile::jwt()
            .without_roles()
            .roles_at("/realm_access/roles")
            .client_claim("azp")
            .require_one_of("typ", ["Bearer", "DPoP"])
            .client_if_present("client_id")
            .client_if_present("clientHost"),
    )
}

/// Auth0 with its default token profile. The argument is the tenant's domain or custom domain:
/// `tenant.eu.auth0.com`. For the other profile, use [`auth0_rfc9068`].
///
/// The server sends `typ: JWT`, an issuer that ends in a slash, the client in `azp`, and `scope` as a string. `aud` has
/// the API's identifier, and after a login also the URL of the userinfo endpoint. A client's own token has the `sub`
/// `<client>@clients`.
///
/// Roles are the permissions of the user for this API, in `permissions`. Auth0 writes them if "Enable RBAC" and "Add
/// Permissions in the Access Token" are on in the settings of the API. Auth0 does not write the names of roles. If an
/// Action adds a claim with them, add the name of this claim, which is usually a URL:
/// `.map_profile(|profile| profile.roles_claim("https://example.com/roles"))`.
///
/// This function gives up `typ`, `client_id` and `jti`. An ID token has the client's id in `aud`, so the API's
/// identifier must not be a client id.
///
/// Source: Auth0 Docs, "Access Token Profiles"
/// (<https://auth0.com/docs/secure/tokens/access-tokens/access-token-profiles>).
///
/// # Errors
/// If `domain` is not a host name. A host name has neither scheme nor slash.
pub fn auth0(domain: &str) -> Result<Issuer, ConfigError> {
    auth0_issuer(domain, Profile::jwt().client_claim("azp"))
}

/// Auth0 with its RFC 9068 profile. Prefer this profile, because this function gives up nothing. The argument is the
/// tenant's domain. Roles are in `permissions`, as for [`auth0`].
///
/// Source: as for [`auth0`].
///
/// # Errors
/// As [`auth0`].
pub fn auth0_rfc9068(domain: &str) -> Result<Issuer, ConfigError> {
    auth0_issuer(domain, Profile::rfc9068())
}

fn auth0_issuer(domain: &str, profile: Profile) -> Result<Issuer, ConfigError> {
    check(is_host(domain), "auth0 domain", domain, "a host name, as `tenant.eu.auth0.com`")?;
    let profile = profile.without_roles().roles_claim("permissions");
    Ok(Issuer::new(format!("https://{domain}/"))
        .profile(profile.client_if_subject_ends("@clients")))
}

/// Okta. The argument is the issuer of a custom authorization server:
/// `https://example.okta.com/oauth2/default`.
///
/// The server sends no `typ`, scopes in the array `scp`, the client in `cid`, and in `aud` the audience of the
/// authorization server, such as `api://default`. `sub` is the user's login name, which another person may get later.
/// `uid` is the user's id.
///
/// Roles are the user's groups, in `groups`. Okta writes this claim if you add it to the authorization
/// server, for access tokens. If you give it another name, add
/// `.map_profile(|profile| profile.roles_claim("<name>"))`.
///
/// This function gives up `typ` and `client_id`. Instead, `cid` is required, and ID tokens do not have it.
///
/// Access tokens of the org authorization server (`https://example.okta.com`, no path) are for Okta's own APIs. Okta
/// says that other APIs must treat them as opaque. This function does not accept them.
///
/// Source: Okta Developer, "Validate access tokens" and "Authorization servers"; Okta Support,
/// "Validation Failed on Access Token Issued by the Org Authorization Server".
///
/// # Errors
/// If `issuer` is not the issuer of a custom authorization server.
pub fn okta(issuer: &str) -> Result<Issuer, ConfigError> {
    let id = issuer.split_once("/oauth2/").map_or("", |(_, id)| id);
    check(
        !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        "okta issuer",
        issuer,
        "that of a custom authorization server, `https://<domain>/oauth2/<id>`",
    )?;
    let profile = Profile::jwt().without_roles().roles_claim("groups").scope_array_claim("scp");
    Ok(Issuer::new(issuer)
        .algorithms([Algorithm::RS256])
        .profile(profile.client_claim("cid").require_claim("cid")))
}

/// Zitadel, for applications whose access tokens are set to JWT. By default, access tokens are
/// opaque and need introspection. The argument is the URL of the instance.
///
/// The server sends `typ: JWT`, and in `aud` the ids of the project and of its applications. Configure the project's id
/// as the audience. The JWT has no scope claim, so it meets no condition on scopes.
///
/// Roles are the member names of the object `urn:zitadel:iam:org:project:<id>:roles`, where `<id>` is an audience of
/// this server. So the audience must be the project's id. The object without an id,
/// `urn:zitadel:iam:org:project:roles`, is not read: this object has the roles of the project of the client, and the
/// owner of another project can grant any role in that project. Zitadel writes roles if the setting "Assert Roles on
/// Authentication" of the project is on, or if the client requests them. A role counts in every organization where the
/// user has it.
///
/// The token of a service account has a `sub` like a user's, and the name of the service account as `client_id`. The
/// `aud` of a user's token contains the client. The `aud` of a service account's token does not contain its
/// `client_id`. So a token whose `aud` does not contain its `client_id` counts as a client's own token. A service
/// account can evade this check by requesting a project with its own name.
///
/// This function gives up `typ` and `client_id`. ID tokens may have the same `aud`. They are refused because `jti` is
/// required and ID tokens do not have it.
///
/// Sources: Zitadel Docs, "Claims" (<https://zitadel.com/docs/apis/openidoauth/claims>); for the token of a service
/// account, `token_client_credentials.go` in Zitadel's folder `internal/api/oidc`; for roles, `userinfo.go` in the same
/// folder.
pub fn zitadel(instance_url: impl Into<String>) -> Issuer {
    Issuer::new(instance_url).profile(
        Profile::jwt()
            .without_roles()
            .role_names_claim("urn:zitadel:iam:org:project:{audience}:roles")
            .require_claim("jti")
            .client_if_not_in_audience(),
    )
}

/// Ory Hydra or Ory Network, with `strategies.access_token: jwt`. By default, access tokens are
/// opaque and need introspection. The argument is `urls.self.issuer`, with its final slash if it
/// has one.
///
/// The server sends `typ: JWT`, scopes in the array `scp`, `client_id`, and custom claims under `ext`. `aud` has the
/// audience that the client requested. If it requested none, `aud` is an empty array and the token is refused.
///
/// The server has no roles of its own, so none are read. If your consent app adds them to the session, add their place:
/// `.map_profile(|profile| profile.roles_at("/ext/roles"))`.
///
/// With `strategies.jwt.scope_claim: string`, the scope is in `scope` instead. Then replace the
/// profile by `Profile::jwt().without_roles().require_claim("client_id")`.
///
/// This function gives up `typ`. `client_id` is required, and ID tokens do not have it.
///
/// Sources: Ory Docs, "JWT access tokens" and "OAuth 2.0 audience"; for the setting,
/// ory/hydra#3531.
pub fn hydra(issuer: impl Into<String>) -> Issuer {
    let profile = Profile::jwt().without_roles().scope_array_claim("scp");
    Issuer::new(issuer).profile(profile.require_claim("client_id"))
}

/// FusionAuth, for tokens of users. The arguments are the server's URL without a final slash, and
/// the issuer in the tenant's settings, which is `acme.com` by default.
///
/// The server sends `typ: JWT`, `scope` as a string, and in `aud` the id of the application, which is also the client's
/// id (`applicationId`). Roles are those of the user in this application, in `roles`. FusionAuth's default key is an
/// HMAC secret. Choose a key pair instead, in the settings of the tenant or the application.
///
/// This function gives up `typ`, `client_id`, and an audience that differs from the client. ID tokens have the same
/// `aud`. They are refused because `applicationId` is required and ID tokens do not have it (since version 1.24, unless
/// a lambda adds it). Tokens of users who are not registered for the application do not have `applicationId` either,
/// and are refused.
///
/// Source: FusionAuth Docs, "Tokens"
/// (<https://fusionauth.io/docs/lifecycle/authenticate-users/oauth/tokens>).
pub fn fusionauth(server_url: &str, issuer: &str) -> Issuer {
    fusionauth_issuer(
        server_url,
        issuer,
        Profile::jwt()
            .without_roles()
            .roles_claim("roles")
            .client_claim("applicationId")
            .require_claim("applicationId")
            .answers(AnswerProfile::rfc7662().client_claim("applicationId")),
    )
}

/// FusionAuth, for tokens that entities get with client credentials. The differences from [`fusionauth`] are: `aud` is
/// the id of the called entity, and `sub` is the id of the caller, which is the client. Roles are the permissions that
/// the called entity granted to the caller, in `permissions`.
///
/// This function gives up `typ` and `client_id`. No ID token has an entity's id in `aud`.
///
/// Source: FusionAuth Docs, "Tokens", "Client Credentials Access Token".
pub fn fusionauth_entities(server_url: &str, issuer: &str) -> Issuer {
    let profile = Profile::jwt()
        .without_roles()
        .roles_claim("permissions")
        .client_claim("sub")
        .require_claim("sub")
        .answers(AnswerProfile::rfc7662().client_claim("sub"));
    fusionauth_issuer(server_url, issuer, profile)
}

fn fusionauth_issuer(server_url: &str, issuer: &str, profile: Profile) -> Issuer {
    // The tenant's issuer is free text. So the name of the issuer is the server's URL, and the text is an alias.
    let named = Issuer::new(server_url)
        .jwks_uri(format!("{server_url}/.well-known/jwks.json"))
        .profile(profile);
    if issuer == server_url { named } else { named.alias(issuer) }
}

/// PingOne. The argument is the issuer of the environment:
/// `https://auth.pingone.eu/<environment>/as`.
///
/// The server sends no `typ`, or `at+jwt`. It also sends the `aud` of the custom resource, `client_id`, and `scope` as
/// a string. Client credentials tokens have no `sub`. From March 2027, all tokens have the `typ` `at+jwt`.
///
/// Roles are the permissions of the user, in `p1.permissions`. PingOne writes them for a custom
/// resource if "Include user permissions in Access Token" is on, which needs PingOne Authorize. If you
/// map a group or a role to an attribute of the resource, add
/// `.map_profile(|profile| profile.roles_claim("<attribute>"))`.
///
/// This function gives up `typ`, `sub` and `jti`. `client_id` is required, and ID tokens do not have it. When all
/// tokens have the `typ` `at+jwt`, you can require it with a profile that begins with [`Profile::rfc9068`].
///
/// Source: PingOne Platform APIs, "Token claims"
/// (<https://developer.pingidentity.com/pingone-api/foundations/authentication-concepts/access-tokens-and-id-tokens/token-claims.html>);
/// PingOne, "Customizing access tokens".
pub fn pingone(issuer: impl Into<String>) -> Issuer {
    Issuer::new(issuer).algorithms([Algorithm::RS256]).profile(
        Profile::jwt().without_roles().roles_claim("p1.permissions").require_claim("client_id"),
    )
}

/// PingFederate, for a JSON Web Token manager in which "Issuer Claim Value" and "Audience Claim Value" are set. Without
/// these settings, PingFederate sends neither claim, and its tokens are refused.
///
/// The server sends `client_id`, `scope` as an array, and no `typ`. If the manager is set to separate scopes by spaces,
/// replace the profile by `Profile::jwt().without_roles().require_claim("client_id")`.
///
/// The server has no roles of its own, so none are read. If the attribute contract of the manager has an attribute with
/// roles, add `.map_profile(|profile| profile.roles_claim("<attribute>"))`.
///
/// This function gives up `typ`, `sub` and `jti`; `client_id` is required.
///
/// Source: PingFederate Server, "Defining the access token attribute contract" and "Configuring
/// JSON token management".
pub fn pingfederate(issuer: impl Into<String>) -> Issuer {
    let profile = Profile::jwt().without_roles().scope_array_claim("scope");
    Issuer::new(issuer).profile(profile.require_claim("client_id"))
}
