//! Patterns of raw paths.

use crate::policy::routes::path::{folded, is_plain};

/// A pattern such as `/notes/{id}`.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    pub(super) segments: Vec<Segment>,
    pub(super) end: End,
}

#[derive(Clone, Debug)]
pub(super) enum Segment {
    Literal(Box<str>),
    /// `{name}`: one segment that is not empty.
    Any,
}

/// What follows the segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Nothing,
    Slash,
    /// `{*rest}`: one or more segments.
    Rest,
}

/// The relation of two patterns.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// No path matches both, or one of them is more specific.
    Clear,
    /// Both match the same paths.
    Same,
    /// Both match some paths, and neither is more specific.
    Conflict,
}

impl Pattern {
    /// # Errors
    /// What is wrong with the pattern.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text.strip_prefix('/').ok_or("it must begin with `/`")?;
        let (mut segments, mut end) = (Vec::new(), End::Nothing);
        loop {
            let (segment, next) = match rest.split_once('/') {
                Some((segment, next)) => (segment, Some(next)),
                None => (rest, None),
            };
            match (segment, next) {
                ("", None) => end = End::Slash,
                ("", Some(_)) => return Err("it has an empty segment".to_owned()),
                (segment, next) if segment.starts_with("{*") => {
                    parameter(segment, "{*")?;
                    if next.is_some() {
                        return Err(format!("`{segment}` is not at the end"));
                    }
                    end = End::Rest;
                }
                (segment, _) => segments.push(Segment::parse(segment)?),
            }
            match next {
                Some(next) => rest = next,
                None => return Ok(Self { segments, end }),
            }
        }
    }

    /// Whether the pattern matches the path, byte for byte.
    pub(super) fn matches(&self, path: &str) -> bool {
        let mut tail = path.strip_prefix('/');
        for own in &self.segments {
            let Some(text) = tail else { return false };
            let (segment, next) = match text.split_once('/') {
                Some((segment, next)) => (segment, Some(next)),
                None => (text, None),
            };
            let equal = match own {
                Segment::Literal(literal) => **literal == *segment,
                Segment::Any => !segment.is_empty(),
            };
            if !equal {
                return false;
            }
            tail = next;
        }
        match self.end {
            End::Nothing => tail.is_none(),
            End::Slash => tail == Some(""),
            End::Rest => tail.is_some_and(|tail| !tail.is_empty()),
        }
    }

    /// How this pattern relates to another. Two literals count as the same if a lenient program
    /// could take one for the other.
    pub(super) fn relation(&self, other: &Self) -> Relation {
        let (mut more, mut less) = (false, false);
        let mut position = 0;
        loop {
            match (self.segments.get(position), other.segments.get(position)) {
                (Some(Segment::Literal(own)), Some(Segment::Literal(other))) => {
                    if folded(own) != folded(other) {
                        return Relation::Clear;
                    }
                }
                (Some(Segment::Any), Some(Segment::Any)) => {}
                (Some(Segment::Literal(_)), Some(Segment::Any)) => more = true,
                (Some(Segment::Any), Some(Segment::Literal(_))) => less = true,
                (Some(_), None) if other.end == End::Rest => {
                    more = true;
                    break;
                }
                (None, Some(_)) if self.end == End::Rest => {
                    less = true;
                    break;
                }
                (None, None) if self.end == other.end => break,
                (_, None) | (None, _) => return Relation::Clear,
            }
            position += 1;
        }
        match (more, less) {
            (true, true) => Relation::Conflict,
            (false, false) => Relation::Same,
            _ => Relation::Clear,
        }
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with('{') {
            parameter(text, "{")?;
            return Ok(Self::Any);
        }
        if text.starts_with([':', '*']) {
            return Err("write `{name}` for `:name`, and `{*rest}` for `*rest`".to_owned());
        }
        if matches!(text, "." | "..") || !text.bytes().all(is_plain) {
            return Err(format!(
                "`{text}` is not a segment that every program reads in the same way"
            ));
        }
        Ok(Self::Literal(text.into()))
    }
}

/// Checks the form of `{name}` or `{*name}`.
fn parameter(segment: &str, open: &str) -> Result<(), String> {
    let name = segment.strip_prefix(open).and_then(|name| name.strip_suffix('}'));
    match name {
        Some(name) if !name.is_empty() && !name.contains(['{', '}', '*']) => Ok(()),
        _ => {
            Err(format!("`{segment}` is not a whole segment of the form `{{name}}` or `{{*name}}`"))
        }
    }
}
