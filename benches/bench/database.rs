//! The embedded DynamoDB, without TLS and behind TLS.

use crate::{sample, tls};
use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Builder, Credentials, Region},
    types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType},
};
use deregister::dynamodb::{ClientsTable, https};
use dynoxide::{AttributeValue, ImportOptions};
use rustls::RootCertStore;
use std::{collections::HashMap, error::Error, net::Ipv4Addr, time::Duration};
use tokio::net::TcpListener;

/// A running database with the sample data.
pub(crate) struct Database {
    embedded: dynoxide::Database,
    /// The address without TLS.
    pub(crate) url: String,
    /// A client of the SDK.
    pub(crate) client: Client,
    /// The clients table.
    pub(crate) store: ClientsTable,
}

impl Database {
    /// Starts a database with the sample data.
    pub(crate) async fn start() -> Result<Self, Box<dyn Error>> {
        let embedded = dynoxide::Database::memory()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        tokio::spawn(dynoxide::server::serve_on(listener, embedded.clone()));
        let config = config(&url)?;
        let client = Client::from_conf(config.clone().build());
        let store = clients_table(config);
        store.create_table().await?;
        sample::write(&store, crate::now()).await?;
        Ok(Self { embedded, url, client, store })
    }

    /// Creates another table. Its key is `id`.
    pub(crate) async fn create_table(&self, name: &str) -> Result<(), Box<dyn Error>> {
        let definition = AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S);
        let key = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash);
        let request = self.client.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
        request.attribute_definitions(definition.build()?).key_schema(key.build()?).send().await?;
        Ok(())
    }

    /// Adds the clients `prefix-0` to `prefix-{count - 1}` to an application, without the SDK and HTTP.
    pub(crate) fn fill(&self, prefix: &str, application: &str, count: usize) -> Result<(), Box<dyn Error>> {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let member = |name: &str, value| (name.to_owned(), value);
        for chunk in (0..count).collect::<Vec<_>>().chunks(50_000) {
            let items = chunk.iter().map(|n| {
                let client = HashMap::from([
                    member("kind", text("api")),
                    member("app_id", text(application)),
                    member("name", text("Bench")),
                    member("features", AttributeValue::L(vec![text("login_client")])),
                    member("ip_allow_list", AttributeValue::L(Vec::new())),
                    member("secrets", AttributeValue::L(Vec::new())),
                    member("protected", AttributeValue::BOOL(false)),
                    member("version", AttributeValue::N("1".to_owned())),
                ]);
                HashMap::from([
                    member("pk", text(&format!("client#{prefix}-{n}"))),
                    member("client", AttributeValue::M(client)),
                ])
            });
            self.embedded.import_items("clients", items.collect(), ImportOptions::default())?;
        }
        Ok(())
    }

    /// Puts TLS in front of the database. Returns the URL, and the file with the certificate.
    pub(crate) async fn behind_tls(&self) -> Result<(String, String), Box<dyn Error>> {
        let certificates = std::env::temp_dir().join(format!("deregister-bench-{}.pem", std::process::id()));
        let front = tls::front(&self.url, &certificates).await?;
        Ok((front.url, certificates.into_os_string().into_string().map_err(|_| "a temporary folder in UTF-8")?))
    }
}

/// The clients table of the database at this address.
pub(crate) fn connect(url: &str) -> Result<ClientsTable, Box<dyn Error>> {
    Ok(clients_table(config(url)?))
}

fn clients_table(config: Builder) -> ClientsTable {
    ClientsTable::new(config, "clients", Duration::from_hours(24))
}

fn config(url: &str) -> Result<Builder, Box<dyn Error>> {
    Ok(aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(https::client(RootCertStore::empty())?)
        .endpoint_url(url)
        .region(Region::from_static("eu-central-1"))
        .credentials_provider(Credentials::new("bench", "bench", None, None, "bench")))
}
