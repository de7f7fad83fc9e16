//! Descriptions of whole domains: what is built, that it reads back, and what libvirt says to it.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

#[cfg(feature = "real-parts")]
mod boots;
mod golden;
#[cfg(feature = "real-parts")]
mod judged;
mod property;
#[cfg(feature = "real-parts")]
mod room;
mod specs;
mod table;
