//! A small part of HTTP/1.1 for servers with prepared answers, on blocking sockets.

use std::io::{self, BufRead, Read};

/// A request of a program.
pub(crate) struct Request {
    /// The first line and the header fields.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// Reads the next request. `None`: the connection has ended.
pub(crate) fn read_request(stream: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Ok(None);
        }
    }
    let length = header(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = Vec::new();
    stream.take(length).read_to_end(&mut body)?;
    Ok(Some(Request { head, body }))
}

/// The value of a header field.
pub(crate) fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
}

/// The bytes of an answer, to be sent by one write.
pub(crate) fn answer(status: &str, fields: &[(&str, &str)], body: &str) -> Vec<u8> {
    let length = body.len().to_string();
    let mut answer = format!("HTTP/1.1 {status}\r\n");
    for (name, value) in fields.iter().chain(&[("content-length", length.as_str())]) {
        answer.extend([name, ": ", value, "\r\n"]);
    }
    answer.extend(["\r\n", body]);
    answer.into_bytes()
}
