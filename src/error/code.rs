//! A short name for each error.

use crate::error::Error;

impl Error {
    /// A short name of the error in `snake_case`, for metrics and alerts. It never changes in later
    /// versions of this crate. Clients do not see it.
    ///
    /// ```
    /// use tower_resource_server::Error;
    ///
    /// assert_eq!(Error::MissingCredentials.code(), "missing_credentials");
    /// ```
    pub fn code(&self) -> &'static str {
        match self {
            Self::MissingCredentials => "missing_credentials",
            Self::UnsupportedScheme => "unsupported_scheme",
            Self::MalformedCredentials => "malformed_credentials",
            Self::RepeatedCredentials => "repeated_credentials",
            Self::SeveralMethods => "several_methods",
            Self::MalformedWebSocketToken { .. } => "malformed_websocket_token",
            Self::TokenTooLarge { .. } => "token_too_large",
            Self::NotAJwt => "not_a_jwt",
            Self::EncryptedToken => "encrypted_token",
            Self::MalformedToken { .. } => "malformed_token",
            Self::UnexpectedType { .. } => "unexpected_type",
            Self::UnacceptedAlgorithm { .. } => "unaccepted_algorithm",
            Self::UntrustedIssuer { .. } => "untrusted_issuer",
            Self::UnknownKey { .. } => "unknown_key",
            Self::BadSignature { .. } => "bad_signature",
            Self::MissingClaim { .. } => "missing_claim",
            Self::MalformedClaim { .. } => "malformed_claim",
            Self::UnacceptedValue { .. } => "unaccepted_value",
            Self::Expired { .. } => "expired",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::IssuedAhead { .. } => "issued_ahead",
            Self::TimeInMilliseconds { .. } => "time_in_milliseconds",
            Self::ForeignAudience { .. } => "foreign_audience",
            Self::AnotherKind { .. } => "another_kind",
            Self::UnfitClaims { .. } => "unfit_claims",
            Self::UnconfirmedSender => "unconfirmed_sender",
            Self::MissingCertificate => "missing_certificate",
            Self::UntrustedProxy { .. } => "untrusted_proxy",
            Self::ForeignCertificate => "foreign_certificate",
            Self::MalformedCertificate { .. } => "malformed_certificate",
            Self::BoundTokenAsBearer => "bound_token_as_bearer",
            Self::UnboundToken => "unbound_token",
            Self::MissingProof => "missing_proof",
            Self::InvalidProof { .. } => "invalid_proof",
            Self::ForeignProofUrl { .. } => "foreign_proof_url",
            Self::ProofOutOfTime { .. } => "proof_out_of_time",
            Self::NonceRequired { .. } => "nonce_required",
            Self::ReplayedProof => "replayed_proof",
            Self::ForeignProofKey => "foreign_proof_key",
            Self::Refused { .. } => "refused",
            Self::Inactive => "inactive",
            Self::ContradictedByIntrospection { .. } => "contradicted_by_introspection",
            Self::InsufficientScope { .. } => "insufficient_scope",
            Self::AccessDenied { .. } => "access_denied",
            Self::InsufficientUserAuthentication { .. } => "insufficient_user_authentication",
            Self::TokenTooOld { .. } => "token_too_old",
            Self::SenderNotConstrained => "sender_not_constrained",
            Self::KeyNotBound => "key_not_bound",
            Self::ReplayStoreUnavailable { .. } => "replay_store_unavailable",
            Self::TooManyProofs { .. } => "too_many_proofs",
            Self::LookupUnavailable { .. } => "lookup_unavailable",
            Self::UnknownPrincipal { .. } => "unknown_principal",
            Self::KeysUnavailable { .. } => "keys_unavailable",
            Self::IssuerUnavailable { .. } => "issuer_unavailable",
            Self::IntrospectionUnavailable { .. } => "introspection_unavailable",
            Self::FormTooLarge { .. } => "form_too_large",
            Self::FormUnreadable => "form_unreadable",
            Self::ForeignOrigin { .. } => "foreign_origin",
            Self::MalformedMessage { .. } => "malformed_message",
            Self::HeaderMismatch { .. } => "header_mismatch",
            Self::MessageTooLarge { .. } => "message_too_large",
            Self::MessageTooSlow => "message_too_slow",
            Self::Wiring { .. } => "wiring",
        }
    }
}

#[cfg(test)]
mod tests {
    /// If two errors had one name, a metric would count them as one.
    #[test]
    fn the_names_are_distinct() {
        let source = include_str!("code.rs");
        let (source, _) = source.split_once("#[cfg(test)]").unwrap();
        let mut names: Vec<_> = source
            .lines()
            .filter_map(|line| line.split_once("=> \"")?.1.split_once('"'))
            .map(|(name, _)| name)
            .collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(count > 30, "{count}");
        let is_snake = |name: &&str| name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'_'));
        assert!(names.iter().all(is_snake), "{names:?}");
    }
}
