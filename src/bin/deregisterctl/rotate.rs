//! Replaces the credentials of a client.

use crate::{
    failure::Failure,
    generate, options,
    report::{Report, timestamp},
    secret::digest,
    show::with_version,
    tool::Tool,
};
use deregister::{
    model::{ApiClient, Client, Id, Kind, OAuthClient},
    snapshot::{Key, Record},
    store::Fault,
};
use std::time::Duration;

/// How long the former secrets of an API client stay valid, unless an option says otherwise.
const KEEP_FORMER_FOR: Duration = Duration::from_hours(24);

impl Tool {
    /// Gives an API client a further secret, or a client that registered itself another registration access token, and
    /// prints it.
    pub async fn rotate(&self, rotation: options::Rotation) -> Result<Report, Failure> {
        let options::Rotation { id, keep_former_for, secret_from_stdin } = rotation;
        let now = (self.now)();
        match self.store.find(&Key::Client(id.clone())).await? {
            Some(Record::Client(Client { kind: Kind::Api(client), .. })) => {
                let secret = self.api_client_secret(secret_from_stdin)?;
                if client.secrets.iter().any(|stored| stored.digest == digest(&secret)) {
                    return Err(Failure::SameSecret(id));
                }
                let changed = self
                    .store
                    .add_secret(&id, &digest(&secret), now + keep_former_for.unwrap_or(KEEP_FORMER_FOR), now)
                    .await;
                let changed = changed_client(&id, changed)?;
                let ends: Vec<_> = match &changed.kind {
                    Kind::Api(ApiClient { secrets, .. }) => {
                        secrets.iter().filter_map(|stored| stored.expires_at.map(timestamp)).collect()
                    }
                    Kind::OAuth(_) => Vec::new(),
                };
                let report = rotated("The client has a new secret.", &id, &changed);
                let report = report.with("former_secrets_expire_at", Some(ends).filter(|ends| !ends.is_empty()));
                Ok(if secret_from_stdin { report } else { report.secret("client_secret", secret) })
            }
            Some(Record::Client(_)) if secret_from_stdin || keep_former_for.is_some() => Err(Failure::HasNoSecret(id)),
            Some(Record::Client(Client { kind: Kind::OAuth(OAuthClient { dynamic: true, .. }), .. })) => {
                let token = generate::token(self.randomness)?;
                let changed = self.store.replace_registration_token(&id, &digest(&token)).await;
                let changed = changed_client(&id, changed)?;
                let headline = "The client has a new registration access token. The former one is refused from now on.";
                Ok(rotated(headline, &id, &changed).secret("registration_access_token", token))
            }
            Some(Record::Client(_)) => Err(Failure::IsStatic(id)),
            _ => Err(Failure::NoLiveClient(id)),
        }
    }
}

fn changed_client(id: &Id, changed: Result<Option<Client>, Fault>) -> Result<Client, Failure> {
    match changed {
        Ok(Some(client)) => Ok(client),
        Ok(None) => Err(Failure::NoLiveClient(id.clone())),
        Err(fault @ Fault::Unavailable(_)) => Err(Failure::MayBeRotated(id.clone(), fault)),
        Err(fault) => Err(fault.into()),
    }
}

fn rotated(headline: &'static str, id: &Id, client: &Client) -> Report {
    with_version(Report::new(headline).with("client_id", id.as_str()), client.protected, client.version.version())
}
