//! Finds the pattern of a raw path as a lenient program would: such a program decodes the path and ignores
//! letter case, blanks, and dots and slashes at the end. [`Table`](super::Table) then compares the path with
//! this pattern byte for byte. If the two results differ, the path is refused.

use std::collections::BTreeMap;

use crate::policy::routes::path::folded;
use crate::policy::routes::pattern::{End, Pattern, Segment};

/// One node of the tree, with the patterns below it. A number is the position of a pattern in the table.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    literals: BTreeMap<Box<str>, Node>,
    any: Option<Box<Node>>,
    nothing: Option<usize>,
    slash: Option<usize>,
    rest: Option<usize>,
}

enum Found {
    One(usize),
    None,
    /// A lenient program could find a pattern that does not match the path exactly.
    Doubtful,
}

impl Node {
    pub(super) fn insert(&mut self, pattern: &Pattern, position: usize) {
        let mut node = self;
        for segment in &pattern.segments {
            node = match segment {
                Segment::Literal(literal) => {
                    node.literals.entry(folded(literal).into()).or_default()
                }
                Segment::Any => node.any.get_or_insert_default(),
            };
        }
        let end = match pattern.end {
            End::Nothing => &mut node.nothing,
            End::Slash => &mut node.slash,
            End::Rest => &mut node.rest,
        };
        *end = Some(position);
    }

    /// The pattern of a path that has one reading. Each node is visited at most once, so the size of the table
    /// limits the cost of a long path.
    pub(super) fn find(&self, path: &str) -> Option<usize> {
        match self.below(path.strip_prefix('/')) {
            Found::One(position) => Some(position),
            Found::None | Found::Doubtful => None,
        }
    }

    /// Searches below this node. `tail` is the rest of the path after this node: `None` at the end of the path,
    /// and empty after a slash at the end.
    fn below(&self, tail: Option<&str>) -> Found {
        let text = match tail {
            None => return self.end(self.nothing, false),
            Some("") => return self.end(self.slash, true),
            Some(text) => text,
        };
        let (segment, next) = match text.split_once('/') {
            Some((segment, next)) => (segment, Some(next)),
            None => (text, None),
        };
        // The most specific pattern first.
        if let Some(node) = self.literals.get(&*folded(segment)) {
            match node.below(next) {
                Found::None => {}
                found => return found,
            }
        }
        if let Some(node) = &self.any {
            match node.below(next) {
                Found::None => {}
                found => return found,
            }
        }
        self.rest.map_or(Found::None, Found::One)
    }

    /// The result for a path that ends at this node. Programs treat a slash at the end differently. Some read
    /// an empty segment, or an empty rest, after the slash.
    fn end(&self, own: Option<usize>, slash: bool) -> Found {
        let others = self.nothing.or(self.slash).or(self.rest).is_some();
        match own {
            Some(position) => Found::One(position),
            None if others || slash && self.any.is_some() => Found::Doubtful,
            None => Found::None,
        }
    }
}
