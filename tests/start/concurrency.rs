//! Several invocations at once in one process, with `AWS_LAMBDA_MAX_CONCURRENCY` above 1.

use super::{FUNCTION, Start};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::{Arc, Barrier, Mutex, mpsc},
    thread,
    time::Duration,
};

/// Serves HTTP on a free port, with a thread for each connection. Returns the address.
fn serve(answer: impl Fn(&str, String) -> Option<String> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for connection in listener.incoming() {
            let answer = Arc::clone(&answer);
            thread::spawn(move || serve_connection(connection.unwrap(), answer.as_ref()));
        }
    });
    address
}

/// Answers the requests of a connection until it is closed, or until `answer` returns `None`.
fn serve_connection(connection: TcpStream, answer: &dyn Fn(&str, String) -> Option<String>) -> Option<()> {
    let mut writer = connection.try_clone().ok()?;
    let mut reader = BufReader::new(connection);
    loop {
        let (mut head, mut body) = (String::new(), Vec::new());
        while reader.read_line(&mut head).ok()? > 2 {}
        let length = head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        reader.by_ref().take(length.unwrap_or(0)).read_to_end(&mut body).ok()?;
        writer.write_all(answer(&head, String::from_utf8(body).unwrap())?.as_bytes()).ok()?;
    }
}

/// The answer 200 with these header fields and this JSON body.
fn ok(fields: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\n{fields}content-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Runs the function until it has answered this many invocations. With `at_once`, the database waits for the reads of
/// all invocations before it answers the first one. Returns the log lines of the requests, and the number of threads of
/// the process.
fn invoked(invocations: usize, at_once: bool, variables: &[(&str, &str)]) -> (Vec<Value>, usize) {
    let all_have_read = Barrier::new(if at_once { invocations } else { 1 });
    let database = serve(move |_, _| {
        all_have_read.wait();
        Some(ok("", r#"{"Responses":{"clients":[]}}"#))
    });
    let event = include_str!("../../events/configuration/deleted.json");
    let ids = Mutex::new(0..invocations);
    let (answers, answered) = mpsc::channel();
    let runtime = serve(move |head, _| {
        if head.contains("/next") {
            let id = ids.lock().unwrap().next();
            // As Lambda does, it does not answer until there is another event.
            let Some(id) = id else {
                loop {
                    thread::park();
                }
            };
            Some(ok(
                &format!(
                    "lambda-runtime-aws-request-id: id-{id}\r\nlambda-runtime-deadline-ms: 4000000000000\r\n\
                     lambda-runtime-invoked-function-arn: arn:aws:lambda:eu-central-1:123456789012:function:f\r\n"
                ),
                event,
            ))
        } else {
            answers.send(()).ok()?;
            Some("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n".to_owned())
        }
    });
    let mut start = Start::of(FUNCTION)
        .with("AWS_LAMBDA_RUNTIME_API", runtime)
        .with("AWS_ENDPOINT_URL_DYNAMODB", format!("http://{database}"))
        .with("DATABASE_ATTEMPT_TIMEOUT_MS", "60000")
        .with("DATABASE_CALL_TIMEOUT_MS", "60000")
        .with("OPENING_TIMEOUT_MS", "0");
    for (name, value) in variables {
        start = start.with(name, value);
    }
    let mut function = Command::new(FUNCTION).env_clear().envs(start.variables).stdout(Stdio::piped()).spawn().unwrap();
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
