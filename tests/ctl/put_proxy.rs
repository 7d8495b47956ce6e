//! A proxy in front of the database that decides what becomes of each `PutItem`.

use crate::{run::Ran, support::Fixture};
use axum::{Router, response::IntoResponse};
use hyper_util::{client::legacy, rt::TokioExecutor};
use lambda_http::http::StatusCode;
use std::{
    future::IntoFuture,
    io::{BufRead, BufReader, Read},
    process,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};
use tokio::{net::TcpListener, sync::Semaphore, task::spawn_blocking};

/// How many writes the tool has under way at most.
const CONCURRENCY: u32 = 16;

/// What becomes of a `PutItem`.
pub enum Put {
    Done,
    /// The write takes effect, and the answer is a failure.
    Ambiguous,
    Refused,
    /// The write takes effect when the semaphore has a permit for it.
    Held(Arc<Semaphore>),
}

impl Fixture {
    /// The endpoint of a new proxy. `becomes` gets the number of the `PutItem`, from 0.
    pub async fn put_proxy(&self, becomes: impl Fn(u32) -> Put + Clone + Send + Sync + 'static) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let client = legacy::Client::builder(TokioExecutor::new()).build_http::<axum::body::Body>();
        let (database, puts) = (self.endpoint.clone(), Arc::new(AtomicU32::new(0)));
        let forward = async move |mut request: axum::extract::Request| {
            *request.uri_mut() = database.parse().unwrap();
            let is_put = request.headers()["x-amz-target"].to_str().unwrap().ends_with(".PutItem");
            match if is_put { becomes(puts.fetch_add(1, Ordering::Relaxed)) } else { Put::Done } {
                Put::Held(permits) => {
                    permits.acquire().await.unwrap().forget();
                    client.request(request).await.unwrap().into_response()
                }
                Put::Done => client.request(request).await.unwrap().into_response(),
                Put::Ambiguous => {
                    client.request(request).await.unwrap();
                    StatusCode::INTERNAL_SERVER_ERROR.into_response()
                }
                Put::Refused => StatusCode::BAD_REQUEST.into_response(),
            }
        };
        tokio::spawn(axum::serve(listener, Router::new().fallback(forward)).into_future());
        endpoint
    }

    /// Runs the tool, and sends it Ctrl-C after this many writes, while as many more as it writes at once are under way. They
    /// end when the tool has said that it waits for them. No other write may start.
    pub async fn interrupt(&self, line: &str, writes: u32) -> Ran {
        let (arrived, released) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (counter, gate) = (arrived.clone(), released.clone());
        let becomes = move |put| {
            counter.add_permits(1);
            if put < writes { Put::Done } else { Put::Held(gate.clone()) }
        };
        let endpoint = self.put_proxy(becomes).await;
        let run = self.ctl(line).with_env("AWS_ENDPOINT_URL_DYNAMODB", &endpoint);
        let mut run =
            run.with_env("DATABASE_ATTEMPT_TIMEOUT_MS", "60000").with_env("DATABASE_CALL_TIMEOUT_MS", "60000");
        let mut child = run.command.spawn().unwrap();

        arrived.acquire_many(writes + CONCURRENCY).await.unwrap().forget();
        let interrupt = format!("kill -INT {}", child.id());
        assert!(process::Command::new("sh").args(["-c", &interrupt]).status().unwrap().success());
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let wait = move || {
            let mut line = String::new();
            lines.read_line(&mut line).unwrap();
            (line, lines)
        };
        let (mut stderr, mut lines) = spawn_blocking(wait).await.unwrap();
        released.add_permits(CONCURRENCY as usize);

        let end = move || {
            lines.read_to_string(&mut stderr).unwrap();
            (child.wait_with_output().unwrap(), stderr)
        };
        let (output, stderr) = spawn_blocking(end).await.unwrap();
        assert_eq!(arrived.available_permits(), 0, "a write was started after Ctrl-C");
        Ran { code: output.status.code(), stdout: String::from_utf8(output.stdout).unwrap(), stderr }
    }
}
