//! Domain events: which there are, and what each tells (libvirt's page "libvirt-domain", `virDomainEventID` and the
//! callbacks' descriptions). How they are asked for stands in [`Subscription`].

mod domain_event;
mod kind;
mod lifecycle;
mod subscription;

pub use domain_event::{
    AgentReason, AgentState, BlockJobStatus, BlockJobType, DomainEvent, Event, IoErrorAction, TrayReason,
};
pub use kind::EventKind;
pub use lifecycle::{
    CrashedDetail, DefinedDetail, Lifecycle, PmSuspendedDetail, ResumedDetail, ShutdownDetail, StartedDetail,
    StoppedDetail, SuspendedDetail, UndefinedDetail,
};
pub(crate) use subscription::Registrations;
pub use subscription::{Delivery, Subscription};
