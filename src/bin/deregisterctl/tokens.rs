//! Access tokens of the Authlete API.

use crate::{
    failure::Failure,
    generate, options,
    options::{NewToken, Scope},
    report::{self, Columns, Report, timestamp},
    secret::{digest, first_line},
    tool::Tool,
};
use deregister::{
    dynamodb::admin::{Creation, TokenRevocation},
    model::{AccessToken, TokenScope},
    snapshot::Key,
};
use std::io;

/// The columns of several revocations, for people.
const REVOCATIONS: Columns = &[("token", 64), ("outcome", 0)];

impl Tool {
    pub async fn issue_token(&self, new: NewToken) -> Result<Report, Failure> {
        let scope = match new.scope {
            Scope { service: Some(id), .. } => {
                self.service(&id).await?;
                TokenScope::ServiceId(id)
            }
            Scope { organization: Some(organization), .. } => TokenScope::OrganizationId(organization),
            Scope { service: None, organization: None } => return Err(Failure::NoScope),
        };
        let expires_at = new.expires_in.map(|lifetime| (self.now)() + lifetime);
        let token = generate::token(self.randomness)?;
        let report = Report::new("Issued an access token.")
            .with("token", digest(&token).to_hex())
            .with("scope", scope.to_string())
            .with("expires_at", expires_at.map(timestamp));
        // If the key is taken, an earlier attempt of this call wrote the item: no two tokens are equal.
        let (Creation::Done | Creation::Taken) =
            self.store.add_token(&digest(&token), &AccessToken { scope, expires_at }).await?;
        Ok(report.secret("access_token", token))
    }

    /// Revokes access tokens, and prints the outcome of each.
    pub async fn revoke_tokens(
        &self,
        options::TokenRevocation { tokens, from_stdin }: options::TokenRevocation,
    ) -> Result<(), Failure> {
        let tokens = if from_stdin { vec![digest(&first_line(io::stdin().lock())?).to_hex()] } else { tokens };
        let (mut revoked, mut already_expired, mut not_found) = (0, 0, 0);
        for token in tokens {
            let (count, outcome) = match self.store.revoke_token(&Key::Token(token.clone()), (self.now)()).await? {
                TokenRevocation::Done => (&mut revoked, "revoked"),
                TokenRevocation::AlreadyExpired => (&mut already_expired, "already_expired"),
                TokenRevocation::Unknown => (&mut not_found, "not_found"),
            };
            *count += 1;
            let report = Report::new("A token.").with("token", token);
            self.print_row(&report.with_words("outcome", outcome, outcome.replace('_', " ")), REVOCATIONS)?;
        }
        report::note(&format!("revoked: {revoked}, already expired: {already_expired}, not found: {not_found}"));
        if not_found == 0 { Ok(()) } else { Err(Failure::NotAllRevoked(not_found)) }
    }
}
