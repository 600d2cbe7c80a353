//! URIs of resources, and templates of URIs (RFC 6570), as paths of a table of routes.
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

/// The path of a URI, without its query. `None` if two programs could read the URI differently.
pub(super) fn path(uri: &str) -> Option<String> {
    if uri.contains('#') {
        return None;
    }
    let uri = uri.split('?').next()?;
    let (scheme, rest) = uri.split_once(':')?;
    let starts_well = scheme.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    let is_scheme =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
    if !starts_well || !scheme.bytes().all(is_scheme) {
        return None;
    }
    Some(match (rest.strip_prefix("///"), rest.strip_prefix("//"), rest.strip_prefix('/')) {
        (Some(path), ..) => format!("/{scheme}:=/{path}"),
        (_, Some(authority_and_path), _) => format!("/{scheme}:/{authority_and_path}"),
        (_, _, Some(path)) => format!("/{scheme}:@/{path}"),
        // A slash would be read as a colon.
        (None, None, None) if rest.contains('/') => return None,
        (None, None, None) => format!("/{scheme}:+/{}", rest.replace(':', "/")),
    })
}

/// A template, with the position of each variable among the segments.
#[derive(Clone, Debug)]
pub(super) struct Template {
    /// The pattern for the table of routes.
    pub(super) pattern: String,
    variables: Vec<Variable>,
}

#[derive(Clone, Debug)]
struct Variable {
    name: Box<str>,
    segment: usize,
    /// Whether it has all segments from there on.
    is_rest: bool,
}

impl Template {
    /// # Errors
    /// What is wrong with the template.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        // `{?a,b}` is a query, and queries are not compared.
        let text = match text.split_once("{?") {
            Some((before, query)) if query.ends_with('}') && !query.contains('/') => before,
            Some(_) => return Err("`{?..}` must be at the end".to_owned()),
            None => text,
        };
        if text.contains(['?', '#']) {
            return Err("it has a query or a fragment: queries are not compared".to_owned());
        }
        let path = path(text).ok_or("it is not a URI with a scheme in lower case")?;
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
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            if name.is_empty() || !name.bytes().all(is_plain) {
                return Err(format!("`{text}` is not of the form `{{name}}` or `{{+name}}`"));
            }
            pattern.push_str(if is_rest { "{*" } else { "{" });
            pattern.push_str(name);
            pattern.push('}');
            variables.push(Variable { name: name.into(), segment, is_rest });
        }
        Ok(Self { pattern, variables })
    }

    /// The values of the variables in a path that matches.
    pub(super) fn values(&self, path: &str) -> Vec<(Box<str>, String)> {
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        let value = |variable: &Variable| {
            let from = segments.get(variable.segment..).unwrap_or_default();
            match (variable.is_rest, from.first()) {
                (true, _) => from.join("/"),
                (false, first) => first.copied().unwrap_or_default().to_owned(),
            }
        };
        self.variables.iter().map(|variable| (variable.name.clone(), value(variable))).collect()
    }
}
