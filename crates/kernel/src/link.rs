//! A netlink socket: send a request, walk over the answer.

use std::io;

use netlink_sys::{Socket, SocketAddr};
use rustix::{io::Errno, net::sockopt};

use crate::{
    KernelError,
    message::{ACK, DONE, DUMP_INTR, ERROR, Message, Messages, Writer},
};

/// Bytes of the receive buffer: the kernel fills up to 32 KiB at a time if it knows that they fit.
const RECEIVE_BYTES: usize = 64 << 10;
/// What the socket may queue: acknowledgements of a big transaction that fails in many places.
const QUEUE_BYTES: usize = 1 << 20;
/// Room that the kernel wants in the send buffer beyond the message.
const SEND_SLACK: usize = 4 << 10;

/// One socket, used by one thread.
pub(crate) struct Link {
    socket: Socket,
    buffer: Vec<u8>,
    port: u32,
    sequence: u32,
    send_bytes: usize,
}

impl Link {
    /// Opens a socket of this netlink protocol, to the kernel.
    pub(crate) fn open(protocol: isize) -> Result<Self, KernelError> {
        let mut socket = Socket::new(protocol).map_err(|e| KernelError::os("opening a netlink socket", e))?;
        let address = socket.bind_auto().map_err(|e| KernelError::os("binding a netlink socket", e))?;
        let port = address.port_number();
        socket
            .connect(&SocketAddr::new(0, 0))
            .map_err(|e| KernelError::os("connecting a netlink socket to the kernel", e))?;
        socket
            .set_cap_ack(true)
            .map_err(|e| KernelError::os("asking for short netlink acknowledgements", e))?;
        socket.set_ext_ack(true).map_err(|e| KernelError::os("asking for exact netlink errors", e))?;
        // Needs CAP_NET_ADMIN; without it the default has to do.
        if sockopt::set_socket_recv_buffer_size_force(&socket, QUEUE_BYTES).is_err() {
            let _ = sockopt::set_socket_recv_buffer_size(&socket, QUEUE_BYTES);
        }
        let send_bytes = sockopt::socket_send_buffer_size(&socket).unwrap_or(0);
        Ok(Self { socket, buffer: vec![0; RECEIVE_BYTES], port, sequence: 0, send_bytes })
    }

    /// What the kernel knows this socket by.
    pub(crate) fn port(&self) -> u32 {
        self.port
    }

    /// The number of the next message.
    pub(crate) fn next_sequence(&self) -> u32 {
        self.sequence.wrapping_add(1)
    }

    /// The next `count` sequence numbers; gives the first.
    pub(crate) fn sequences(&mut self, count: u32) -> u32 {
        let first = self.sequence.wrapping_add(1);
        self.sequence = self.sequence.wrapping_add(count);
        first
    }

    /// Sends all bytes in one go, in a send buffer that they fit into.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), KernelError> {
        let needed = bytes.len() + SEND_SLACK;
        if needed > self.send_bytes {
            if sockopt::set_socket_send_buffer_size_force(&self.socket, needed).is_err() {
                let _ = sockopt::set_socket_send_buffer_size(&self.socket, needed);
            }
            self.send_bytes = sockopt::socket_send_buffer_size(&self.socket).unwrap_or(needed);
        }
        loop {
            match self.socket.send(bytes, 0) {
                Ok(_) => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if matches!(e.raw_os_error(), Some(libc::EMSGSIZE | libc::ENOBUFS)) => {
                    return Err(KernelError::TooLarge(bytes.len()));
                }
                Err(e) => return Err(KernelError::os("sending to the kernel by netlink", e)),
            }
        }
    }

    /// Asks for a send buffer of so many bytes, and gives how many it got.
    pub(crate) fn grown_send_buffer(&mut self, bytes: usize) -> usize {
        if sockopt::set_socket_send_buffer_size_force(&self.socket, bytes).is_err() {
            let _ = sockopt::set_socket_send_buffer_size(&self.socket, bytes);
        }
        sockopt::socket_send_buffer_size(&self.socket).unwrap_or(0)
    }

    /// Waits for the next bytes.
    fn receive(&mut self) -> Result<&[u8], KernelError> {
        match self.receive_with(0)? {
            Some(length) => Ok(self.buffer.get(..length).unwrap_or(&[])),
            None => Err(KernelError::Answer("a waiting read had nothing")),
        }
    }

    /// Takes the next bytes if there are any; gives their number.
    fn receive_with(&mut self, flags: libc::c_int) -> Result<Option<usize>, KernelError> {
        loop {
            let mut space = self.buffer.as_mut_slice();
            match self.socket.recv(&mut space, flags | libc::MSG_TRUNC) {
                Ok(length) if length > RECEIVE_BYTES => return Err(KernelError::Answer("it was cut off")),
                Ok(length) => return Ok(Some(length)),
                // Nothing is lost by a signal: the answer is still there to be read.
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(e) => return Err(KernelError::os("reading the kernel's answer by netlink", e)),
            }
        }
    }

    /// Sends one request, made by `write` for a sequence number, and walks over its answer until its
    /// end (the end of a dump, or the acknowledgement). True if a dump was not consistent.
    pub(crate) fn ask(
        &mut self,
        write: impl FnOnce(&mut Writer, u32),
        refused: impl FnOnce(Errno) -> KernelError,
        mut each: impl FnMut(Message<'_>),
    ) -> Result<bool, KernelError> {
        let sequence = self.sequences(1);
        let mut request = Writer::default();
        write(&mut request, sequence);
        self.send(&request.bytes)?;
        let mut interrupted = false;
        loop {
            for message in Messages(self.receive()?).filter(|message| message.sequence == sequence) {
                interrupted |= message.flags & DUMP_INTR != 0;
                match message.kind {
                    DONE | ERROR => {
                        return message.errno().map_or(Ok(interrupted), |errno| Err(refused(errno)));
                    }
                    _ => each(message),
                }
            }
        }
    }

    /// Gives every acknowledgement that has come, without waiting.
    pub(crate) fn acknowledgements(&mut self) -> Result<Vec<Acknowledgement>, KernelError> {
        let mut all = Vec::new();
        loop {
            match self.receive_with(libc::MSG_DONTWAIT) {
                Ok(Some(length)) => {
                    let messages = Messages(self.buffer.get(..length).unwrap_or(&[]));
                    let errors = messages.filter(|message| message.kind == ERROR);
                    all.extend(errors.map(|message| Acknowledgement {
                        sequence: message.sequence,
                        errno: message.errno(),
                        bad_attribute: message.bad_attribute(),
                    }));
                }
                Ok(None) => return Ok(all),
                // More errors came than the queue holds; those that it holds can still be read.
                Err(KernelError::Os { source, .. }) if source.raw_os_error() == Some(libc::ENOBUFS) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// What the kernel says of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Acknowledgement {
    /// The message.
    pub(crate) sequence: u32,
    /// What is wrong with it; none if nothing is.
    pub(crate) errno: Option<Errno>,
    /// Where in the message that is, in bytes, if the kernel says so.
    pub(crate) bad_attribute: Option<usize>,
}

/// The flags of a request for one thing, so that the answer has an end.
pub(crate) const ONE: u16 = ACK;
