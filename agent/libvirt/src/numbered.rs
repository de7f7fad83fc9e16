//! Numbers on the wire that mean something: an enum with libvirt's names, that keeps a number it does not know.

/// Makes an enum of named numbers. What libvirt adds later arrives as `Other`, never as an error: these numbers
/// describe, they do not decide how a message is laid out.
macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $number:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
            /// A number that this crate has no name for.
            Other(i32),
        }

        impl From<i32> for $name {
            fn from(number: i32) -> Self {
                match number {
                    $($number => Self::$variant,)+
                    other => Self::Other(other),
                }
            }
        }

        impl From<$name> for i32 {
            fn from(named: $name) -> Self {
                match named {
                    $($name::$variant => $number,)+
                    $name::Other(number) => number,
                }
            }
        }

        impl $crate::xdr::Decode for $name {
            fn decode(from: &mut $crate::xdr::Decoder<'_>) -> Result<Self, $crate::xdr::DecodeError> {
                Ok(from.i32()?.into())
            }
        }
    };
}

pub(crate) use numbered;
