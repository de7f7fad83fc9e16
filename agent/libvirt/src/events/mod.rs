//! Domain events: which there are, and what each tells (libvirt's page "libvirt-domain", `virDomainEventID` and the
//! callbacks' descriptions). How they are asked for stands in [`Subscription`].

mod detail;
mod domain_event;
mod kind;
mod lifecycle;
mod subscription;

pub use detail::{AgentReason, AgentState, BlockJobStatus, BlockJobType, IoErrorAction, TrayReason};
pub use domain_event::{DomainEvent, Event};
pub use kind::EventKind;
pub use lifecycle::{
    CrashedDetail, DefinedDetail, Lifecycle, PmSuspendedDetail, ResumedDetail, ShutdownDetail, StartedDetail,
    StoppedDetail, SuspendedDetail, UndefinedDetail,
};
pub(crate) use subscription::Registrations;
pub use subscription::{Delivery, Subscription};
