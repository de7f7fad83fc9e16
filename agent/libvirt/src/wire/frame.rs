//! A frame: length, header, body (libvirt's page "libvirt RPC infrastructure": kbase/internals/rpc.html).

use crate::wire::Procedure;
use crate::xdr::{Decode, DecodeError, Encoder};
use thiserror::Error;

/// The length word and the header, in bytes: the shortest frame there is.
pub(crate) const EMPTY_BYTES: usize = 4 + HEADER_BYTES;

const HEADER_BYTES: usize = 24;

/// The longest frame without its length word, in bytes (`VIR_NET_MESSAGE_MAX`).
pub(crate) const MAX_BYTES: usize = 32 * 1024 * 1024;

/// The longest body of a frame, in bytes.
pub(crate) const MAX_BODY_BYTES: usize = MAX_BYTES - HEADER_BYTES;

/// What kind of message a frame carries (`virNetMessageType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageType {
    /// Arguments of a call.
    Call,
    /// The result of a call, or its error.
    Reply,
    /// An event, or keepalive. Has serial 0.
    Message,
    /// Data of a stream, or its end.
    Stream,
    /// A call with file descriptors. This client never sends it.
    CallWithFds,
    /// A reply with file descriptors. This client never asks for it.
    ReplyWithFds,
    /// A hole in a stream. This client never asks for it.
    StreamHole,
}

/// How the message of a frame went (`virNetMessageStatus`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageStatus {
    /// Done; for a stream, done for good.
    Ok,
    /// The body is an error.
    Error,
    /// More of the stream follows.
    Continue,
}

/// The 24 bytes after a frame's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) program: u32,
    pub(crate) version: u32,
    pub(crate) procedure: i32,
    pub(crate) kind: MessageType,
    pub(crate) serial: u32,
    pub(crate) status: MessageStatus,
}

/// A whole frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) header: Header,
    pub(crate) body: Vec<u8>,
}

/// Why bytes are no frame.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// A length that no frame has.
    #[error("a frame of {bytes} bytes; libvirt's have {EMPTY_BYTES} to {}", MAX_BYTES + 4)]
    Length {
        /// The length in the message.
        bytes: u32,
    },
    /// A header that is none.
    #[error("a frame with a bad header: {0}")]
    Header(DecodeError),
}

impl Header {
    /// The header of what a client sends.
    pub(crate) fn new(procedure: Procedure, kind: MessageType, serial: u32, status: MessageStatus) -> Self {
        let program = procedure.program();
        let (version, procedure) = (program.version(), procedure.number());
        Self { program: program.number(), version, procedure, kind, serial, status }
    }

    /// The known procedure that this is about.
    pub(crate) fn known(&self) -> Option<Procedure> {
        Procedure::find(self.program, self.procedure)
    }
}

impl Frame {
    /// All bytes of the frame, its length first. The body is not checked: see [`MAX_BYTES`].
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let Header { program, version, procedure, kind, serial, status } = self.header;
        let mut to = Encoder::default();
        to.u32((EMPTY_BYTES + self.body.len()) as u32);
        to.u32(program);
        to.u32(version);
        to.i32(procedure);
        to.u32(kind as u32);
        to.u32(serial);
        to.u32(status as u32);
        let mut bytes = to.finish().unwrap_or_default();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// The length of a whole frame that starts with `word`, in bytes.
    pub(crate) fn checked_len(word: [u8; 4]) -> Result<usize, FrameError> {
        let bytes = u32::from_be_bytes(word);
        match usize::try_from(bytes) {
            Ok(len) if (EMPTY_BYTES..=MAX_BYTES + 4).contains(&len) => Ok(len),
            _ => Err(FrameError::Length { bytes }),
        }
    }

    /// The frame that `bytes` are, without the length word.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, FrameError> {
        let truncated = FrameError::Header(DecodeError::Truncated { what: "a header" });
        let (header, body) = bytes.split_at_checked(HEADER_BYTES).ok_or(truncated)?;
        let fields = <(u32, u32, i32, u32, u32, u32)>::from_bytes(header).map_err(FrameError::Header)?;
        let (program, version, procedure, kind, serial, status) = fields;
        let invalid =
            |what, value: u32| FrameError::Header(DecodeError::Invalid { what, value: value.into() });
        let kind = match kind {
            0 => MessageType::Call,
            1 => MessageType::Reply,
            2 => MessageType::Message,
            3 => MessageType::Stream,
            4 => MessageType::CallWithFds,
            5 => MessageType::ReplyWithFds,
            6 => MessageType::StreamHole,
            other => return Err(invalid("a message type", other)),
        };
        let status = match status {
            0 => MessageStatus::Ok,
            1 => MessageStatus::Error,
            2 => MessageStatus::Continue,
            other => return Err(invalid("a message status", other)),
        };
        let header = Header { program, version, procedure, kind, serial, status };
        Ok(Self { header, body: body.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xdr::Encode;
    use proptest::prelude::*;

    #[test]
    fn a_call_is_laid_out_as_documented() {
        let header = Header::new(Procedure::ConnectOpen, MessageType::Call, 2, MessageStatus::Ok);
        let body = (Some("qemu:///system"), 0u32).to_bytes().unwrap();
        let golden = b"\0\0\0\x38\x20\x00\x80\x86\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\0\
                       \0\0\0\x01\0\0\0\x0eqemu:///system\0\0\0\0\0\0";
        assert_eq!(Frame { header, body }.to_bytes(), golden);
    }

    #[test]
    fn lengths_outside_the_protocol_are_refused() {
        for bytes in [0u32, 27, (MAX_BYTES + 5) as u32, u32::MAX] {
            assert_eq!(Frame::checked_len(bytes.to_be_bytes()), Err(FrameError::Length { bytes }));
        }
        assert_eq!(Frame::checked_len(28u32.to_be_bytes()), Ok(28));
        assert_eq!(Frame::checked_len(((MAX_BYTES + 4) as u32).to_be_bytes()), Ok(MAX_BYTES + 4));
    }

    #[test]
    fn a_header_outside_the_protocol_is_refused() {
        let header = Header::new(Procedure::ConnectOpen, MessageType::Stream, 2, MessageStatus::Continue);
        let bytes = Frame { header, body: Vec::new() }.to_bytes();
        for (at, what) in [(16, "a message type"), (24, "a message status")] {
            let mut bytes = bytes.clone();
            bytes[at + 3] = 9;
            let error = Frame::from_bytes(&bytes[4..]).unwrap_err();
            assert_eq!(error, FrameError::Header(DecodeError::Invalid { what, value: 9 }));
        }
        assert!(Frame::from_bytes(&bytes[5..]).is_err());
    }

    proptest! {
        #[test]
        fn frames_survive_the_trip(serial: u32, kind in 0u32..7, status in 0u32..3, body in prop::collection::vec(any::<u8>(), 0..50)) {
            let mut bytes = Vec::new();
            for word in [EMPTY_BYTES as u32 + body.len() as u32, 0x2000_8086, 1, 7, kind, serial, status] {
                bytes.extend_from_slice(&word.to_be_bytes());
            }
            bytes.extend_from_slice(&body);
            prop_assert_eq!(Frame::checked_len(*bytes.first_chunk().unwrap()), Ok(bytes.len()));
            prop_assert_eq!(Frame::from_bytes(&bytes[4..]).unwrap().to_bytes(), bytes);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = Frame::from_bytes(&bytes);
        }
    }
}
