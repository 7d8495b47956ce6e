//! Creates the table and API clients, and protects clients.

use crate::{
    failure::{Failure, MIN_SECRET_LENGTH},
    generate::{self, Randomness},
    mark::without_mark,
    options::NewApiClient,
    path_warning,
    report::Report,
    show::with_version,
    tool::Tool,
};
use deregister::{
    dynamodb::admin::Creation,
    model::{AllowList, ApiClient, Client, Digest, Id, Kind, StoredSecret},
    store::Fault,
};
use secrecy::{ExposeSecret, SecretString};
use std::io::{self, BufRead};

impl Tool {
    pub async fn create_table(&self) -> Result<Report, Failure> {
        let name = self.store.name();
        if self.store.create_table().await? == Creation::Done {
            return Ok(Report::new("Created the table.").with("table", name));
        }
        let repairs = self.store.repair_table().await?;
        let (added, words): (Vec<_>, Vec<_>) = [
            (repairs.time_to_live, "time_to_live", "the time to live"),
            (repairs.index, "index", "the index, which DynamoDB fills in the background"),
        ]
        .into_iter()
        .filter(|(is_added, ..)| *is_added)
        .map(|(_, name, words)| (name, words.to_owned()))
        .unzip();
        if added.is_empty() {
            return Err(Failure::TableTaken(name.to_owned()));
        }
        let report = Report::new("The table existed already. Added what was missing.");
        Ok(report.with("table", name).lines("added", added, words))
    }

    pub async fn create_api_client(&self, new: NewApiClient) -> Result<Report, Failure> {
        let secret = self.api_client_secret(new.secret_from_stdin)?;
        let kind = Kind::Api(ApiClient {
            app_id: new.app.clone(),
            name: new.name,
            features: new.features,
            ip_allow_list: AllowList::new(new.allow_list),
            secrets: vec![StoredSecret { digest: digest(&secret), expires_at: None }],
        });
        let client = Client { protected: new.protected, ..Client::new(kind) };
        let id = self.create_client(new.id, generate::api_client_id, &client).await?;
        if !path_warning::of_application(&new.app) {
            path_warning::of_api_client(&id);
        }
        let report = Report::new("Created an API client.").with("client_id", id.as_str());
        Ok(if new.secret_from_stdin { report } else { report.secret("client_secret", secret) })
    }

    /// A secret: the first line of the standard input, or a random one.
    pub fn api_client_secret(&self, from_stdin: bool) -> Result<SecretString, Failure> {
        if from_stdin { read_secret(io::stdin().lock()) } else { Ok(generate::api_client_secret(self.randomness)?) }
    }

    /// Creates a client with the given id. Without one, tries random ids until one is free.
    pub async fn create_client(
        &self,
        given: Option<Id>,
        random: fn(Randomness) -> Result<String, getrandom::Error>,
        client: &Client,
    ) -> Result<Id, Failure> {
        loop {
            let id = match &given {
                Some(id) => Some(id.clone()),
                None => Id::new(random(self.randomness)?),
            };
            let Some(id) = id else { continue };
            match self.store.create_client(&id, client).await {
                Ok(Creation::Done) => return Ok(id),
                Ok(Creation::Taken) if given.is_some() => return Err(Failure::ClientTaken(id)),
                Ok(Creation::Taken) => {}
                Err(fault @ Fault::Unavailable(_)) => return Err(Failure::MayExist(id, fault)),
                Err(fault) => return Err(fault.into()),
            }
        }
    }

    pub async fn set_protected(&self, id: Id, protected: bool) -> Result<Report, Failure> {
        let headline = if protected { "The client is protected from deletion." } else { "The client can be deleted." };
        match self.store.set_protected(&id, protected).await? {
            Some(Client { protected, version, .. }) => {
                Ok(with_version(Report::new(headline).with("client_id", id.as_str()), protected, version.version()))
            }
            None => Err(Failure::NoLiveClient(id)),
        }
    }
}

pub fn digest(secret: &SecretString) -> Digest {
    Digest::of(secret.expose_secret())
}

/// Reads a secret or token: the first line, without its end.
pub fn read_secret(mut input: impl BufRead) -> Result<SecretString, Failure> {
    let mut line = String::new();
    input.read_line(&mut line).map_err(Failure::UnreadableSecret)?;
    let secret = without_mark(&line).trim_end_matches(['\r', '\n']);
    match secret.len() {
        MIN_SECRET_LENGTH.. => Ok(secret.to_owned().into()),
        short => Err(Failure::ShortSecret(short)),
    }
}
