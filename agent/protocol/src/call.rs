//! The table of calls. A call is a POST of a [`Request`](crate::envelope::Request) to its path, answered by a
//! [`Reply`](crate::envelope::Reply). A new call is one line in the table, its types in the file of its subject, and one
//! golden file.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// One call, as a type.
pub trait Call: 'static {
    /// What people call it, and the name of its golden file.
    const NAME: &'static str;
    /// Where it is posted.
    const PATH: &'static str;
    /// What a second request with the same operation id means.
    const REPEAT: Repeat;
    /// What the server asks.
    type Request: Serialize + DeserializeOwned + Send + 'static;
    /// What the agent answers.
    type Reply: Serialize + DeserializeOwned + Send + 'static;
}

/// What an agent does with a request whose operation id it has seen before. Whoever answers calls matches on this, so
/// that a call that changes something cannot be added without an answer to the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// It only looks: the answer is made anew.
    Anew,
}

macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident: $text:literal, $path:literal, $repeat:ident, $request:ty => $reply:ty;)+) => {
        $(
            $(#[$doc])*
            #[derive(Debug)]
            pub enum $name {}

            impl Call for $name {
                const NAME: &'static str = $text;
                const PATH: &'static str = $path;
                const REPEAT: Repeat = Repeat::$repeat;
                type Request = $request;
                type Reply = $reply;
            }
        )+

        /// Names and paths of all calls, in the order of the table.
        pub const ALL: &[(&str, &str)] = &[$(($text, $path)),+];
    };
}

calls! {
    /// What this host is and can do.
    HostFacts: "host-facts", "/v1/host/facts", Anew, crate::host::FactsRequest => crate::host::Facts;
}
