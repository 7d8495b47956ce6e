//! Registers OAuth clients.

use crate::{
    failure::Failure,
    generate,
    mark::MARK,
    options::NewOAuthClients,
    path_warning,
    pump::{CONCURRENCY, ONE, Pump},
    report::Report,
    secret::digest,
    tool::Tool,
};
use deregister::model::{Client, Id, Idle, Kind, Metadata, OAuthClient};
use futures::stream;
use serde_json::{Map, Value};
use std::{fs, path::Path};

impl Tool {
    /// Registers clients. Each is printed as soon as it is registered, also after a failure or Ctrl-C, so that no token
    /// is lost.
    pub async fn register_clients(&self, new: NewOAuthClients) -> Result<(), Failure> {
        let service = self.service(&new.service).await?;
        if !service.dynamic_registration && !new.is_static {
            return Err(Failure::RegistrationOff(new.service));
        }
        let client = OAuthClient {
            service_id: Some(new.service),
            dynamic: !new.is_static,
            registration_token_digest: None,
            metadata: new.metadata.as_deref().map_or_else(|| Ok(Metadata::default()), read_metadata)?,
        };
        let pump = Pump {
            concurrency: CONCURRENCY,
            length: Some(new.count.into()),
            unit: "registrations",
            has_effect: true,
            advice: "clients may be registered that were not printed: find them with client list",
        };
        let register = async |_| self.register(client.clone(), new.id.clone(), new.protected).await;
        let print = |report| {
            new.id.iter().for_each(path_warning::of_oauth_client);
            self.print(&report).map(|()| ONE)
        };
        pump.run(&self.output, stream::iter((0..new.count).map(Ok)), register, print).await
    }

    async fn register(&self, mut client: OAuthClient, id: Option<Id>, protected: bool) -> Result<Report, Failure> {
        let token = client.dynamic.then(|| generate::token(self.randomness)).transpose()?;
        client.registration_token_digest = token.as_ref().map(digest);
        let idle = client.dynamic.then(|| Idle::unused((self.now)()));
        let client = Client { protected, idle, ..Client::new(Kind::OAuth(client)) };
        let id = self.create_client(id, generate::oauth_client_id, &client).await?;
        let report = Report::new("Registered an OAuth client.").with("client_id", id.as_str());
        Ok(match token {
            Some(token) => report.secret("registration_access_token", token),
            None => report,
        })
    }
}

fn read_metadata(file: &Path) -> Result<Metadata, Failure> {
    let text = fs::read(file).map_err(|error| Failure::UnreadableFile(file.to_owned(), error))?;
    let text = text.strip_prefix(MARK.as_bytes()).unwrap_or(&text);
    // Read as an object first: serde accepts an array of values for a struct.
    serde_json::from_slice::<Map<String, Value>>(text)
        .and_then(|_| serde_json::from_slice(text))
        // The text of the error is left out: it may quote a value.
        .map_err(|error| Failure::WrongMetadata { file: file.to_owned(), line: error.line(), column: error.column() })
}
