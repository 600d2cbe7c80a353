//! The tree of a policy.

use std::sync::Arc;

use crate::policy::branch::Branch;
use crate::policy::leaf::{Judged, Leaf, NOT_NEGATABLE};
use crate::token::{ScopeToken, ScopeTokens};

#[derive(Clone, Debug)]
pub(super) enum Node {
    Authenticated,
    Leaf(Arc<Leaf>),
    AllOf(All),
    AnyOf(Vec<Node>),
}

/// Nodes that are all required.
#[derive(Clone, Debug)]
pub(super) struct All {
    nodes: Vec<Node>,
    /// The scopes among the nodes. They are searched for together. Empty if there are more than 64.
    scopes: ScopeTokens,
    /// The nodes that are not in `scopes`.
    others: Vec<Node>,
}

impl All {
    pub(super) fn of(nodes: impl IntoIterator<Item = Node>) -> Self {
        let mut flat = Vec::new();
        for node in nodes {
            match node {
                Node::AllOf(inner) => flat.extend(inner.nodes),
                node => flat.push(node),
            }
        }
        match ScopeTokens::of(flat.iter().filter_map(Node::scope)) {
            Some(scopes) => {
                let others = flat.iter().filter(|node| node.scope().is_none()).cloned().collect();
                Self { nodes: flat, scopes, others }
            }
            None => Self { others: flat.clone(), nodes: flat, scopes: ScopeTokens::default() },
        }
    }

    /// The common search does not find a scope that another scope implies. If a scope is not found,
    /// every node is evaluated alone.
    #[inline]
    fn allows(&self, judged: &Judged<'_>) -> bool {
        let nodes = match judged.facts.scope.contains_all(&self.scopes) {
            true => &self.others,
            false => &self.nodes,
        };
        nodes.iter().all(|node| match node {
            // Avoids one more function call for each condition.
            Node::Leaf(leaf) => leaf.allows(judged),
            node => node.allows(judged),
        })
    }
}

impl Node {
    /// Whether this is an empty `all_of` or `any_of`.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Authenticated | Self::Leaf(_) => false,
            Self::AllOf(All { nodes, .. }) | Self::AnyOf(nodes) => nodes.is_empty(),
        }
    }

    pub(super) fn allows(&self, judged: &Judged<'_>) -> bool {
        match self {
            Self::Authenticated => true,
            Self::Leaf(leaf) => leaf.allows(judged),
            Self::AllOf(all) => all.allows(judged),
            Self::AnyOf(nodes) => nodes.iter().any(|node| node.allows(judged)),
        }
    }

    fn scope(&self) -> Option<&ScopeToken> {
        match self {
            Self::Leaf(leaf) => match &**leaf {
                Leaf::Scope(scope) => Some(scope),
                _ => None,
            },
            _ => None,
        }
    }

    pub(super) fn branches_count(&self) -> usize {
        match self {
            Self::Authenticated | Self::Leaf(_) => 1,
            Self::AllOf(All { nodes, .. }) => {
                nodes.iter().fold(1, |count, node| count.saturating_mul(node.branches_count()))
            }
            Self::AnyOf(nodes) => {
                nodes.iter().fold(0, |count, node| count.saturating_add(node.branches_count()))
            }
        }
    }

    /// All branches. Their number was checked when the policy was made.
    pub(super) fn branches(&self) -> Vec<Branch> {
        match self {
            Self::Authenticated => vec![Branch::default()],
            Self::Leaf(leaf) => vec![Branch { leaves: vec![Arc::clone(leaf)] }],
            Self::AnyOf(nodes) => nodes.iter().flat_map(Self::branches).collect(),
            Self::AllOf(All { nodes, .. }) => {
                nodes.iter().fold(vec![Branch::default()], |before, node| {
                    let own = node.branches();
                    let joined = |one: &Branch, other: &Branch| Branch {
                        leaves: one.leaves.iter().chain(&other.leaves).cloned().collect(),
                    };
                    before
                        .iter()
                        .flat_map(|one| own.iter().map(move |other| joined(one, other)))
                        .collect()
                })
            }
        }
    }

    /// The opposite node. If the token does not show whether a condition holds, both the node and
    /// its opposite refuse the token.
    ///
    /// # Errors
    /// The problem, as a fixed text.
    pub(super) fn negated(self) -> Result<Self, &'static str> {
        let each = |nodes: Vec<Self>| -> Result<Vec<Self>, _> {
            nodes.into_iter().map(Self::negated).collect()
        };
        match self {
            Self::AllOf(All { nodes, .. }) => Ok(Self::AnyOf(each(nodes)?)),
            Self::AnyOf(nodes) => Ok(Self::AllOf(All::of(each(nodes)?))),
            Self::Leaf(leaf) => Ok(Self::Leaf(Arc::new(leaf.negated()?))),
            Self::Authenticated => Err(NOT_NEGATABLE),
        }
    }
}
