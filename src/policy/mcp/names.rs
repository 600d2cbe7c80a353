//! Tools, prompts or methods by name.

use std::collections::BTreeMap;

use crate::policy::mcp::message::fold;

/// Values by name. A name that differs from a listed name only in letter case, or in blanks at its ends, is
/// found as [`Found::Doubtful`]. An unlisted name with characters beyond printable ASCII is doubtful too.
#[derive(Clone)]
pub(crate) struct Names<T> {
    by_fold: BTreeMap<String, (Box<str>, T)>,
}

/// The result of a search.
pub(super) enum Found<'a, T> {
    Listed(&'a T),
    /// A lenient program could take the text for a listed one.
    Doubtful,
    Unlisted,
}

impl<T> Names<T> {
    pub(super) fn new() -> Self {
        Self { by_fold: BTreeMap::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_fold.is_empty()
    }

    /// # Errors
    /// If the name is empty, or if a lenient program could take it for a listed name.
    pub(super) fn insert(&mut self, name: &str, value: T) -> Result<(), String> {
        let key = fold(name);
        if key.is_empty() {
            return Err("a name is empty".to_owned());
        }
        if let Some((other, _)) = self.by_fold.get(&key) {
            return Err(format!(
                "`{}` and `{}` are one name",
                other.escape_debug(),
                name.escape_debug()
            ));
        }
        self.by_fold.insert(key, (name.into(), value));
        Ok(())
    }

    pub(super) fn find(&self, name: &str) -> Found<'_, T> {
        match self.by_fold.get(&fold(name)) {
            Some((own, value)) if **own == *name => Found::Listed(value),
            Some(_) => Found::Doubtful,
            // Some programs remove or replace other characters, or end at a NUL.
            None if !self.is_empty() && !name.bytes().all(|byte| (b' '..=b'~').contains(&byte)) => {
                Found::Doubtful
            }
            None => Found::Unlisted,
        }
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.by_fold.values().map(|(_, value)| value)
    }

    pub(super) fn map<U>(self, mut change: impl FnMut(T) -> U) -> Names<U> {
        let by_fold = self.by_fold.into_iter();
        let by_fold = by_fold.map(|(key, (name, value))| (key, (name, change(value)))).collect();
        Names { by_fold }
    }
}
