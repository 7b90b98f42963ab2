//! The zoo: backbones as graphs with upstream parameter names, and their weight manifests.
