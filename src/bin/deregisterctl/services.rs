//! Services of the Authlete API, and access tokens for that API.

use crate::{
    create::{digest, read_secret},
    failure::Failure,
    generate, options,
    options::{NewService, NewToken, Scope},
    path_warning,
    report::{self, Columns, Report, timestamp},
    show::show_service,
    tool::Tool,
};
use deregister::{
    dynamodb::admin::{Creation, ServiceChange, TokenRevocation},
    model::{AccessToken, Id, Service, TokenScope},
    snapshot::Key,
};
use std::io;

/// The columns of several revocations, for people.
const REVOCATIONS: Columns = &[("token", 64), ("outcome", 0)];

impl Tool {
    pub async fn create_service(&self, new: NewService) -> Result<Report, Failure> {
        let service = Service {
            organization_id: new.organization,
            dynamic_registration: !new.no_dynamic_registration,
            unauthorized_on_client_config: new.unauthorized_on_client_config,
            error_description_omitted: new.omit_error_description,
            error_uri_omitted: new.omit_error_uri,
        };
        if self.store.create_service(&new.id, &service).await? == Creation::Taken {
            return Err(Failure::ServiceTaken(new.id));
        }
        path_warning::of_service(&new.id);
        Ok(show_service(Report::new("Created a service."), &new.id, service))
    }

    pub async fn show_service(&self, id: &Id) -> Result<Report, Failure> {
        Ok(show_service(Report::new("A service."), id, self.service(id).await?))
    }

    pub async fn update_service(&self, update: options::ServiceUpdate) -> Result<Report, Failure> {
        let change = ServiceChange {
            organization_id: if update.no_organization { Some(None) } else { update.organization.map(Some) },
            dynamic_registration: update.dynamic_registration,
            unauthorized_on_client_config: update.unauthorized_on_client_config,
            error_description_omitted: update.omit_error_description,
            error_uri_omitted: update.omit_error_uri,
        };
        match self.store.update_service(&update.id, &change).await? {
            Some(service) => Ok(show_service(Report::new("Changed the service."), &update.id, service)),
            None => Err(Failure::NoService(update.id)),
        }
    }

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
        options::RevokedTokens { tokens, from_stdin }: options::RevokedTokens,
    ) -> Result<(), Failure> {
        let tokens = if from_stdin { vec![digest(&read_secret(io::stdin().lock())?).to_hex()] } else { tokens };
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
