//! The embedded DynamoDB, without TLS and behind TLS.

use crate::{
    sample::{self, APPLICATION, OWNER},
    tls,
};
use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Builder, Credentials, Region},
    types::{
        AttributeDefinition, AttributeValue as Value, BillingMode, KeySchemaElement, KeyType, KeysAndAttributes,
        ReturnValuesOnConditionCheckFailure, ScalarAttributeType,
    },
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
    client: Client,
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

    /// Adds clients `prefix-0` to `prefix-{count - 1}` of an application, without SDK and HTTP.
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

    /// Puts TLS in front of the database. Returns the address, and the file with the certificate.
    pub(crate) async fn behind_tls(&self) -> Result<(String, String), Box<dyn Error>> {
        let certificates = std::env::temp_dir().join(format!("deregister-bench-{}.pem", std::process::id()));
        let front = tls::front(&self.url, &certificates).await?;
        Ok((front.url, certificates.into_os_string().into_string().map_err(|_| "a temporary folder in UTF-8")?))
    }

    /// Deletes a client with the two SDK calls of a delete, and nothing else.
    pub(crate) async fn delete_with_sdk(&self, target: &str) -> Result<(), Box<dyn Error>> {
        let key = |id: &str| HashMap::from([("pk".to_owned(), Value::S(format!("client#{id}")))]);
        let wanted = KeysAndAttributes::builder()
            .keys(key(OWNER.0))
            .keys(key(target))
            .consistent_read(true)
            .projection_expression("pk, client, deleted, service, #token, expires_at, idle, idle_since")
            .expression_attribute_names("#token", "token")
            .build()?;
        let read = self.client.batch_get_item().request_items("clients", wanted).send().await?;
        if read.responses.is_none_or(|tables| tables.values().map(Vec::len).sum::<usize>() != 2) {
            return Err("not both items".into());
        }
        let text = |text: &str| Value::S(text.to_owned());
        let record = HashMap::from([
            ("at".to_owned(), Value::N("1800000000".to_owned())),
            ("by".to_owned(), text(OWNER.0)),
            ("via".to_owned(), text("configuration")),
            ("source_ip".to_owned(), text("203.0.113.7")),
            ("request_id".to_owned(), text("bench")),
        ]);
        self.client
            .update_item()
            .table_name("clients")
            .set_key(Some(key(target)))
            .update_expression(
                "SET tombstone = client, deleted = :deleted, expires_at = :until REMOVE client, idle, idle_since, notice",
            )
            .condition_expression(
                "attribute_exists(client) AND (attribute_not_exists(client.protected) OR client.protected = :no) \
                 AND client.kind = :api AND client.app_id = :app AND NOT contains(client.features, :owner)",
            )
            .expression_attribute_values(":deleted", Value::M(record))
            .expression_attribute_values(":until", Value::N("1802592000".to_owned()))
            .expression_attribute_values(":no", Value::Bool(false))
            .expression_attribute_values(":api", text("api"))
            .expression_attribute_values(":app", text(APPLICATION))
            .expression_attribute_values(":owner", text("owner"))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await?;
        Ok(())
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
