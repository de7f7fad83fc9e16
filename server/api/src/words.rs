//! Closed sets of words, as JSON and people write them.

/// Makes enums whose text is the same in JSON, in `Display` and in `FromStr`.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:tt,)+ })+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
            pub enum $name { $($(#[$variant_doc])* #[serde(rename = $text)] $variant,)+ }

            impl $name {
                /// All words.
                pub const WORDS: &'static [&'static str] = &[$($text),+];
            }

            /// The word that stands in JSON.
            impl std::fmt::Display for $name {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str(match self { $(Self::$variant => $text,)+ })
                }
            }

            /// Reads the word that stands in JSON.
            impl std::str::FromStr for $name {
                type Err = String;

                fn from_str(text: &str) -> Result<Self, String> {
                    match text {
                        $($text => Ok(Self::$variant),)+
                        _ => Err(format!("`{text}` is none of `{}`", Self::WORDS.join("`, `"))),
                    }
                }
            }
        )+
    };
}

pub(crate) use words;
