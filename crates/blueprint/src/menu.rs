//! Menus: numbers that a design may only pick from a short list, so that no model can write `lr = 30`.

/// Defines a newtype over a number whose schema is the list of its choices; with `else`, the value where it is left out.
macro_rules! menu {
    ($(#[$doc:meta])* $name:ident: $ty:ty = [$($choice:expr),+ $(,)?], else $default:expr) => {
        $crate::menu::menu! { @number $(#[$doc])* $name: $ty = [$($choice),+], { "enum": $name::CHOICES, "default": $default } }

        impl Default for $name {
            fn default() -> Self {
                Self($default)
            }
        }
    };
    ($(#[$doc:meta])* $name:ident: $ty:ty = [$($choice:expr),+ $(,)?]) => {
        $crate::menu::menu! { @number $(#[$doc])* $name: $ty = [$($choice),+], { "enum": $name::CHOICES } }
    };
    (@number $(#[$doc:meta])* $name:ident: $ty:ty = [$($choice:expr),+], $schema:tt) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $ty);

        impl $name {
            /// All choices, in rising order.
            pub const CHOICES: &'static [$ty] = &[$($choice),+];
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($schema)
            }

            fn inline_schema() -> bool {
                true
            }
        }
    };
}
pub(crate) use menu;
