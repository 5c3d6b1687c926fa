//! A real TCP service in a host: takes IPv4 and IPv6 on one dual-stack listener, as most do, and says
//! back what it hears.

use std::{
    io::{Read, Write},
    net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};

use crate::namespace::Namespace;

/// Large enough that no test makes the kernel turn to SYN cookies, which leave nothing to see.
const BACKLOG: i32 = 4_096;

/// The service; dropping it closes the listener.
pub struct Server {
    stop: Arc<AtomicBool>,
    worker: Option<JoinHandle<Result<()>>>,
}

impl Server {
    /// Starts one in `namespace`.
    ///
    /// # Errors
    /// The port is taken.
    pub fn start(namespace: &Namespace, port: u16) -> Result<Self> {
        let listener = namespace.run(move || listener(port))??;
        listener.set_nonblocking(true)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let worker = thread::spawn(move || serve(&listener, &stopped));
        Ok(Self { stop, worker: Some(worker) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(worker) = self.worker.take() {
            let _told_nobody = worker.join();
        }
    }
}

fn listener(port: u16) -> Result<TcpListener> {
    let socket = socket_with(AddressFamily::INET6, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_ipv6_v6only(&socket, false)?;
    bind(&socket, &SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).context("the service's port is taken")?;
    listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

fn serve(listener: &TcpListener, stop: &Arc<AtomicBool>) -> Result<()> {
    while !stop.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((stream, _)) => {
                let stop = Arc::clone(stop);
                thread::spawn(move || echo(stream, &stop));
            }
            Err(_) => thread::sleep(Duration::from_millis(2)),
        }
    }
    Ok(())
}

fn echo(mut stream: TcpStream, stop: &AtomicBool) {
    let mut buffer = [0; 512];
    if stream.set_read_timeout(Some(Duration::from_millis(200))).is_err() {
        return;
    }
    while !stop.load(Ordering::Relaxed) {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => {
                if stream.write_all(&buffer[..length]).is_err() {
                    return;
                }
            }
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock) => {}
            Err(_) => return,
        }
    }
}
