//! The embedded database, behind a guard that refuses browsers.
//!
//! The database's own server lets the pages of every origin read and write (CORS). The guard looks at the first request
//! of each connection. Programs send a POST. A browser adds `Origin` to every POST, and sends all requests of a
//! connection itself. So a connection whose first request is a POST without `Origin` is not a browser's.

use dynoxide::{Database, server};
use std::{
    hash::{BuildHasher, RandomState},
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    time::sleep,
};

/// The longest head of a request.
const MAX_HEAD: usize = 16 * 1024;

const REFUSAL: &[u8] = b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Type: text/plain\r\n\
    Content-Length: 50\r\n\r\nThe database answers POSTs of programs, no browser";

/// Serves the database on `listener`. Returns the address without the guard, for this process.
pub async fn serve(listener: TcpListener, database: Database) -> io::Result<SocketAddr> {
    let unguarded = bind_unguarded().await?;
    let address = unguarded.local_addr()?;
    tokio::spawn(server::serve_on(unguarded, database));
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                // An error ends the connection, for both sides.
                Ok((connection, _)) => {
                    tokio::spawn(async move { guard(connection, address).await.ok() });
                }
                // Most likely the process has too many connections.
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        }
    });
    Ok(address)
}

/// A port at a random loopback address, which no page can guess. If the system has only one such address, only the port
/// is random.
async fn bind_unguarded() -> io::Result<TcpListener> {
    let [.., a, b, c] = RandomState::new().hash_one(()).to_be_bytes();
    match TcpListener::bind((Ipv4Addr::new(127, a, b, c), 0)).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await,
    }
}

/// Passes a connection on to the database, unless it is a browser's.
async fn guard(mut connection: TcpStream, database: SocketAddr) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > MAX_HEAD || connection.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    if !is_of_a_program(&head) {
        return connection.write_all(REFUSAL).await;
    }
    let mut database = TcpStream::connect(database).await?;
    // Small messages are sent at once.
    connection.set_nodelay(true)?;
    database.set_nodelay(true)?;
    database.write_all(&head).await?;
    copy_bidirectional(&mut connection, &mut database).await.map(drop)
}

fn is_of_a_program(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.lines().take_while(|line| !line.is_empty());
    let is_post = lines.next().is_some_and(|line| line.starts_with("POST "));
    let is_origin = |line: &str| line.split(':').next().is_some_and(|name| name.trim().eq_ignore_ascii_case("origin"));
    is_post && !lines.any(is_origin)
}
