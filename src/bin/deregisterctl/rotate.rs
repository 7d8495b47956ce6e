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
    model::{Client, Kind, OAuthClient},
    snapshot::{Key, Record},
};

impl Tool {
    /// Gives an API client a further secret, or a client that registered itself another registration access token, and
    /// prints it.
    pub async fn rotate(
        &self,
        options::Rotation { id, keep_former_for, secret_from_stdin }: options::Rotation,
    ) -> Result<Report, Failure> {
        let kind = match self.store.find(&Key::Client(id.clone())).await? {
            Some(Record::Client(client)) => client.kind,
            _ => return Err(Failure::NoLiveClient(id)),
        };
        let now = (self.now)();
        let former_until = now + keep_former_for;
        let (changed, name, credential, former_until) = match kind {
            Kind::Api(_) => {
                let secret = self.api_client_secret(secret_from_stdin)?;
                let changed = self.store.add_secret(&id, &digest(&secret), former_until, now).await;
                (changed, "client_secret", secret, Some(timestamp(former_until)))
            }
            Kind::OAuth(OAuthClient { dynamic: true, .. }) => {
                let token = generate::token(self.randomness)?;
                let changed = self.store.replace_registration_token(&id, &digest(&token)).await;
                (changed, "registration_access_token", token, None)
            }
            Kind::OAuth(_) => return Err(Failure::IsStatic(id)),
        };
        let Some(Client { protected, version, .. }) = changed? else { return Err(Failure::NoLiveClient(id)) };
        let headline = match former_until {
            Some(_) => "The client has a new secret.",
            None => "The client has a new registration access token. The former one is refused from now on.",
        };
        let report = Report::new(headline).with("client_id", id.as_str());
        let report = with_version(report, protected, version.version()).with("former_secrets_expire_at", former_until);
        Ok(if secret_from_stdin && name == "client_secret" { report } else { report.secret(name, credential) })
    }
}
