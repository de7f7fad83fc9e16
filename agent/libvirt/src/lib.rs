//! An async client of libvirt's RPC protocol over its unix socket. It needs no libvirt.so: it builds and starts
//! anywhere, says clearly where libvirt is absent, and one binary serves every version of libvirt.
//!
//! ```no_run
//! # async fn example() -> Result<(), agent_libvirt::Error> {
//! use agent_libvirt::{Connection, CreateFlags, Delivery, EventKind, Options};
//! let connection = Connection::open(&Options::default()).await?;
//! let mut events = connection.subscribe(&[EventKind::Lifecycle]).await?;
//! let domain = connection.domain_lookup_by_name("vm").await?;
//! connection.domain_create(&domain, CreateFlags::PAUSED).await?;
//! if let Delivery::Event(event) = events.next().await? {
//!     println!("{}: {:?}", event.domain.name, event.event);
//! }
//! # Ok(()) }
//! ```
//!
//! What lives here: connections ([`Connection`], [`Options`], [`Supervised`]), the calls about domains and their host
//! (methods of [`Connection`], with libvirt's names), events ([`Subscription`]) and streams ([`Stream`]). What does
//! not: what a domain is made of, any XML, and any decision; whoever builds domains stands on this crate.

mod calls;
mod connect;
mod connection;
mod domain;
mod error;
mod events;
mod numbered;
mod qemu_error;
mod remote_error;
mod session;
mod stream;
mod supervised;
mod typed_parameter;
mod wire;
mod work;
mod xdr;

pub use calls::*;
pub use connect::Options;
pub use connection::Connection;
pub use domain::Domain;
pub use error::{ConnectError, End, Error};
pub use events::{
    AgentReason, AgentState, BlockJobStatus, BlockJobType, CrashedDetail, DefinedDetail, Delivery,
    DomainEvent, Event, EventKind, IoErrorAction, Lifecycle, PmSuspendedDetail, ResumedDetail,
    ShutdownDetail, StartedDetail, StoppedDetail, Subscription, SuspendedDetail, TrayReason, UndefinedDetail,
};
pub use qemu_error::QmpError;
pub use remote_error::{ErrorCode, ErrorLevel, RemoteError};
pub use stream::Stream;
pub use supervised::{Backoff, Notice, Notices, Supervised};
pub use typed_parameter::{TypedParameter, TypedValue};
pub use wire::frame::{FrameError, MessageStatus, MessageType};
pub use wire::{Direction, FrameObserver, Keepalive, Procedure, Program, SeenFrame};
pub use xdr::{DecodeError, EncodeError};
