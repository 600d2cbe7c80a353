//! Which scope tokens imply other scope tokens.

#[cfg(feature = "http-client")]
use std::collections::HashSet;

use crate::token::scope::{ScopeSet, ScopeToken};

/// The rules of the API: a scope token implies other scope tokens. RFC 6749 §3.3 gives scope tokens no
/// structure. So without a rule, no scope token implies another.
///
/// The rules are transitive: if `a` implies `b` and `b` implies `c`, then `a` implies `c`.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScopeHierarchy {
    /// For each implied scope token, all scope tokens that imply it.
    implied: Vec<(ScopeToken, Vec<ScopeToken>)>,
}

impl ScopeHierarchy {
    /// Adds a rule, and all rules that follow from it.
    pub(crate) fn add(&mut self, scope: &ScopeToken, implies: &[ScopeToken]) {
        for implied in implies {
            let mut above = vec![scope.clone()];
            above.extend_from_slice(self.above(scope.as_str()));
            let mut below = vec![implied.clone()];
            let is_below = |(_, above): &&(ScopeToken, Vec<ScopeToken>)| above.contains(implied);
            below.extend(self.implied.iter().filter(is_below).map(|(own, _)| own.clone()));
            for below in below {
                self.add_above(below, &above);
            }
        }
    }

    fn add_above(&mut self, below: ScopeToken, above: &[ScopeToken]) {
        let at = self.implied.iter().position(|(own, _)| *own == below).unwrap_or_else(|| {
            self.implied.push((below, Vec::new()));
            self.implied.len() - 1
        });
        let Some((own, known)) = self.implied.get_mut(at) else { return };
        for scope in above {
            if scope != own && !known.contains(scope) {
                known.push(scope.clone());
            }
        }
    }

    /// The scope tokens that imply `scope`.
    fn above(&self, scope: &str) -> &[ScopeToken] {
        let found = self.implied.iter().find(|(own, _)| own.as_str() == scope);
        found.map_or(&[], |(_, above)| above)
    }

    /// Whether the set contains `scope`, or a scope token that implies it.
    pub(crate) fn covers(&self, set: &ScopeSet, scope: &str) -> bool {
        set.contains(scope) || self.above(scope).iter().any(|above| set.contains(above.as_str()))
    }

    /// The scope tokens that both sets cover: `files` and `files:read` have `files:read` in common.
    #[cfg(feature = "http-client")]
    pub(crate) fn common(&self, one: &ScopeSet, other: &ScopeSet) -> ScopeSet {
        // Sets, since a token may have thousands of scopes.
        let words = [one, other].map(|set| set.iter().collect::<HashSet<_>>());
        let [of_one, of_other] = &words;
        let covers = |words: &HashSet<&str>, scope: &str| {
            words.contains(scope)
                || self.above(scope).iter().any(|above| words.contains(above.as_str()))
        };
        let implied = self.implied.iter().map(|(implied, _)| implied.as_str());
        let mut seen = HashSet::new();
        let common: Vec<_> = one
            .iter()
            .chain(other.iter())
            .chain(implied)
            .filter(|scope| covers(of_one, scope) && covers(of_other, scope) && seen.insert(*scope))
            .collect();
        ScopeSet::new(&common.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hierarchy(rules: &[(&str, &[&str])]) -> ScopeHierarchy {
        let token = |text: &str| ScopeToken::parse(text).unwrap();
        let mut hierarchy = ScopeHierarchy::default();
        for (scope, implies) in rules {
            let implies: Vec<_> = implies.iter().map(|implied| token(implied)).collect();
            hierarchy.add(&token(scope), &implies);
        }
        hierarchy
    }

    #[test]
    fn a_scope_covers_what_it_implies_and_nothing_else() {
        let files = hierarchy(&[("files", &["files:read", "files:write"])]);
        let later = hierarchy(&[("b", &["c"]), ("a", &["b"])]);
        let earlier = hierarchy(&[("a", &["b"]), ("b", &["c"])]);
        let circle = hierarchy(&[("a", &["b"]), ("b", &["a"])]);
        for (name, hierarchy, held, scope, covered) in [
            ("the scope itself", &files, "files", "files", true),
            ("an implied scope", &files, "files", "files:read", true),
            ("the other one", &files, "x files", "files:write", true),
            ("not upwards", &files, "files:read", "files", false),
            ("not sideways", &files, "files:read", "files:write", false),
            ("no rule by prefix", &files, "files", "files:delete", false),
            ("two rules, the lower first", &later, "a", "c", true),
            ("two rules, the upper first", &earlier, "a", "c", true),
            ("not upwards over two", &earlier, "c", "a", false),
            ("a circle", &circle, "a", "b", true),
            ("a circle, back", &circle, "b", "a", true),
            ("an empty set", &files, "", "files:read", false),
        ] {
            assert_eq!(hierarchy.covers(&ScopeSet::new(held), scope), covered, "{name}");
        }
    }

    #[cfg(feature = "http-client")]
    #[test]
    fn what_two_sets_have_in_common() {
        let none = ScopeHierarchy::default();
        let files = hierarchy(&[("files", &["files:read", "files:write"])]);
        let both = hierarchy(&[("admin", &["read"]), ("write", &["read"])]);
        for (name, hierarchy, one, other, common) in [
            ("equal words", &none, "a b c", "c x a", "a c"),
            ("nothing", &none, "a", "", ""),
            ("nothing, reversed", &none, "", "a", ""),
            ("no rule", &none, "files", "files:read", ""),
            ("the narrower one", &files, "files", "files:read", "files:read"),
            ("the narrower one, reversed", &files, "files:read", "files", "files:read"),
            ("both", &files, "files a", "files:write a", "a files:write"),
            ("two narrow ones", &files, "files:read", "files:write", ""),
            ("implied by both", &both, "admin", "write", "read"),
        ] {
            let found = hierarchy.common(&ScopeSet::new(one), &ScopeSet::new(other));
            assert_eq!(found.as_str(), common, "{name}");
        }
    }
}
