//! A proxy in front of the database. It decides what happens to each write of an item or of a table.

use crate::{run::Ran, support::Fixture};
use axum::{Router, body::Body, response::IntoResponse};
use futures::stream;
use hyper_util::{client::legacy, rt::TokioExecutor};
use lambda_http::http::StatusCode;
use std::{
    future::IntoFuture,
    io::{self, BufRead, BufReader, Read},
    process,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};
use tokio::{net::TcpListener, sync::Semaphore, task::spawn_blocking};

/// How many writes the tool has under way at most.
const CONCURRENCY: u32 = 16;

/// What happens to a write.
pub enum Write {
    Done,
    /// The write takes effect, and the answer is a failure.
    Ambiguous,
    /// The write takes effect, and the connection ends within the answer.
    Cut,
    Refused,
    /// The write takes effect when the semaphore has a permit for it.
    Held(Arc<Semaphore>),
    /// As `Held`, and also if the tool has given the attempt up. Then `arrived` gets a permit.
    Late {
        released: Arc<Semaphore>,
        arrived: Arc<Semaphore>,
    },
}

/// The operations that write.
const WRITES: [&str; 6] =
    [".PutItem", ".UpdateItem", ".DeleteItem", ".CreateTable", ".UpdateTable", ".UpdateTimeToLive"];

impl Fixture {
    /// The endpoint of a new proxy. `becomes` gets the number of the write, from 0.
    pub async fn write_proxy(&self, becomes: impl Fn(u32) -> Write + Clone + Send + Sync + 'static) -> String {
        self.proxy(&WRITES, becomes).await
    }

    /// The same for these operations instead of writes.
    pub async fn proxy(
        &self,
        operations: &'static [&str],
        becomes: impl Fn(u32) -> Write + Clone + Send + Sync + 'static,
    ) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let client = legacy::Client::builder(TokioExecutor::new()).build_http::<Body>();
        let (database, writes) = (self.endpoint.clone(), Arc::new(AtomicU32::new(0)));
        let forward = async move |mut request: axum::extract::Request| {
            *request.uri_mut() = database.parse().unwrap();
            let operation = request.headers()["x-amz-target"].to_str().unwrap();
            let is_write = operations.iter().any(|write| operation.ends_with(write));
            match if is_write { becomes(writes.fetch_add(1, Ordering::Relaxed)) } else { Write::Done } {
                Write::Held(permits) => {
                    permits.acquire().await.unwrap().forget();
                    client.request(request).await.unwrap().into_response()
                }
                Write::Done => client.request(request).await.unwrap().into_response(),
                Write::Ambiguous => {
                    client.request(request).await.unwrap();
                    StatusCode::INTERNAL_SERVER_ERROR.into_response()
                }
                Write::Cut => {
                    client.request(request).await.unwrap();
                    Body::from_stream(stream::iter([Err::<&str, _>(io::Error::other("cut"))])).into_response()
                }
                Write::Late { released, arrived } => {
                    let write = async move {
                        released.acquire().await.unwrap().forget();
                        let answer = client.request(request).await.unwrap().into_response();
                        arrived.add_permits(1);
                        answer
                    };
                    tokio::spawn(write).await.unwrap()
                }
                Write::Refused => StatusCode::BAD_REQUEST.into_response(),
            }
        };
        tokio::spawn(axum::serve(listener, Router::new().fallback(forward)).into_future());
        endpoint
    }

    /// Runs the tool, and sends it Ctrl-C after this many writes. At that time `CONCURRENCY` more writes are under way.
    /// They end when the tool has printed that it waits for them. No other write may start.
    pub async fn interrupt(&self, line: &str, writes: u32) -> Ran {
        self.interrupt_by(&["INT"], line, writes).await
    }

    /// The same, by these signals. After a second one, the writes under way are not released.
    pub async fn interrupt_by(&self, signals: &[&str], line: &str, writes: u32) -> Ran {
        let (arrived, released) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (counter, gate) = (arrived.clone(), released.clone());
        let becomes = move |write| {
            counter.add_permits(1);
            if write < writes { Write::Done } else { Write::Held(gate.clone()) }
        };
        let endpoint = self.write_proxy(becomes).await;
        let run = self.ctl(line).with_env("AWS_ENDPOINT_URL_DYNAMODB", &endpoint);
        let mut run =
            run.with_env("DATABASE_ATTEMPT_TIMEOUT_MS", "60000").with_env("DATABASE_CALL_TIMEOUT_MS", "60000");
        let mut child = run.command.spawn().unwrap();

        arrived.acquire_many(writes + CONCURRENCY).await.unwrap().forget();
        let id = child.id();
        let send = |signal: &str| {
            let kill = format!("kill -{signal} {id}");
            assert!(process::Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        };
        send(signals[0]);
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let wait = move || {
            let mut line = String::new();
            lines.read_line(&mut line).unwrap();
            (line, lines)
        };
        let (mut stderr, mut lines) = spawn_blocking(wait).await.unwrap();
        match signals.get(1) {
            Some(second) => send(second),
            // Enough for every write: if one write too many starts, the test fails and does not block.
            None => released.add_permits(1000),
        }

        let end = move || {
            lines.read_to_string(&mut stderr).unwrap();
            (child.wait_with_output().unwrap(), stderr)
        };
        let (output, stderr) = spawn_blocking(end).await.unwrap();
        assert_eq!(arrived.available_permits(), 0, "a write was started after Ctrl-C");
        Ran { code: output.status.code(), stdout: String::from_utf8(output.stdout).unwrap(), stderr }
    }
}
