//! Creates the table and API clients.

use crate::{
    failure::Failure,
    generate::{self, Randomness},
    options::NewApiClient,
    path_warning,
    report::Report,
    secret::digest,
    tool::Tool,
};
use deregister::{
    dynamodb::admin::Creation,
    model::{AllowList, ApiClient, Client, Id, Kind, StoredSecret},
    store::Fault,
};

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
}
