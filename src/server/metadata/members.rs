//! The members of a document, and the checks of their values.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::observe::shown::shown;
use crate::server::metadata::language::is_language_tag;
use crate::token::ScopeToken;
use crate::url::{PlainHttp, check_issuer, check_url};

/// The members of RFC 9728 §2, and the claim `iss` of signed metadata. Their values come from their own
/// settings or from the configuration, so [`set_other`](Members::set_other) refuses these names.
const OWN_MEMBERS: [&str; 16] = [
    "resource",
    "authorization_servers",
    "jwks_uri",
    "scopes_supported",
    "bearer_methods_supported",
    "resource_signing_alg_values_supported",
    "resource_name",
    "resource_documentation",
    "resource_policy_uri",
    "resource_tos_uri",
    "tls_client_certificate_bound_access_tokens",
    "authorization_details_types_supported",
    "dpop_signing_alg_values_supported",
    "dpop_bound_access_tokens_required",
    "signed_metadata",
    "iss",
];

/// The members of a document, and the problems of the settings.
#[derive(Debug, Default)]
pub(super) struct Members {
    pub(super) allow_http_loopback: bool,
    /// The hosts of authorization servers that may have an http URL.
    pub(super) http_hosts: Vec<String>,
    pub(super) map: Map<String, Value>,
    pub(super) problems: Vec<String>,
}

impl Members {
    fn problem(&mut self, name: &str, value: &str, fault: &dyn std::fmt::Display) {
        self.problems.push(format!("{name} `{}`: {fault}", value.escape_debug()));
    }

    /// Sets a member. Setting it twice is a problem.
    fn set(&mut self, name: &str, value: Value) {
        // The case of a language tag makes no difference (RFC 5646 §2.1.1).
        if self.map.keys().any(|own| own.eq_ignore_ascii_case(name)) {
            self.problems.push(format!("{}: is set twice", name.escape_debug()));
            return;
        }
        self.map.insert(name.to_owned(), value);
    }

    /// Sets a member to a list. A list without values is left out (RFC 9728 §3.2).
    pub(super) fn set_list(&mut self, name: &str, values: Vec<String>) {
        if !values.is_empty() {
            self.set(name, values.into());
        }
    }

    /// Sets a flag. Its default is `false`, so `false` is left out.
    pub(super) fn set_flag(&mut self, name: &str, value: bool) {
        if value {
            self.set(name, true.into());
        }
    }

    /// Sets a text for people to read. `tag` is its language.
    pub(super) fn set_text(&mut self, name: &str, tag: Option<&str>, text: &str) {
        if text.trim().is_empty() {
            return self.problem(name, text, &"must not be empty");
        }
        match tag {
            None => self.set(name, text.into()),
            Some(tag) if is_language_tag(tag) => self.set(&format!("{name}#{tag}"), text.into()),
            Some(tag) => self.problem(name, tag, &"is not a language tag (BCP 47)"),
        }
    }

    /// Sets the URL of a page. `tag` is the language of the page.
    pub(super) fn set_page(&mut self, name: &str, tag: Option<&str>, url: &str) {
        match check_url(url, self.allow_http_loopback) {
            Ok(_) => self.set_text(name, tag, url),
            Err(fault) => self.problem(name, &shown(url), &fault),
        }
    }

    /// Sets a member that this crate does not know.
    pub(super) fn set_other(&mut self, name: &str, value: Value) {
        let plain = name.split('#').next().unwrap_or_default();
        let is_own = OWN_MEMBERS.iter().any(|own| own.eq_ignore_ascii_case(plain));
        let has_no_value = match &value {
            Value::Null => true,
            Value::Array(values) => values.is_empty(),
            _ => false,
        };
        if plain.is_empty() {
            self.problem("member", name, &"must have a name");
        } else if is_own {
            self.problem("member", name, &"is set by this crate (RFC 9728 section 2)");
        } else if has_no_value {
            self.problem("member", name, &"has no value: leave it out (RFC 9728 section 3.2)");
        } else {
            self.set(name, value);
        }
    }

    /// Checks an issuer identifier (RFC 8414 §2).
    pub(super) fn check_authorization_server(&mut self, issuer: &str) {
        let plain_http = PlainHttp { loopback: self.allow_http_loopback, hosts: &self.http_hosts };
        if let Err(fault) = check_issuer(issuer, plain_http) {
            self.problem("authorization_servers", &shown(issuer), &fault);
        }
    }

    pub(super) fn check_scope(&mut self, setting: &str, scope: &str) {
        if let Err(error) = ScopeToken::parse(scope) {
            self.problem(setting, scope, &error);
        }
    }

    /// Checks a value of a list: any text that is not empty.
    pub(super) fn check_word(&mut self, name: &str, word: &str) {
        if word.is_empty() {
            self.problem(name, word, &"must not be empty");
        }
    }

    /// Checks the algorithm of a signature (RFC 9728 §2).
    pub(super) fn check_algorithm(&mut self, algorithm: &str) {
        let name = "resource_signing_alg_values_supported";
        self.check_word(name, algorithm);
        if algorithm.eq_ignore_ascii_case("none") {
            self.problem(name, algorithm, &"must not be listed (RFC 9728 section 2)");
        }
    }
}

/// The JSON text of an object, with its members sorted by name. The order of a `Map` is not always sorted:
/// another crate in the program may turn on the feature `preserve_order` of serde_json.
pub(super) fn sorted(members: &Map<String, Value>) -> String {
    let members: BTreeMap<_, _> = members.iter().collect();
    // This cannot fail: a `Value` can always be written as JSON.
    serde_json::to_string(&members).unwrap_or_default()
}
