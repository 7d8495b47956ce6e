//! Several invocations at once in one process, with `AWS_LAMBDA_MAX_CONCURRENCY` above 1.

use super::FUNCTION;
use crate::{
    http,
    runtime_api::{Call, RuntimeApi},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    io::{self, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::Stdio,
    sync::{Arc, Barrier, mpsc},
    thread,
    time::{Duration, SystemTime},
};

/// Starts a database without clients. It answers the first read when all threads of the barrier have made theirs.
/// Returns its URL.
fn database(all_have_read: Barrier) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let all_have_read = Arc::new(all_have_read);
    thread::spawn(move || {
        for connection in listener.incoming() {
            let all_have_read = Arc::clone(&all_have_read);
            thread::spawn(move || answer_reads(connection.unwrap(), &all_have_read));
        }
    });
    url
}

fn answer_reads(connection: TcpStream, all_have_read: &Barrier) -> io::Result<()> {
    let mut writer = connection.try_clone()?;
    let mut reader = BufReader::new(connection);
    while http::read_request(&mut reader)?.is_some() {
        all_have_read.wait();
        let fields = [("content-type", "application/x-amz-json-1.0")];
        writer.write_all(&http::answer("200 OK", &fields, r#"{"Responses":{"clients":[]}}"#))?;
    }
    Ok(())
}

/// Runs the function until it has answered this many invocations. With `at_once`, the database waits for the reads of
/// all invocations before it answers the first one. Returns the log lines of the requests, and the number of threads of
/// the process.
fn invoked(invocations: usize, at_once: bool, variables: &[(&str, &str)]) -> (Vec<Value>, usize) {
    let database = database(Barrier::new(if at_once { invocations } else { 1 }));
    let (answers, answered) = mpsc::channel();
    let runtime_api = RuntimeApi::start(
        || SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000),
        move |call| {
            if matches!(call, Call::Answer { .. }) {
                answers.send(()).unwrap();
            }
        },
    );
    let runtime_api = runtime_api.unwrap();
    for _ in 0..invocations {
        runtime_api.send(include_str!("../../events/configuration/deleted.json").to_owned()).unwrap();
    }
    let mut function = runtime_api
        .command(FUNCTION)
        .env("AWS_ENDPOINT_URL_DYNAMODB", database)
        .env("DATABASE_ATTEMPT_TIMEOUT_MS", "60000")
        .env("DATABASE_CALL_TIMEOUT_MS", "60000")
        .env("OPENING_TIMEOUT_MS", "0")
        .envs(variables.iter().copied())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = function.stdout.take().unwrap();
    let log = thread::spawn(move || {
        let mut lines = String::new();
        stdout.read_to_string(&mut lines).unwrap();
        lines
    });
    let answers: Vec<_> = (0..invocations).map(|_| answered.recv_timeout(Duration::from_mins(1))).collect();
    let threads = std::fs::read_dir(format!("/proc/{}/task", function.id())).map_or(0, Iterator::count);
    function.kill().unwrap();
    function.wait().unwrap();
    let lines = log.join().unwrap();
    assert!(answers.iter().all(Result::is_ok), "{lines}");
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    (lines.filter(|line| line.get("endpoint").is_some()).collect(), threads)
}

#[test]
fn invocations_run_at_once_and_each_writes_one_line() {
    let (lines, _) = invoked(8, true, &[("AWS_LAMBDA_MAX_CONCURRENCY", "8")]);
    assert_eq!(lines.len(), 8);
    let ids: BTreeSet<_> = lines.iter().map(|line| line["function_request_id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 8);
    assert!(lines.iter().all(|line| line["status"] == json!(401) && line["database_calls"] == json!(1)), "{lines:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn the_function_has_more_than_one_thread_only_if_invocations_come_at_once() {
    assert_eq!(invoked(1, false, &[]).1, 1);
    for one_at_a_time in ["0", "1", "many"] {
        let (_, threads) = invoked(1, false, &[("AWS_LAMBDA_MAX_CONCURRENCY", one_at_a_time)]);
        assert_eq!(threads, 1, "{one_at_a_time:?}");
    }
    // Tokio would read this variable, and panic if its value is wrong.
    let processors = thread::available_parallelism().unwrap().get();
    for workers in ["", "0", "1", "many"] {
        let variables = [("AWS_LAMBDA_MAX_CONCURRENCY", "2"), ("TOKIO_WORKER_THREADS", workers)];
        assert_eq!(invoked(1, false, &variables).1, 1 + processors, "{workers:?}");
    }
}
