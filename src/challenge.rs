//! `WWW-Authenticate` with the grammar of RFC 9110 §11.6.1 and the parameters of RFC 6750 §3.
//!
//! All content of a challenge comes from the configuration. So every challenge is built and checked once, when the
//! server or a route is created. A request only selects prepared challenges. No part of a token can get into a
//! challenge. (Only a requirement that a handler checks itself builds its challenges at the request.)

use std::sync::Arc;

use http::header::{CACHE_CONTROL, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue};

use crate::scheme::Scheme;
use crate::token::ScopeToken;

/// The `error` code of a challenge (RFC 6750 §3.1, RFC 9449 §12.2, RFC 9470 §3). A challenge without a code
/// only asks for credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// No credentials: no error code.
    None,
    /// A refusal for which RFC 6750 has no error code: access is denied for another reason than scope.
    Denied,
    InvalidRequest,
    InvalidToken,
    InvalidProof,
    UseNonce,
    InsufficientScope,
    InsufficientUserAuthentication,
}

/// The login that a challenge asks for (RFC 9470 §3).
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct StepUp {
    /// In the order of preference.
    pub(crate) acr_values: Option<Vec<String>>,
    /// In seconds.
    pub(crate) max_age: Option<u64>,
}

impl Code {
    pub(crate) const fn error(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::None | Self::Denied => None,
            Self::InvalidRequest => {
                Some(("invalid_request", "The request must carry one access token, well-formed"))
            }
            Self::InvalidToken => {
                Some(("invalid_token", "The access token is not valid for this resource"))
            }
            Self::InvalidProof => {
                Some(("invalid_dpop_proof", "The DPoP proof is not valid for this request"))
            }
            Self::UseNonce => {
                Some(("use_dpop_nonce", "The DPoP proof must contain the nonce of this response"))
            }
            Self::InsufficientScope => {
                Some(("insufficient_scope", "The access token lacks a scope for this resource"))
            }
            Self::InsufficientUserAuthentication => Some((
                "insufficient_user_authentication",
                "The resource needs another or a more recent login of the user",
            )),
        }
    }
}

/// The parameters of RFC 6750 §3, RFC 9449 §7.1 and RFC 9470 §3. This crate sets them, so they cannot be
/// configured as further parameters.
const OWN_PARAMS: [&str; 8] =
    ["realm", "scope", "error", "error_description", "error_uri", "acr_values", "max_age", "algs"];

/// The settings that all challenges of one server share.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChallengeConfig {
    pub(crate) realm: String,
    pub(crate) descriptions: bool,
    pub(crate) error_uri: Option<String>,
    /// The URL of the metadata of the resource (RFC 9728 §5.1), for every challenge of our schemes.
    pub(crate) resource_metadata: Option<String>,
    /// Further auth-params: name and text.
    pub(crate) params: Vec<(String, String)>,
    /// Challenges of other schemes, for each 401 that is not about a DPoP proof.
    pub(crate) others: Vec<HeaderValue>,
    /// The settings for the scheme `DPoP`, if it is accepted.
    pub(crate) dpop: Option<DpopChallenge>,
}

/// The settings for challenges of the scheme `DPoP` (RFC 9449 §7.1).
#[derive(Clone, Debug)]
pub(crate) struct DpopChallenge {
    /// The names of the algorithms of proofs, separated by spaces.
    pub(crate) algs: String,
    /// Whether only `DPoP` is offered, because every token must be bound to a key.
    pub(crate) alone: bool,
}

impl ChallengeConfig {
    fn accepts(&self, scheme: Scheme) -> bool {
        match scheme {
            Scheme::Bearer => !self.dpop.as_ref().is_some_and(|dpop| dpop.alone),
            Scheme::Dpop => self.dpop.is_some(),
        }
    }
}

/// One value for each scheme that a client can use.
#[derive(Clone, Debug)]
struct ByScheme<T> {
    bearer: T,
    /// `None` if the scheme is not accepted.
    dpop: Option<T>,
}

impl<T> ByScheme<T> {
    fn build(
        config: &ChallengeConfig,
        of: impl Fn(Scheme) -> Result<T, String>,
    ) -> Result<Self, String> {
        let dpop = config.dpop.as_ref().map(|_| of(Scheme::Dpop));
        Ok(Self { bearer: of(Scheme::Bearer)?, dpop: dpop.transpose()? })
    }

    fn of(&self, scheme: Scheme) -> &T {
        match scheme {
            Scheme::Bearer => &self.bearer,
            Scheme::Dpop => self.dpop.as_ref().unwrap_or(&self.bearer),
        }
    }
}

/// The prepared challenges of one server or one route.
#[derive(Clone, Debug)]
pub(crate) struct Challenges {
    /// For a request without credentials.
    none: Arc<Prepared>,
    /// For a request that used a scheme.
    used: ByScheme<Used>,
}

/// The prepared challenges for a request that used one scheme.
#[derive(Clone, Debug)]
struct Used {
    denied: Arc<Prepared>,
    invalid_request: Arc<Prepared>,
    invalid_token: Arc<Prepared>,
    invalid_proof: Arc<Prepared>,
    use_nonce: Arc<Prepared>,
}

/// The prepared challenges for a token that lacks the scope or the login that one branch of a policy requires.
#[derive(Clone, Debug)]
pub(crate) struct BranchChallenges {
    insufficient_scope: ByScheme<Arc<Prepared>>,
    /// `None` if the branch has no requirement for the login.
    insufficient_user_authentication: Option<ByScheme<Arc<Prepared>>>,
}

impl BranchChallenges {
    /// Prepares the challenges.
    ///
    /// # Errors
    /// As [`Challenges::build`].
    pub(crate) fn build(
        config: &ChallengeConfig,
        scope: &[ScopeToken],
        step_up: Option<&StepUp>,
    ) -> Result<Self, String> {
        let of = |code| {
            ByScheme::build(config, |scheme| prepared(config, scope, step_up, code, Some(scheme)))
        };
        let login = step_up.map(|_| of(Code::InsufficientUserAuthentication));
        Ok(Self {
            insufficient_scope: of(Code::InsufficientScope)?,
            insufficient_user_authentication: login.transpose()?,
        })
    }
}

/// The challenges of one response, and the headers that contain them. A response only copies the headers.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// One challenge for each scheme that is offered. RFC 9110 §11.6.1 allows several.
    pub(crate) challenges: Box<[HeaderValue]>,
    /// `WWW-Authenticate` with these challenges, and `Cache-Control`.
    pub(crate) headers: HeaderMap,
}

impl Prepared {
    fn new(challenges: impl Into<Box<[HeaderValue]>>) -> Arc<Self> {
        let challenges = challenges.into();
        let mut headers = HeaderMap::with_capacity(2);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for challenge in &challenges {
            headers.append(WWW_AUTHENTICATE, challenge.clone());
        }
        Arc::new(Self { challenges, headers })
    }
}

impl Challenges {
    /// Prepares the challenges. `scope` is the scope that a client should request.
    ///
    /// # Errors
    /// Fails if a parameter does not match its grammar or occurs twice. The text names the
    /// parameter.
    pub(crate) fn build(config: &ChallengeConfig, scope: &[ScopeToken]) -> Result<Self, String> {
        let used = |scheme| {
            let of = |code| prepared(config, scope, None, code, Some(scheme));
            Ok(Used {
                denied: of(Code::Denied)?,
                invalid_request: of(Code::InvalidRequest)?,
                invalid_token: of(Code::InvalidToken)?,
                invalid_proof: of(Code::InvalidProof)?,
                use_nonce: of(Code::UseNonce)?,
            })
        };
        Ok(Self {
            none: prepared(config, scope, None, Code::None, None)?,
            used: ByScheme::build(config, used)?,
        })
    }

    /// Whether the challenges for a request without a token name this scope.
    pub(crate) fn name_scope(&self, scope: &str) -> bool {
        self.none.challenges.iter().any(|challenge| {
            // Without escaped characters, each second `"` ends the text of a parameter.
            let text = challenge.to_str().unwrap_or_default();
            let text = text.replace(r"\\", "").replace(r#"\""#, "");
            let parameters: Vec<_> = text.split('"').collect();
            let is_scope = |name: &str| name.ends_with(" scope=");
            parameters.chunks_exact(2).any(|pair| match pair {
                [name, scopes] => is_scope(name) && scopes.split(' ').any(|own| own == scope),
                _ => false,
            })
        })
    }

    /// The challenges for a refusal with this code. `scheme` is the scheme that the request used. `branch` has the
    /// challenges for a missing scope or login.
    pub(crate) fn of<'a>(
        &'a self,
        code: Code,
        scheme: Scheme,
        branch: Option<&'a BranchChallenges>,
    ) -> &'a Arc<Prepared> {
        let used = self.used.of(scheme);
        match code {
            Code::None => &self.none,
            Code::Denied => &used.denied,
            Code::InvalidRequest => &used.invalid_request,
            Code::InvalidToken => &used.invalid_token,
            Code::InvalidProof => &used.invalid_proof,
            Code::UseNonce => &used.use_nonce,
            Code::InsufficientScope => {
                branch.map_or(&used.denied, |branch| branch.insufficient_scope.of(scheme))
            }
            Code::InsufficientUserAuthentication => branch
                .and_then(|branch| branch.insufficient_user_authentication.as_ref())
                .map_or(&used.denied, |prepared| prepared.of(scheme)),
        }
    }
}

/// The challenges of one response. `used` is the scheme that the request used. Only the challenge of that scheme has an
/// error code (RFC 9449 §7.2).
fn prepared(
    config: &ChallengeConfig,
    scope: &[ScopeToken],
    step_up: Option<&StepUp>,
    code: Code,
    used: Option<Scheme>,
) -> Result<Arc<Prepared>, String> {
    let mut all = Vec::new();
    if let Some(used) = used {
        all.push(challenge(config, scope, step_up, code, used)?);
    }
    // Another scheme, or a token of another kind, may help.
    if let Code::None | Code::InvalidToken = code {
        for other in [Scheme::Bearer, Scheme::Dpop] {
            if used != Some(other) && config.accepts(other) {
                all.push(challenge(config, scope, None, Code::None, other)?);
            }
        }
    }
    match code {
        Code::None | Code::InvalidToken | Code::InsufficientUserAuthentication => {
            all.extend_from_slice(&config.others);
        }
        // Credentials of another scheme would not help.
        Code::Denied
        | Code::InvalidRequest
        | Code::InvalidProof
        | Code::UseNonce
        | Code::InsufficientScope => {}
    }
    Ok(Prepared::new(all))
}

fn challenge(
    config: &ChallengeConfig,
    scope: &[ScopeToken],
    step_up: Option<&StepUp>,
    code: Code,
    scheme: Scheme,
) -> Result<HeaderValue, String> {
    let mut params = vec![("realm", config.realm.clone())];
    if let Some((error, description)) = code.error() {
        params.push(("error", error.to_owned()));
        if config.descriptions {
            params.push(("error_description", description.to_owned()));
        }
        if let Some(uri) = &config.error_uri {
            params.push(("error_uri", uri.clone()));
        }
    }
    // A malformed request or proof has nothing to do with scope, so the response names no scope.
    let is_malformed = matches!(code, Code::InvalidRequest | Code::InvalidProof | Code::UseNonce);
    if !scope.is_empty() && !is_malformed {
        let scope: Vec<_> = scope.iter().map(ScopeToken::as_str).collect();
        params.push(("scope", scope.join(" ")));
    }
    if let Some(StepUp { acr_values, max_age }) = step_up
        && code == Code::InsufficientUserAuthentication
    {
        params.extend(acr_values.as_ref().map(|values| ("acr_values", values.join(" "))));
        params.extend(max_age.map(|seconds| ("max_age", seconds.to_string())));
    }
    if let (Scheme::Dpop, Some(dpop)) = (scheme, &config.dpop) {
        params.push(("algs", dpop.algs.clone()));
    }
    params.extend(config.resource_metadata.as_ref().map(|url| ("resource_metadata", url.clone())));
    for (name, text) in &config.params {
        if OWN_PARAMS.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            return Err(format!("auth-param `{name}` has its own setting"));
        }
        params.push((name, text.clone()));
    }

    let mut value = String::from(scheme.name());
    for (index, (name, text)) in params.iter().enumerate() {
        // RFC 9110 §11.2: a name occurs only once, compared case-insensitively.
        if params.iter().take(index).any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            return Err(format!("auth-param `{name}` occurs twice"));
        }
        if name.is_empty() || !name.bytes().all(is_tchar) {
            return Err(format!("`{name}` is not a valid auth-param name (RFC 9110 section 11.2)"));
        }
        value.push_str(if index == 0 { " " } else { ", " });
        value.push_str(name);
        value.push('=');
        value.push_str(&quoted(text).ok_or_else(|| format!("`{name}` is not printable ASCII"))?);
    }
    HeaderValue::from_str(&value)
        .map_err(|_| "the challenge is not a valid header value".to_owned())
}

/// A quoted-string (RFC 9110 §5.6.4) of printable ASCII.
pub(crate) fn quoted(text: &str) -> Option<String> {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            ' '..='~' => quoted.push(character),
            _ => return None,
        }
    }
    quoted.push('"');
    Some(quoted)
}

/// Reads the challenge of another scheme. Only the name of the scheme and the characters are checked.
///
/// # Errors
/// The problem, as a fixed text.
pub(crate) fn parse_other(challenge: &str) -> Result<HeaderValue, &'static str> {
    let scheme = challenge.split(' ').next().unwrap_or_default();
    if scheme.is_empty() || !scheme.bytes().all(is_tchar) {
        return Err("a challenge begins with the name of its scheme (RFC 9110 section 11.3)");
    }
    if ["Bearer", "DPoP"].iter().any(|own| own.eq_ignore_ascii_case(scheme)) {
        return Err("the challenge of this scheme is built from the configuration");
    }
    let is_printable = challenge.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let value = HeaderValue::from_str(challenge).ok().filter(|_| is_printable);
    value.ok_or("a challenge is printable ASCII")
}

/// Whether `uri` is valid for `error_uri`: absolute, with characters from %x21 / %x23-5B / %x5D-7E
/// (RFC 6750 §3).
pub(crate) fn is_error_uri(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else {
        return false;
    };
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        && !rest.is_empty()
        && uri.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E))
}

/// Whether the byte is a character of an HTTP token (RFC 9110 §5.6.2). The name of a scheme is an
/// HTTP token.
pub(crate) fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests;
