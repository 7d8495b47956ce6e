//! What the test programs share: the function over a [`database`], with the real SDK over HTTP between them, and a
//! [`wire`] that counts the calls and plays faults.
#![allow(dead_code, reason = "each test program uses its own part")]

pub mod build;
pub mod by_hand;
pub mod cases;
pub mod database;
pub mod endpoint;
#[path = "../../examples/local/envelope.rs"]
pub mod envelope;
pub mod log;
pub mod proxy;
pub mod random;
#[path = "../../examples/local/sample.rs"]
pub mod sample;
pub mod stream;
pub mod tls;
pub mod wire;

use aws_sdk_dynamodb::{
    Client,
    config::{
        retry::{RetryConfig, RetryPartition},
        timeout::TimeoutConfig,
    },
    types::{
        AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
        ScalarAttributeType,
    },
};
use build::{ClientBuilder, id};
use database::{CleanUp, Database};
use deregister::{
    dynamodb::{ClientsTable, admin::Creation, item::Item},
    functions::{Delete, Environment},
    http::event::{Event, Origin},
    model::Id,
    rule::{Authorization, Precondition},
    settings::{Endpoints, Variables},
    snapshot::{Key, Record},
};
use lambda_http::{Body, LambdaEvent, Request, Response, lambda_runtime::Context};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};
use wire::Wire;

/// The time in every test that does not set another one.
pub fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(500_000)
}

/// How long a deleted client can be restored in the tests.
pub const RETENTION: Duration = Duration::from_hours(30 * 24);

/// The default settings of the endpoints.
pub fn endpoints() -> Endpoints {
    Endpoints::read(&Variables::default()).unwrap()
}

/// The function behind the endpoints, over a table of its own.
#[derive(Clone)]
pub struct Fixture {
    /// The SDK's client, without the wire: its calls are not counted and meet no fault.
    pub sdk: Client,
    /// The clients table, through the wire.
    pub clients: ClientsTable,
    /// The function, through the wire.
    pub function: Delete<ClientsTable>,
    /// The wire.
    pub wire: Wire,
    /// The database's endpoint.
    pub endpoint: String,
    /// The table's name.
    pub table: String,
    clean_up: Arc<Option<CleanUp>>,
}

impl Fixture {
    /// An empty table, in an embedded database.
    pub async fn empty() -> Self {
        Self::in_database(Database::embedded().await).await
    }

    /// An empty table, in the database that the environment names, or in an embedded one.
    pub async fn anywhere() -> Self {
        Self::in_database(Database::named().await).await
    }

    async fn in_database(database: Database) -> Self {
        // Threads that do not capture their log write it nowhere.
        log::install_silent();
        let Database { config, endpoint, table, clean_up } = database;
        let http = config.clone().build().http_client().unwrap();
        let wire = Wire::over(http.clone());
        let config = config
            // A quota of retries of its own: a test must not use up the quota of the others.
            .retry_partition(RetryPartition::new(format!("{endpoint} {table}")))
            .retry_config(RetryConfig::standard().with_max_attempts(4).with_initial_backoff(Duration::from_millis(1)))
            .timeout_config(TimeoutConfig::builder().build());
        let sdk = Client::from_conf(config.clone().http_client(http).build());
        let clients = ClientsTable::new(config.http_client(wire.clone()), &table, RETENTION);
        let function = Delete::new(clients.clone(), endpoints(), now, Environment::default());
        let fixture = Self { sdk, clients, function, wire, endpoint, table, clean_up: Arc::new(clean_up) };
        fixture.direct().create_table().await.unwrap();
        fixture
    }

    /// The table with the sample data, in an embedded database.
    pub async fn with_samples() -> Self {
        Self::empty().await.filled().await
    }

    /// The table with the sample data, in the database that the environment names, or in an embedded one.
    pub async fn anywhere_with_samples() -> Self {
        Self::anywhere().await.filled().await
    }

    async fn filled(self) -> Self {
        sample::write(&self.direct(), now()).await.unwrap();
        self
    }

    /// The clients table, without the wire: its calls are not counted and meet no fault.
    pub fn direct(&self) -> ClientsTable {
        ClientsTable::new(self.sdk.config().to_builder(), &self.table, RETENTION)
    }

    /// Invokes the function with an event, through the public parser.
    pub async fn invoke(&self, event: &str) -> Response<Body> {
        self.invoke_in(invocation(), event).await
    }

    /// Invokes the function with an event and this context.
    pub async fn invoke_in(&self, invocation: Context, event: &str) -> Response<Body> {
        let event: Event = serde_json::from_str(event).unwrap();
        Box::pin(self.function.call(LambdaEvent::new(event, invocation))).await.unwrap().response
    }

    /// Sends a request to `path`, from 203.0.113.7, with this `Authorization`.
    pub async fn send(&self, method: &str, path: &str, authorization: Option<&str>, body: &str) -> Response<Body> {
        let headers: Vec<_> = authorization.map(|value| ("authorization", value)).into_iter().collect();
        self.invoke(&event(method, path, "", &headers, body)).await
    }

    /// Creates a client.
    pub async fn create(&self, client_id: &str, client: ClientBuilder) {
        assert_eq!(self.direct().create_client(&id(client_id), &client.build()).await, Ok(Creation::Done));
    }

    /// The item under this key, with all its attributes.
    pub async fn item(&self, key: &str) -> Option<Item> {
        let key = aws_sdk_dynamodb::types::AttributeValue::S(key.to_owned());
        let get = self.sdk.get_item().table_name(&self.table).key("pk", key).consistent_read(true);
        get.send().await.unwrap().item
    }

    /// Creates the table `grants`, with the keys `client_id` and `grant_id`.
    pub async fn create_grants_table(&self) {
        let (keys, types) = ([KeyType::Hash, KeyType::Range], ScalarAttributeType::S);
        let mut create = self.sdk.create_table().table_name("grants").billing_mode(BillingMode::PayPerRequest);
        for (name, key) in ["client_id", "grant_id"].into_iter().zip(keys) {
            let attribute = AttributeDefinition::builder().attribute_name(name).attribute_type(types.clone());
            let key = KeySchemaElement::builder().attribute_name(name).key_type(key);
            create = create.attribute_definitions(attribute.build().unwrap()).key_schema(key.build().unwrap());
        }
        create.send().await.unwrap();
    }

    /// Creates the table `grants` by the id of a grant, in its attribute `grant_id`, with this index by `client_id`.
    pub async fn create_indexed_grants_table(&self, index: &str) {
        let attribute = |name| {
            let attribute = AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S);
            attribute.build().unwrap()
        };
        let key = |name| KeySchemaElement::builder().attribute_name(name).key_type(KeyType::Hash).build().unwrap();
        let all = Projection::builder().projection_type(ProjectionType::All).build();
        let index =
            GlobalSecondaryIndex::builder().index_name(index).key_schema(key("client_id")).projection(all).build();
        let create = self.sdk.create_table().table_name("grants").billing_mode(BillingMode::PayPerRequest);
        let create = create.attribute_definitions(attribute("client_id")).attribute_definitions(attribute("grant_id"));
        create.key_schema(key("grant_id")).global_secondary_indexes(index.unwrap()).send().await.unwrap();
    }

    /// Whether the client is live.
    pub async fn lives(&self, client_id: &str) -> bool {
        self.item(&format!("client#{client_id}")).await.is_some_and(|item| item.contains_key("client"))
    }
}

/// The permission to delete a client as the table has it now, with these preconditions.
pub async fn authorization<'r>(
    clients: &ClientsTable,
    target: &'r Id,
    preconditions: &[Precondition<'r>],
) -> Authorization<'r> {
    let client = match clients.find(&Key::Client(target.clone())).await {
        Ok(Some(Record::Client(client))) => client,
        _ => build::api_client().build(),
    };
    Authorization::new(target, &client, preconditions.to_vec())
}

/// The context of a new invocation, whose deadline is in ten seconds.
pub fn invocation() -> Context {
    static INVOCATIONS: AtomicU64 = AtomicU64::new(0);
    let mut context = Context::default();
    context.request_id = format!("invocation-{}", INVOCATIONS.fetch_add(1, Ordering::Relaxed));
    let end = now().duration_since(SystemTime::UNIX_EPOCH).unwrap() + Duration::from_secs(10);
    context.deadline = end.as_millis().try_into().unwrap();
    context
}

/// An event of payload 2.0, of a function URL: the path is encoded, as the client sent it.
pub fn event(method: &str, path: &str, query: &str, headers: &[(&str, &str)], body: &str) -> String {
    let headers: serde_json::Map<_, _> = headers.iter().map(|&(name, value)| (name.into(), value.into())).collect();
    serde_json::json!({
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "domainName": "x7k2m9qv4b6t3n8w5r1y0pabcdefghij.lambda-url.eu-central-1.on.aws",
            "stage": "$default",
            "http": { "method": method, "sourceIp": "203.0.113.7" },
        },
        "body": body,
        "isBase64Encoded": false,
    })
    .to_string()
}

/// Basic credentials, unpadded as in the vendor's sample.
pub fn basic((id, secret): (&str, &str)) -> String {
    use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
    format!("Basic {}", BASE64_STANDARD_NO_PAD.encode(format!("{id}:{secret}")))
}

/// Bearer credentials.
pub fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// The body of an answer, as text.
pub fn text(response: &Response<Body>) -> &str {
    match response.body() {
        Body::Empty => "",
        Body::Text(text) => text,
        other => panic!("the body is not a text: {other:?}"),
    }
}

/// The body of an answer, as JSON.
pub fn json(response: &Response<Body>) -> serde_json::Value {
    serde_json::from_str(text(response)).unwrap_or_else(|error| panic!("{error}: {}", text(response)))
}

/// The value of a header field.
pub fn header<'r>(response: &'r Response<Body>, name: &str) -> Option<&'r str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

/// The request that the public parser reads from an event.
pub fn request(event: &str) -> (Request, Origin) {
    let request = Request::from(serde_json::from_str::<Event>(event).unwrap());
    let origin = request.extensions().get::<Origin>().cloned().unwrap();
    (request, origin)
}
