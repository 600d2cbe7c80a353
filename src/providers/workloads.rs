//! Tokens of workloads: CI jobs, pods, service accounts.
//!
//! The vendors call these identity tokens. They are used as bearer tokens for an audience that the workload chooses.
//! They have no scope and no client, so the subject is used as the client
//! ([`Principal::Client`](crate::token::Principal::Client)). A policy should test the subject and the other claims. If
//! anyone can get a token from an issuer, `aud` does not show who calls. In that case, the function has a parameter
//! with the callers to trust.
//!
//! These tokens have no roles, so [`role`](crate::policy::role) refuses all of them.

use crate::config_error::ConfigError;
use crate::crypto::Algorithm;
use crate::issuer::Issuer;
use crate::profile::{AnswerProfile, Profile};
use crate::providers::pinned;

/// Jobs of GitHub Actions. The argument is a list with the ids of the accounts whose repositories are trusted
/// (`repository_owner_id`). The id is a number that stays the same if the account is renamed, and the next owner of the
/// old name has another number. You find the id at `https://api.github.com/users/<name>`.
///
/// The server sends `typ: JWT`, the `aud` that the job requested, and in `sub` the repository with a ref or an
/// environment. Every repository on GitHub can request a token with your audience. The policy of a route should also
/// test `repository`, `ref`, `environment` or `job_workflow_ref`.
///
/// This function gives up `typ`, `client_id` and scopes. The tokens have no roles.
///
/// Source: GitHub Docs, "OpenID Connect reference"
/// (<https://docs.github.com/en/actions/reference/security/oidc>).
///
/// # Errors
/// If there are no owners.
pub fn github_actions<V: Into<String>>(
    owner_ids: impl IntoIterator<Item = V>,
) -> Result<Issuer, ConfigError> {
    let owners = pinned("github repository_owner_id", owner_ids)?;
    Ok(Issuer::new("https://token.actions.githubusercontent.com")
        .algorithms([Algorithm::RS256])
        .profile(workload().require_one_of("repository_owner_id", owners)))
}

/// Jobs of GitLab CI (`id_tokens`). The arguments are the instance's URL (`https://gitlab.com`, no final slash) and the
/// ids of the groups or users whose own projects are trusted (`namespace_id`). The id of a subgroup differs from the id
/// of its group.
///
/// The server sends `typ: JWT`, the `aud` that the job requested, and in `sub` the project's path with the ref. Every
/// project of the instance can request a token with your audience. The policy of a route should also test `project_id`,
/// `ref` with `ref_type`, `ref_protected` or `environment`. GitLab signs other tokens with the same keys. They are
/// refused because they have no `namespace_id`.
///
/// This function gives up `typ`, `client_id` and scopes. The tokens have no roles.
///
/// Source: GitLab Docs, "OpenID Connect (OIDC) Authentication Using ID Tokens"
/// (<https://docs.gitlab.com/ci/secrets/id_token_authentication/>).
///
/// # Errors
/// If there are no namespaces.
pub fn gitlab_ci<V: Into<String>>(
    instance_url: impl Into<String>,
    namespace_ids: impl IntoIterator<Item = V>,
) -> Result<Issuer, ConfigError> {
    let namespaces = pinned("gitlab namespace_id", namespace_ids)?;
    Ok(Issuer::new(instance_url)
        .algorithms([Algorithm::RS256])
        .profile(workload().require_one_of("namespace_id", namespaces)))
}

/// Service accounts of Kubernetes, for tokens of a projected volume with your audience. The
/// argument is the cluster's issuer (`--service-account-issuer`, such as
/// `https://kubernetes.default.svc`).
///
/// The server sends no `typ`, `aud` as an array, the account in `sub` (`system:serviceaccount:<namespace>:<name>`), and
/// pod and node under `kubernetes.io`. Every pod can request a token with your audience, so the policy of a route
/// should test `sub`.
///
/// Most clusters need the cluster's CA, and a token, to fetch the key set. Inside the cluster, use
/// `kubernetes_in_cluster`. Outside, use `Issuer::only_root_certificates` and
/// `Issuer::bearer_token_file` (feature `http-client`).
///
/// This function gives up `typ`, `client_id` and scopes. The tokens have no roles. The older tokens from Secrets have
/// neither `exp` nor `aud`, and are refused.
///
/// Source: Kubernetes Docs, "Managing Service Accounts"
/// (<https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/>) and
/// "Service account issuer discovery".
pub fn kubernetes(issuer: impl Into<String>) -> Issuer {
    Issuer::new(issuer).profile(workload().require_claim("kubernetes.io"))
}

/// Service accounts of Google Cloud, for ID tokens with the URL of the called service in `aud`, as Cloud Run accepts
/// them. The argument is a list with the accounts' unique ids (`sub`, a number of 21 digits). Another account never
/// gets the same id, but it can get the same e-mail address.
///
/// The server sends `typ: JWT`, and the account in `sub` and `azp`. Every service account of every Google Cloud project
/// can request a token with your audience, so the list is required. Both spellings of the issuer are accepted.
///
/// These are the only Google tokens that your own API can verify. Google's access tokens (`ya29.`)
/// are opaque and for Google's APIs. The ID tokens of its users are for the client that requested
/// them. Neither is accepted here.
///
/// This function gives up `typ`, `client_id`, `jti` and scopes. The tokens have no roles.
///
/// Sources: Google Cloud Docs, "Get an ID token" and "Authenticating service-to-service"; Google for
/// Developers, "OpenID Connect", for the two spellings of `iss`.
///
/// # Errors
/// If there are no accounts.
pub fn google_service_accounts<V: Into<String>>(
    account_ids: impl IntoIterator<Item = V>,
) -> Result<Issuer, ConfigError> {
    let accounts = pinned("google service account id", account_ids)?;
    Ok(Issuer::new("https://accounts.google.com")
        .alias("accounts.google.com")
        .algorithms([Algorithm::RS256])
        .profile(workload().require_one_of("sub", accounts)))
}

fn workload() -> Profile {
    Profile::jwt()
        .without_roles()
        .client_claim("sub")
        .require_claim("sub")
        .answers(AnswerProfile::rfc7662().client_claim("sub"))
}
