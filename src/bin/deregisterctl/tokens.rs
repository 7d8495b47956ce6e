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
use secrecy::ExposeSecret;
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
    pub async fn revoke_tokens(&self, revocation: options::TokenRevocation) -> Result<(), Failure> {
        let options::TokenRevocation { tokens, from_stdin } = revocation;
        let tokens = if from_stdin {
            let token = first_line(io::stdin().lock())?;
            if token.expose_secret().is_empty() {
                return Err(Failure::EmptyInput);
            }
            vec![digest(&token).to_hex()]
        } else {
            let digests = tokens.iter().zip(1..);
            digests
                .map(|(text, number)| digest_in(text).ok_or(Failure::WrongDigest(number)))
                .collect::<Result<_, _>>()?
        };
        let (mut summary, mut result) = (Summary::default(), Ok(()));
        for token in tokens {
            let (count, outcome) = match self.store.revoke_token(&Key::Token(token.clone()), (self.now)()).await {
                Ok(TokenRevocation::Done) => (&mut summary.revoked, "revoked"),
                Ok(TokenRevocation::AlreadyExpired) => (&mut summary.already_expired, "already_expired"),
                Ok(TokenRevocation::Unknown) => (&mut summary.not_found, "not_found"),
                Err(fault) => {
                    result = Err(fault.into());
                    break;
                }
            };
            *count += 1;
            let report = Report::new("A token.").with("token", token);
            self.print_row(&report.with_outcome(outcome), REVOCATIONS)?;
        }
        let Summary { revoked, already_expired, not_found } = summary;
        report::note(&format!("revoked: {revoked}, already expired: {already_expired}, not found: {not_found}"));
        result.and(Failure::if_any("tokens not found", not_found))
    }
}

/// How many tokens had each outcome.
#[derive(Default)]
struct Summary {
    revoked: usize,
    already_expired: usize,
    not_found: usize,
}

/// The digest, as the table has it.
fn digest_in(text: &str) -> Option<String> {
    hex::decode(text).ok().filter(|bytes| bytes.len() == 32).map(hex::encode)
}
