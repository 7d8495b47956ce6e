//! The network between the SDK and the database: a TCP proxy with planned faults.

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

/// A fault of the network. With the first four the database does not receive the request. With the others it carries
/// the request out.
#[derive(Clone, Copy, PartialEq)]
pub enum NetworkFault {
    /// The connections are closed, and new ones are refused.
    Refused,
    /// The connections are closed, and new ones are reset as soon as they are open.
    ResetBefore,
    /// The connection is reset when the request begins to arrive.
    ResetDuring,
    /// The request is received and not forwarded. There is no answer.
    NotForwarded,
    /// The connection is reset in place of the answer.
    ResetAfter,
    /// The answer is not sent.
    AnswerHeldBack,
    /// The connection is closed before the end of the answer.
    Truncated,
    /// The end of the answer is not sent.
    EndHeldBack,
}

/// A running proxy.
#[derive(Clone)]
pub struct Proxy(Arc<Shared>);

struct Shared {
    /// Reserves the port while no listener has it.
    port: TcpSocket,
    database: String,
    fault: Mutex<Option<NetworkFault>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    connections: AtomicUsize,
}

/// Ends the fault of a proxy when it is dropped.
pub struct Repair(Proxy);

impl Drop for Repair {
    fn drop(&mut self) {
        if self.0.0.fault.lock().unwrap().take() == Some(NetworkFault::Refused) {
            self.0.listen();
        }
    }
}

impl Proxy {
    /// A proxy in front of the database at this endpoint.
    pub fn before(endpoint: &str) -> Self {
        let proxy = Self(Arc::new(Shared {
            port: socket("127.0.0.1:0".parse().unwrap()),
            database: endpoint.trim_start_matches("http://").trim_end_matches('/').to_owned(),
            fault: Mutex::default(),
            tasks: Mutex::default(),
            connections: AtomicUsize::default(),
        }));
        proxy.listen();
        proxy
    }

    /// The URL of the proxy.
    pub fn url(&self) -> String {
        format!("http://{}", self.0.port.local_addr().unwrap())
    }

    /// The number of accepted connections.
    pub fn connections(&self) -> usize {
        self.0.connections.load(Relaxed)
    }

    /// Begins a fault, which lasts until the result is dropped.
    pub async fn begin(self, fault: NetworkFault) -> Repair {
        *self.0.fault.lock().unwrap() = Some(fault);
        if matches!(fault, NetworkFault::Refused | NetworkFault::ResetBefore) {
            let tasks = mem::take(&mut *self.0.tasks.lock().unwrap());
            for task in tasks {
                task.abort();
                let _ = task.await;
            }
        }
        if fault == NetworkFault::ResetBefore {
            self.listen();
        }
        Repair(self)
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
            // A client may close its connection at any time: errors are ignored.
            let passing = tokio::spawn(async move { proxy.pass(client).await.unwrap_or_default() });
            self.0.tasks.lock().unwrap().push(passing);
        }
    }

    /// Forwards the bytes of both sides, until the fault or the end of the connection.
    async fn pass(self, mut client: TcpStream) -> Result<()> {
        let mut database = TcpStream::connect(&self.0.database).await?;
        client.set_nodelay(true)?;
        database.set_nodelay(true)?;
        let (mut asked, mut answered) = (vec![0; 16_384], vec![0; 16_384]);
        let fault = || *self.0.fault.lock().unwrap();
        while fault() != Some(NetworkFault::ResetBefore) {
            tokio::select! {
                read = client.read(&mut asked) => match (read?, fault()) {
                    (0, _) => return Ok(()),
                    (_, Some(NetworkFault::ResetDuring)) => break,
                    (_, Some(NetworkFault::NotForwarded)) => return pending().await,
                    (read, _) => database.write_all(&asked[..read]).await?,
                },
                read = database.read(&mut answered) => match (read?, fault()) {
                    (0, _) => return Ok(()),
                    (_, Some(NetworkFault::ResetAfter)) => break,
                    (_, Some(NetworkFault::AnswerHeldBack)) => return pending().await,
                    (read, Some(fault @ (NetworkFault::EndHeldBack | NetworkFault::Truncated))) => {
                        client.write_all(&answered[..read - 1]).await?;
                        return if fault == NetworkFault::EndHeldBack { pending().await } else { client.shutdown().await };
                    }
                    (read, _) => client.write_all(&answered[..read]).await?,
                },
            }
        }
        // Without a linger time, dropping the connection resets it.
        client.set_zero_linger()
    }
}

/// A socket at this address. Other sockets may have the same address.
fn socket(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    socket
}
