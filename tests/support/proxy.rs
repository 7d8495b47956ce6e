//! The network between the SDK and the database: a TCP proxy that breaks as it is told to.

use std::{
    future::pending,
    io::Result,
    mem,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinHandle,
};

/// How it breaks. The database hears nothing of it in the first four, and has done as it was told in the others.
#[derive(Clone, Copy, PartialEq)]
pub enum Break {
    /// The connections are gone, and new ones are refused.
    Refused,
    /// The connections are gone, and new ones are reset as soon as they are open.
    ResetBefore,
    /// The connection is reset once the request has begun to arrive.
    ResetDuring,
    /// The request is taken, and nothing ever follows.
    Deaf,
    /// The connection is reset in place of the answer.
    ResetAfter,
    /// The answer is never sent.
    Mute,
    /// The connection is closed before the answer's end.
    Truncated,
    /// The answer's end is never sent.
    Stuck,
}

/// A running proxy.
#[derive(Clone)]
pub struct Proxy(Arc<Shared>);

struct Shared {
    /// Holds the port while nobody listens there.
    port: TcpSocket,
    database: String,
    broken: Mutex<Option<Break>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    connections: AtomicUsize,
}

/// The proxy is broken until this is dropped.
pub struct Broken(Proxy);

impl Drop for Broken {
    fn drop(&mut self) {
        if self.0.0.broken.lock().unwrap().take() == Some(Break::Refused) {
            self.0.listen();
        }
    }
}

impl Proxy {
    /// A proxy before the database at this endpoint.
    pub fn before(endpoint: &str) -> Self {
        let proxy = Self(Arc::new(Shared {
            port: socket("127.0.0.1:0".parse().unwrap()),
            database: endpoint.trim_start_matches("http://").trim_end_matches('/').to_owned(),
            broken: Mutex::default(),
            tasks: Mutex::default(),
            connections: AtomicUsize::default(),
        }));
        proxy.listen();
        proxy
    }

    /// Where it is reached.
    pub fn url(&self) -> String {
        format!("http://{}", self.0.port.local_addr().unwrap())
    }

    /// How many connections it has accepted.
    pub fn connections(&self) -> usize {
        self.0.connections.load(Relaxed)
    }

    /// Breaks it in this way.
    pub async fn broken(self, how: Break) -> Broken {
        *self.0.broken.lock().unwrap() = Some(how);
        if matches!(how, Break::Refused | Break::ResetBefore) {
            let tasks = mem::take(&mut *self.0.tasks.lock().unwrap());
            for task in tasks {
                task.abort();
                let _ = task.await;
            }
        }
        if how == Break::ResetBefore {
            self.listen();
        }
        Broken(self)
    }

    fn listen(&self) {
        let listener = socket(self.0.port.local_addr().unwrap()).listen(64).unwrap();
        self.0.tasks.lock().unwrap().push(tokio::spawn(self.clone().accept(listener)));
    }

    async fn accept(self, listener: TcpListener) {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            self.0.connections.fetch_add(1, Relaxed);
            let proxy = self.clone();
            // A client that goes away in the middle is none of the proxy's business.
            let passing = tokio::spawn(async move { proxy.pass(client).await.unwrap_or_default() });
            self.0.tasks.lock().unwrap().push(passing);
        }
    }

    /// Passes on what either side says.
    async fn pass(self, mut client: TcpStream) -> Result<()> {
        let mut database = TcpStream::connect(&self.0.database).await?;
        client.set_nodelay(true)?;
        database.set_nodelay(true)?;
        let (mut asked, mut answered) = (vec![0; 16_384], vec![0; 16_384]);
        let broken = || *self.0.broken.lock().unwrap();
        while broken() != Some(Break::ResetBefore) {
            tokio::select! {
                read = client.read(&mut asked) => match (read?, broken()) {
                    (0, _) => return Ok(()),
                    (_, Some(Break::ResetDuring)) => break,
                    (_, Some(Break::Deaf)) => return pending().await,
                    (read, _) => database.write_all(&asked[..read]).await?,
                },
                read = database.read(&mut answered) => match (read?, broken()) {
                    (0, _) => return Ok(()),
                    (_, Some(Break::ResetAfter)) => break,
                    (_, Some(Break::Mute)) => return pending().await,
                    (read, Some(how @ (Break::Stuck | Break::Truncated))) => {
                        client.write_all(&answered[..read - 1]).await?;
                        return if how == Break::Stuck { pending().await } else { client.shutdown().await };
                    }
                    (read, _) => client.write_all(&answered[..read]).await?,
                },
            }
        }
        // What is dropped now is reset.
        client.set_zero_linger()
    }
}

/// A socket at this address, which others may be bound to as well.
fn socket(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    socket
}
