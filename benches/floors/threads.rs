//! The function in one process with a database that answers from memory.
//!
//! `floor-threads THREADS DELETES` makes this many deletes on this many threads, eight at once. It prints the deletes a
//! second to the standard error. The log goes to the standard output.

use aws_sdk_dynamodb::config::{HttpClient, RuntimeComponents};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
};
use aws_smithy_types::body::SdkBody;
use deregister::{
    dynamodb::{ClientsTable, connection},
    functions::{Delete, Environment},
    settings::{Database, Endpoints, Variables},
    telemetry,
};
use lambda_http::{Context, LambdaEvent};
use std::{
    error::Error,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinSet,
    time::Instant,
};

/// The deletes that run at once.
const AT_ONCE: usize = 8;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    let numbers =
        std::env::args().skip(1).map(|number| number.parse()).collect::<std::result::Result<Vec<usize>, _>>()?;
    let &[threads, deletes] = numbers.as_slice() else { return Err("floor-threads THREADS DELETES".into()) };
    telemetry::install(None, now);
    // As the function does.
    let mut runtime = if threads == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    let runtime = runtime.worker_threads(threads).enable_all().build()?;
    // A warm-up.
    run(&runtime, deletes / 10)?;
    eprintln!("{}", run(&runtime, deletes)?);
    Ok(())
}

/// Makes this many deletes. Returns the deletes a second.
fn run(runtime: &Runtime, deletes: usize) -> Result<f64> {
    runtime.block_on(async {
        let variables: Variables = std::env::vars_os().collect();
        let config = connection::configure(&Database::read(&variables)?, &variables).await?.config;
        let clients = ClientsTable::new(config.http_client(Canned), "clients", Duration::from_hours(24));
        let function = Delete::new(clients, Endpoints::read(&variables)?, now, Environment::default());
        let function = Arc::new(function);
        let begun = Instant::now();
        let mut tasks = JoinSet::new();
        for _ in 0..AT_ONCE {
            let function = Arc::clone(&function);
            tasks.spawn(async move {
                for _ in 0..deletes / AT_ONCE {
                    let event = serde_json::from_str(include_str!("../../events/configuration/deleted.json"))?;
                    let answer = function.call(LambdaEvent::new(event, Context::default())).await?;
                    if answer.response.status() != 204 {
                        return Err(format!("{answer:?}").into());
                    }
                    // The answers are always ready, so without this the tasks would run one after another.
                    tokio::task::yield_now().await;
                }
                Ok(())
            });
        }
        tasks.join_all().await.into_iter().collect::<Result<()>>()?;
        let deletes = u32::try_from(deletes / AT_ONCE * AT_ONCE)?;
        Ok(f64::from(deletes) / begun.elapsed().as_secs_f64())
    })
}

/// A database that answers from memory, without a connection.
#[derive(Debug, Clone)]
struct Canned;

impl HttpClient for Canned {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Self)
    }
}

impl HttpConnector for Canned {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let is_read = request.headers().get("x-amz-target").is_some_and(|target| target.ends_with(".BatchGetItem"));
        let answer = if is_read { include_str!("../bench/found.json") } else { "{}" };
        HttpConnectorFuture::ready(Ok(HttpResponse::new(http::StatusCode::OK.into(), SdkBody::from(answer))))
    }
}

#[expect(clippy::disallowed_methods, reason = "the program gets its clock here, and only here")]
fn now() -> SystemTime {
    SystemTime::now()
}
