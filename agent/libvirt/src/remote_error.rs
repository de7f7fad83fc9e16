//! The error that libvirt sends (virterror.h, and libvirt's page "Handling of errors").

use crate::domain::Domain;
use crate::numbered::numbered;
use crate::xdr::{Decode, DecodeError, Decoder};
use thiserror::Error;
use uuid::Uuid;

/// What libvirt says about a call that failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct RemoteError {
    /// Which error it is: the part to decide by.
    pub code: ErrorCode,
    /// Which part of libvirt raised it, as a `virErrorDomain`: 10 is the QEMU driver, 5 the XML parser.
    pub domain: i32,
    /// How bad it is.
    pub level: ErrorLevel,
    /// The sentence, for people. With C.UTF-8 it is English.
    pub message: String,
    /// Detail of this error; usually the sentence's template.
    pub str1: Option<String>,
    /// Detail of this error; usually what was filled in.
    pub str2: Option<String>,
    /// Detail of this error.
    pub str3: Option<String>,
    /// Detail of this error; for a system error, the errno.
    pub int1: i32,
    /// Detail of this error.
    pub int2: i32,
}

numbered! {
    /// How bad an error is (`virErrorLevel`).
    ErrorLevel {
        /// `VIR_ERR_NONE`
        None = 0,
        /// `VIR_ERR_WARNING`
        Warning = 1,
        /// `VIR_ERR_ERROR`
        Error = 2,
    }
}

numbered! {
    /// libvirt's error codes (`virErrorNumber`) that a program may want to tell apart.
    ErrorCode {
        /// `VIR_ERR_INTERNAL_ERROR`: also how a QEMU that does not start is told.
        InternalError = 1,
        /// `VIR_ERR_NO_SUPPORT`: this driver lacks the call.
        NoSupport = 3,
        /// `VIR_ERR_NO_CONNECT`
        NoConnect = 5,
        /// `VIR_ERR_INVALID_ARG`
        InvalidArg = 8,
        /// `VIR_ERR_OPERATION_FAILED`
        OperationFailed = 9,
        /// `VIR_ERR_XML_ERROR`
        XmlError = 27,
        /// `VIR_ERR_DOM_EXIST`
        DomExist = 28,
        /// `VIR_ERR_OPERATION_DENIED`
        OperationDenied = 29,
        /// `VIR_ERR_SYSTEM_ERROR`
        SystemError = 38,
        /// `VIR_ERR_RPC`: also a procedure that this libvirt does not know.
        Rpc = 39,
        /// `VIR_ERR_NO_DOMAIN`
        NoDomain = 42,
        /// `VIR_ERR_AUTH_FAILED`
        AuthFailed = 45,
        /// `VIR_ERR_OPERATION_INVALID`: not in the domain's present state.
        OperationInvalid = 55,
        /// `VIR_ERR_CONFIG_UNSUPPORTED`
        ConfigUnsupported = 67,
        /// `VIR_ERR_OPERATION_TIMEOUT`: also a domain whose lock another call holds.
        OperationTimeout = 68,
        /// `VIR_ERR_ARGUMENT_UNSUPPORTED`
        ArgumentUnsupported = 74,
        /// `VIR_ERR_OPERATION_ABORTED`
        OperationAborted = 78,
        /// `VIR_ERR_BLOCK_COPY_ACTIVE`
        BlockCopyActive = 83,
        /// `VIR_ERR_OPERATION_UNSUPPORTED`
        OperationUnsupported = 84,
        /// `VIR_ERR_AGENT_UNRESPONSIVE`
        AgentUnresponsive = 86,
        /// `VIR_ERR_RESOURCE_BUSY`
        ResourceBusy = 87,
        /// `VIR_ERR_ACCESS_DENIED`
        AccessDenied = 88,
        /// `VIR_ERR_XML_INVALID_SCHEMA`
        XmlInvalidSchema = 92,
        /// `VIR_ERR_AGENT_UNSYNCED`
        AgentUnsynced = 97,
        /// `VIR_ERR_DEVICE_MISSING`
        DeviceMissing = 99,
    }
}

impl Decode for RemoteError {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let (code, domain, message, level) = <(_, _, Option<String>, _)>::decode(from)?;
        let _unused = Option::<Domain>::decode(from)?;
        let (str1, str2, str3, int1, int2) = Decode::decode(from)?;
        let _unused = Option::<(String, Uuid)>::decode(from)?;
        let message = message.unwrap_or_else(|| "an error without a message".to_owned());
        Ok(Self { code, domain, level, message, str1, str2, str3, int1, int2 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn golden_bytes() {
        let golden = b"\0\0\0\x2a\0\0\0\x0a\0\0\0\x01\0\0\0\x04gone\0\0\0\x02\0\0\0\0\
                       \0\0\0\x01\0\0\0\x02%s\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\0\0\0\x07\0\0\0\0";
        let error = RemoteError::from_bytes(golden).unwrap();
        assert_eq!(error.code, ErrorCode::NoDomain);
        assert_eq!(error.level, ErrorLevel::Error);
        assert_eq!((error.domain, error.int1, error.int2), (10, -1, 7));
        assert_eq!((error.str1.as_deref(), error.str2.as_deref()), (Some("%s"), None));
        assert_eq!(error.to_string(), "gone");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = RemoteError::from_bytes(&bytes);
        }

        #[test]
        fn codes_without_a_name_are_kept(code: i32) {
            prop_assert_eq!(i32::from(ErrorCode::from(code)), code);
        }
    }
}
