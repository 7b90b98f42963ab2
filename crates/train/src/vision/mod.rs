//! Everything about images: pretrained weights, the frozen backbone, feature and pixel caches.
//!
//! * [`weights`] reads `.pth` and `.safetensors` files without executing anything.
//! * [`frozen`] runs a frozen graph, batch norm folded into the convolutions, on the host.
//! * [`features`] keeps the frozen part's features on disk, [`pixels`] the resized images, both shared by processes;
//!   [`variants`] says how training images are varied. Files that changed meanwhile come into none (`photo`), and sets used longest
//!   ago make room (`eviction`).

mod chunks;
pub(crate) mod eviction;
pub mod features;
pub mod frozen;
pub(crate) mod kernels;
pub(crate) mod moves;
mod photo;
mod pickle;
pub mod pixels;
pub(crate) mod sight;
mod torch_file;
pub mod variants;
pub mod weights;

pub use chunks::CacheError;
pub use features::{FeatureCache, FeatureSpec, Features, can_be_kept};
pub use frozen::FrozenNet;
pub use pixels::{PixelCache, Pixels};
pub use variants::Variant;
pub use weights::{Weights, WeightsError};
