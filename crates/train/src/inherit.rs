//! What a network begins with where another was trained before.

use crate::decoder::vocabulary_weight;
use crate::error::TrainError;
use crate::network::Network;
use crate::params::TEMPERATURE;
use crate::store;
use capwright_blueprint::Param;
use std::path::Path;

impl Network {
    /// Takes over what a file of another network has of the same name and shape, learned values and running statistics, and with the
    /// vocabulary layer the temperature that its logits are divided by; gives the share of the learned values that were taken.
    ///
    /// # Errors
    /// A missing or damaged file, one whose sha256 is another, or a temperature that is not above 0.
    pub fn inherit(&mut self, path: &Path, sha256: &str) -> Result<f64, TrainError> {
        let (design, (name, shape)) = (self.design(), TEMPERATURE);
        let temperature = vec![Param::new(name, shape)];
        let wanted = [design.trainable(), design.trunk.buffers(), temperature].concat();
        let mut found = store::read_fitting(path, sha256, &wanted)?;
        let temperature = found.pop().flatten();
        let (vocabulary, mut speaks, mut taken) = (vocabulary_weight(&self.params), false, 0);
        for (param, values) in wanted.iter().zip(found) {
            match values {
                Some(values) if self.params.has(&param.name) => {
                    taken += values.len();
                    speaks |= param.name == vocabulary;
                    let id = self.params.id(&param.name);
                    *self.params.values_mut(id) = values;
                }
                Some(values) => self.stats.set(&param.name, values),
                None => {}
            }
        }
        if let Some(values) = temperature.filter(|_| speaks) {
            self.params.take_temperature(path, &values)?;
        }
        Ok(taken as f64 / (self.params.elements() as f64).max(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use burn::tensor::Device;
    use capwright_blueprint::{DecoderSpec, Design};

    #[test]
    fn values_of_the_same_name_and_shape_are_inherited() {
        let (folder, device) = (tempfile::tempdir().unwrap(), Device::flex());
        let (path, design) = (folder.path().join("w.safetensors"), testing::design());
        let first = Network::new(&design, 1, &device);
        first.save(&path).unwrap();
        let sha256 = store::sha256(&path).unwrap();
        let mut second = Network::new(&design, 2, &device);
        assert!(!first.params.tensors().eq(second.params.tensors()));
        assert_eq!(second.inherit(&path, &sha256).unwrap(), 1.0);
        assert!(first.params.tensors().eq(second.params.tensors()) && first.stats == second.stats);

        // One tensor of another shape stays as it was drawn.
        let mut fewer: Vec<_> = first.params.tensors().collect();
        let (name, shape, values) = fewer.pop().unwrap();
        store::write(
            &path,
            fewer.into_iter().chain([(name, &[values.len() + 1][..], &[values, &[0.0]].concat()[..])]),
        )
        .unwrap();
        let mut third = Network::new(&design, 3, &device);
        let share = third.inherit(&path, &store::sha256(&path).unwrap()).unwrap();
        assert!(share < 1.0 && share > 0.5, "{share}");
        assert_ne!(third.params.values(name), first.params.values(name), "{name} {shape:?}");
        let error = third.inherit(&path, &sha256).unwrap_err();
        assert!(error.to_string().contains("it has changed"), "{error}");
    }

    #[test]
    fn the_temperature_comes_with_the_vocabulary_layer() {
        let (folder, device) = (tempfile::tempdir().unwrap(), Device::flex());
        let (path, design) = (folder.path().join("w.safetensors"), testing::design());
        let mut first = Network::new(&design, 1, &device);
        let inherited = |design: &Design| {
            let mut second = Network::new(design, 2, &device);
            let sha256 = store::sha256(&path).unwrap();
            second.inherit(&path, &sha256).map(|_| second.params.temperature())
        };
        first.params.set_temperature(0.5);
        first.save(&path).unwrap();
        assert_eq!(inherited(&design).unwrap(), 0.5);
        let mut wider = design.clone();
        let DecoderSpec::Recurrent(decoder) = &mut wider.decoder else { panic!("a recurrence") };
        decoder.hidden += 32;
        assert_eq!(inherited(&wider).unwrap(), 1.0, "its vocabulary layer is new");
        first.params.set_temperature(-1.0);
        first.save(&path).unwrap();
        let error = inherited(&design).unwrap_err();
        assert!(error.to_string().contains("decoder.temperature"), "{error}");
    }
}
