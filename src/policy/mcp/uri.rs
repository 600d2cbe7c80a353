//! Converts URIs of resources, and templates of URIs (RFC 6570), to paths for a table of routes.
//!
//! A table of routes already finds the most specific pattern, and refuses a text that two programs could
//! read differently. So the scheme and the authority of a URI become the first segments of a path:
//!
//! | URI | path |
//! |---|---|
//! | `note://inbox/7` | `/note:/inbox/7` |
//! | `file:///etc/hosts` | `/file:=/etc/hosts` |
//! | `note:/inbox` | `/note:@/inbox` |
//! | `urn:note:7` | `/urn:+/note/7` |

use crate::policy::routes::has_one_reading;

/// A URI that all programs read in the same way.
pub(super) struct ResourceUri<'a> {
    pub(super) scheme: &'a str,
    /// The authority (RFC 3986 §3.2). Empty if there is none.
    pub(super) authority: &'a str,
    /// The path for the table of routes.
    pub(super) path: String,
    pub(super) query: Option<&'a str>,
}

impl<'a> ResourceUri<'a> {
    /// `None` if two programs could read the URI differently.
    pub(super) fn parse(uri: &'a str) -> Option<Self> {
        if uri.contains('#') {
            return None;
        }
        let (uri, query) = match uri.split_once('?') {
            Some((uri, query)) => (uri, Some(query)),
            None => (uri, None),
        };
        let (scheme, rest) = uri.split_once(':')?;
        let is_scheme =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
        let starts_well = scheme.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        if !starts_well || !scheme.bytes().all(is_scheme) {
            return None;
        }
        let parts = (rest.strip_prefix("///"), rest.strip_prefix("//"), rest.strip_prefix('/'));
        let path = match parts {
            (Some(path), ..) => format!("/{scheme}:=/{path}"),
            (_, Some(authority_and_path), _) => format!("/{scheme}:/{authority_and_path}"),
            (_, _, Some(path)) => format!("/{scheme}:@/{path}"),
            // Colons become slashes below, so a real slash would look like a colon.
            (None, None, None) if rest.contains('/') => return None,
            (None, None, None) => format!("/{scheme}:+/{}", rest.replace(':', "/")),
        };
        let authority = rest.strip_prefix("//").and_then(|rest| rest.split('/').next());
        Some(Self { scheme, authority: authority.unwrap_or_default(), path, query })
    }
}

/// A template, with the position of each variable among the segments.
#[derive(Clone, Debug)]
pub(super) struct Template {
    pub(super) scheme: Box<str>,
    authority: Box<str>,
    /// The pattern for the table of routes.
    pub(super) pattern: String,
    /// The names in `{?a,b}`.
    query: Vec<Box<str>>,
    variables: Vec<Variable>,
}

#[derive(Clone, Debug)]
struct Variable {
    name: Box<str>,
    segment: usize,
    /// Whether the variable stands for all segments from `segment` to the end.
    is_rest: bool,
}

impl Template {
    /// # Errors
    /// What is wrong with the template.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (text, query) = match text.split_once("{?") {
            Some((before, query)) => {
                let names = query.strip_suffix('}').ok_or("`{?..}` must be at the end")?;
                let names: Vec<Box<str>> = names.split(',').map(Into::into).collect();
                if !names.iter().all(|name| is_name(name)) {
                    return Err("`{?..}` has a malformed name".to_owned());
                }
                (before, names)
            }
            None => (text, Vec::new()),
        };
        let uri = ResourceUri::parse(text).filter(|uri| uri.query.is_none());
        let uri = uri.ok_or("it is not a URI with a scheme in lower case, or it has a query")?;
        let (scheme, authority, path) = (uri.scheme.into(), uri.authority.into(), uri.path);
        let (mut pattern, mut variables) = (String::new(), Vec::new());
        for (segment, text) in path.split('/').skip(1).enumerate() {
            pattern.push('/');
            let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
            let Some(inner) = inner else {
                pattern.push_str(text);
                continue;
            };
            let (name, is_rest) = match inner.strip_prefix('+') {
                Some(name) => (name, true),
                None => (inner, false),
            };
            if !is_name(name) {
                return Err(format!("`{text}` is not of the form `{{name}}` or `{{+name}}`"));
            }
            pattern.push_str(if is_rest { "{*" } else { "{" });
            pattern.push_str(name);
            pattern.push('}');
            variables.push(Variable { name: name.into(), segment, is_rest });
        }
        let names = || variables.iter().map(|own: &Variable| &own.name).chain(&query);
        if names().any(|name| names().filter(|other| *other == name).count() > 1) {
            return Err("it has a variable twice".to_owned());
        }
        Ok(Self { scheme, authority, pattern, query, variables })
    }

    /// Whether every program finds the same host. An authority with a user or a port is allowed only if the template
    /// has exactly this authority: a program that parses the URI finds a host name that differs from the text of the
    /// authority.
    pub(super) fn allows_authority(&self, authority: &str) -> bool {
        !authority.contains(['@', ':']) || *self.authority == *authority
    }

    /// Whether the template declares this query: each name at most once, and values that all programs read in
    /// the same way.
    pub(super) fn allows_query(&self, query: Option<&str>) -> bool {
        let Some(query) = query else { return true };
        let mut seen = Vec::new();
        query.split('&').all(|pair| {
            let Some((name, value)) = pair.split_once('=') else { return false };
            let is_new = !seen.contains(&name);
            seen.push(name);
            let is_plain = !value.contains('/') && has_one_reading(&format!("/{value}"));
            is_new && is_plain && self.query.iter().any(|own| **own == *name)
        })
    }

    /// The values of the variables. The path must match the template, and the template must allow the query.
    pub(super) fn values(&self, path: &str, query: Option<&str>) -> Vec<(Box<str>, String)> {
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        let value = |variable: &Variable| {
            let from = segments.get(variable.segment..).unwrap_or_default();
            match (variable.is_rest, from.first()) {
                (true, _) => from.join("/"),
                (false, first) => first.copied().unwrap_or_default().to_owned(),
            }
        };
        let of_path = self.variables.iter().map(|own| (own.name.clone(), value(own)));
        let pairs = query.into_iter().flat_map(|query| query.split('&'));
        let of_query = pairs.filter_map(|pair| pair.split_once('='));
        of_path.chain(of_query.map(|(name, value)| (name.into(), value.to_owned()))).collect()
    }
}

/// Whether a text is the name of a variable (RFC 6570 §2.3, without the rarer forms).
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
