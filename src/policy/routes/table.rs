//! Values by method and route.

use std::collections::BTreeMap;
use std::fmt;

use http::Method;

use crate::policy::routes::path::has_one_reading;
use crate::policy::routes::pattern::{Pattern, Relation};
use crate::policy::routes::tree::Node;

/// Values by method and route.
#[derive(Clone)]
pub(crate) struct Table<T> {
    entries: Vec<Entry<T>>,
    index: Index,
}

/// A route of the table.
#[derive(Clone)]
pub(crate) struct Entry<T> {
    pattern: Box<str>,
    /// `None` stands for all other methods.
    methods: Vec<(Option<Method>, T)>,
}

/// The text that is looked up in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// The pattern that the router has matched.
    #[cfg_attr(not(feature = "axum"), allow(dead_code, reason = "only axum names its pattern"))]
    MatchedPattern,
    /// The raw path.
    Path,
}

#[derive(Clone, Debug)]
enum Index {
    Patterns(BTreeMap<Box<str>, usize>),
    Paths { tree: Node, patterns: Vec<Pattern> },
}

impl<T> Table<T> {
    pub(in crate::policy) fn new(reading: Reading) -> Self {
        let index = match reading {
            Reading::MatchedPattern => Index::Patterns(BTreeMap::new()),
            Reading::Path => Index::Paths { tree: Node::default(), patterns: Vec::new() },
        };
        Self { entries: Vec::new(), index }
    }

    pub(crate) fn reading(&self) -> Reading {
        match self.index {
            Index::Patterns(_) => Reading::MatchedPattern,
            Index::Paths { .. } => Reading::Path,
        }
    }

    /// The entry for a text of this table's [`Reading`].
    pub(crate) fn find(&self, text: &str) -> Option<&Entry<T>> {
        let position = match &self.index {
            Index::Patterns(patterns) => *patterns.get(text)?,
            Index::Paths { tree, patterns } => {
                if !has_one_reading(text) {
                    return None;
                }
                let position = tree.find(text)?;
                if !patterns.get(position)?.matches(text) {
                    return None;
                }
                position
            }
        };
        self.entries.get(position)
    }

    /// # Errors
    /// The problem, as a sentence that names the pattern.
    pub(in crate::policy) fn insert(
        &mut self,
        method: Option<Method>,
        pattern: &str,
        value: T,
    ) -> Result<(), String> {
        let known = self.entries.iter_mut().find(|entry| *entry.pattern == *pattern);
        if let Some(entry) = known {
            if entry.methods.iter().any(|(own, _)| *own == method) {
                let method = method.as_ref().map_or("any method", Method::as_str);
                return Err(format!("the route `{pattern}` lists {method} twice"));
            }
            entry.methods.push((method, value));
            return Ok(());
        }
        let position = self.entries.len();
        match &mut self.index {
            Index::Patterns(patterns) => {
                check_matched(pattern).map_err(|problem| malformed(pattern, problem))?;
                patterns.insert(pattern.into(), position);
            }
            Index::Paths { tree, patterns } => {
                let parsed =
                    Pattern::parse(pattern).map_err(|problem| malformed(pattern, &problem))?;
                for (other, entry) in patterns.iter().zip(&self.entries) {
                    let other_text = &entry.pattern;
                    match parsed.relation(other) {
                        Relation::Clear => {}
                        Relation::Same => {
                            return Err(format!(
                                "the routes `{other_text}` and `{pattern}` match the same paths: write \
                                 both in the same way"
                            ));
                        }
                        Relation::Conflict => {
                            return Err(format!(
                                "the routes `{other_text}` and `{pattern}` both match some paths, and \
                                 neither is more specific"
                            ));
                        }
                    }
                }
                tree.insert(&parsed, position);
                patterns.push(parsed);
            }
        }
        self.entries.push(Entry { pattern: pattern.into(), methods: vec![(method, value)] });
        Ok(())
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().flat_map(|entry| entry.methods.iter().map(|(_, value)| value))
    }

    pub(crate) fn map<U>(self, mut change: impl FnMut(T) -> U) -> Table<U> {
        let entries = self.entries.into_iter().map(|Entry { pattern, methods }| {
            let methods = methods.into_iter().map(|(method, value)| (method, change(value)));
            Entry { pattern, methods: methods.collect() }
        });
        Table { entries: entries.collect(), index: self.index }
    }
}

impl<T> Entry<T> {
    /// The value for a method.
    pub(crate) fn of(&self, method: &Method) -> Option<&T> {
        let named = self.named(method);
        // RFC 9110 §9.3.2: HEAD is GET without the content of the response.
        let get = || if method == Method::HEAD { self.named(&Method::GET) } else { None };
        named.or_else(get).or_else(|| self.value(None))
    }

    /// The value for a method that is listed by its own name.
    pub(crate) fn named(&self, method: &Method) -> Option<&T> {
        self.value(Some(method))
    }

    /// The values of all methods.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.methods.iter().map(|(_, value)| value)
    }

    fn value(&self, method: Option<&Method>) -> Option<&T> {
        let mut values = self.methods.iter();
        values.find(|(own, _)| own.as_ref() == method).map(|(_, value)| value)
    }
}

fn malformed(pattern: &str, problem: &str) -> String {
    format!("the route `{}` can't be: {problem}", pattern.escape_debug())
}

/// Checks a pattern for a router. Such a pattern is only compared as text, so the router defines its
/// grammar. Patterns of older routers (`:name`, `*rest`) are refused, because the router would never
/// match them.
fn check_matched(pattern: &str) -> Result<(), &'static str> {
    let mut segments = pattern.split('/');
    if segments.next() != Some("") || pattern.is_empty() {
        return Err("it must begin with `/`");
    }
    if segments.any(|segment| segment.starts_with([':', '*'])) {
        return Err("write `{name}` for `:name`, and `{*rest}` for `*rest`");
    }
    Ok(())
}

impl<T> fmt::Debug for Table<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        for entry in &self.entries {
            for (method, _) in &entry.methods {
                let method = method.as_ref().map_or("*", Method::as_str);
                list.entry(&format_args!("{method} {}", entry.pattern));
            }
        }
        list.finish()
    }
}
