//! How values stand in the database: ids and words as text. Wrappers, because neither the database's traits nor most of
//! the words are ours.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::{Database, Decode, Encode, Sqlite, Type};
use uuid::Uuid;

/// The identity of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Id(pub Uuid);

/// A value whose JSON is one string, stored as that string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word<T>(pub T);

/// A value that is stored as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document<T>(pub T);

impl Id {
    /// A new one. Later ones sort behind earlier ones.
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl Default for Id {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

type Arguments = <Sqlite as Database>::ArgumentBuffer;
type Value<'r> = <Sqlite as Database>::ValueRef<'r>;

macro_rules! as_text {
    ([$($generics:tt)*] $type:ty, |$value:ident| $to:expr, |$text:ident| $from:expr) => {
        impl<$($generics)*> Type<Sqlite> for $type {
            fn type_info() -> <Sqlite as Database>::TypeInfo {
                <String as Type<Sqlite>>::type_info()
            }
        }

        impl<'q, $($generics)*> Encode<'q, Sqlite> for $type {
            fn encode_by_ref(&self, buffer: &mut Arguments) -> Result<IsNull, BoxDynError> {
                let $value = &self.0;
                <String as Encode<'q, Sqlite>>::encode($to, buffer)
            }
        }

        impl<'r, $($generics)*> Decode<'r, Sqlite> for $type {
            fn decode(value: Value<'r>) -> Result<Self, BoxDynError> {
                let $text = <String as Decode<'r, Sqlite>>::decode(value)?;
                Ok(Self($from))
            }
        }
    };
}

as_text!([] Id, |id| id.hyphenated().to_string(), |text| Uuid::try_parse(&text)?);
as_text!([T: Serialize + DeserializeOwned] Word<T>, |word| spell(word)?, |text| {
    serde_json::from_value(serde_json::Value::String(text))?
});
as_text!([T: Serialize + DeserializeOwned] Document<T>, |value| serde_json::to_string(value)?, |text| {
    serde_json::from_str(&text)?
});

fn spell(word: &impl Serialize) -> Result<String, BoxDynError> {
    match serde_json::to_value(word)? {
        serde_json::Value::String(text) => Ok(text),
        other => Err(format!("`{other}` is no word").into()),
    }
}
