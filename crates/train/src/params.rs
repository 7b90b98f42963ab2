//! Learned values by name: kept on the host, handed out as tensors of the training device.
//!
//! The host copy is the master. The optimiser and the recurrent decoder work on it directly; the convolution
//! graph, the bridge and the Transformer ask for tensors, which are made once a step and kept until it changes.

use crate::error::TrainError;
use crate::math::{self, Packed, View};
use crate::store;
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use capwright_blueprint::Param;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;
use std::path::Path;
use std::sync::OnceLock;

struct Entry {
    name: String,
    shape: Vec<usize>,
    values: Vec<f32>,
    leaf: OnceLock<Tensor<1>>,
    /// A matrix as the right side of products.
    packed: OnceLock<Packed>,
}

impl Entry {
    fn new(name: String, shape: Vec<usize>, values: Vec<f32>) -> Self {
        Self { name, shape, values, leaf: OnceLock::new(), packed: OnceLock::new() }
    }
}

/// The values of a tensor, row-major.
pub(crate) fn host<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().try_into_vec().expect("values of 32 bits")
}

/// Names behind a prefix.
pub(crate) fn prefixed(prefix: &str, wanted: &[Param]) -> Vec<Param> {
    wanted.iter().map(|p| Param::new(format!("{prefix}{}", p.name), &p.shape)).collect()
}

/// Named learned values.
pub struct Params {
    device: Device,
    entries: Vec<Entry>,
    index: HashMap<String, usize>,
    temperature: f32,
}

/// What the temperature is called in a file; left out where it is 1.
pub(crate) const TEMPERATURE: (&str, &[usize]) = ("decoder.temperature", &[1]);

/// Gradients in the order of [`Params`]; `None` where nothing has flowed.
pub struct Grads(pub(crate) Vec<Option<Vec<f32>>>);

impl Params {
    /// Values for `wanted`, drawn from `seed` by kind of layer as PyTorch does: linear and convolution weights and
    /// biases uniform in ±1/√fan-in, recurrent ones in ±1/√hidden, norms 1 and 0, embeddings normal with standard
    /// deviation 1/√width, positions with 0.1.
    pub fn init(wanted: &[Param], seed: u64, device: &Device) -> Self {
        let shapes: HashMap<&str, &[usize]> =
            wanted.iter().map(|p| (p.name.as_str(), &p.shape[..])).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let values = wanted.iter().map(|p| draw(p, &shapes, &mut rng)).collect();
        Self::from_values(wanted, values, device)
    }

    /// Given values, one vector for each of `wanted`, of its length.
    pub fn from_values(wanted: &[Param], values: Vec<Vec<f32>>, device: &Device) -> Self {
        assert_eq!(wanted.len(), values.len(), "one vector a parameter");
        let mut entries = Vec::with_capacity(wanted.len());
        for (param, values) in wanted.iter().zip(values) {
            assert_eq!(param.len(), values.len(), "{}", param.name);
            entries.push(Entry::new(param.name.clone(), param.shape.clone(), values));
        }
        let index = entries.iter().enumerate().map(|(i, e)| (e.name.clone(), i)).collect();
        Self { device: device.clone(), entries, index, temperature: 1.0 }
    }

    /// The values and the temperature of a safetensors file; names and shapes must be those of `wanted` behind `prefix`, other
    /// tensors are ignored.
    ///
    /// # Errors
    /// A missing file, a tensor that is missing or has another shape or type, a temperature that is not above 0.
    pub fn load(path: &Path, prefix: &str, wanted: &[Param], device: &Device) -> Result<Self, TrainError> {
        let (name, shape) = TEMPERATURE;
        let temperature = Param::new(format!("{prefix}{name}"), shape);
        let (values, found) = store::read_and_find(path, &prefixed(prefix, wanted), &temperature)?;
        let mut params = Self::from_values(wanted, values, device);
        if let Some(values) = found {
            params.take_temperature(path, &values)?;
        }
        Ok(params)
    }

    /// Writes all values as safetensors, in PyTorch's layouts, with a sync to disk.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), TrainError> {
        store::write(path, self.saved())
    }

    /// What a file holds of them: [`Params::tensors`], and the temperature where it is not 1.
    pub fn saved(&self) -> impl Iterator<Item = (&str, &[usize], &[f32])> {
        let (name, shape) = TEMPERATURE;
        let temperature =
            (self.temperature != 1.0).then_some((name, shape, std::slice::from_ref(&self.temperature)));
        self.tensors().chain(temperature)
    }

    /// Words are said with `softmax(logits / temperature)`: 1, or less in a network from self-critical training.
    pub fn temperature(&self) -> f32 {
        self.temperature
    }

    /// Another temperature.
    pub(crate) fn set_temperature(&mut self, temperature: f32) {
        self.temperature = temperature;
    }

    /// The temperature that a file holds.
    ///
    /// # Errors
    /// One that is not above 0.
    pub(crate) fn take_temperature(&mut self, path: &Path, found: &[f32]) -> Result<(), TrainError> {
        let sound = found.iter().find(|t| t.is_finite() && **t > 0.0);
        let wrong = || TrainError::format(path, format!("{}: {found:?} is no temperature", TEMPERATURE.0));
        self.temperature = *sound.ok_or_else(wrong)?;
        Ok(())
    }

    /// Name, shape and values of each parameter, in order.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &[usize], &[f32])> {
        self.entries.iter().map(|e| (e.name.as_str(), &e.shape[..], &e.values[..]))
    }

    /// Number of parameters (tensors).
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no parameter.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Number of learned values, counted on the values themselves.
    pub fn elements(&self) -> u64 {
        self.entries.iter().map(|e| e.values.len() as u64).sum()
    }

    /// The device that tensors are made on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Whether the device is the processor, for which decoders and the bridge's first layer have passes of their own.
    pub(crate) fn on_processor(&self) -> bool {
        self.device == Device::flex()
    }

    /// A copy on the processor whose tensors record no gradients, for decoding and scoring.
    pub fn inner(&self) -> Self {
        let device = Device::flex();
        let copy = |e: &Entry| Entry::new(e.name.clone(), e.shape.clone(), e.values.clone());
        let entries = self.entries.iter().map(copy);
        let (index, temperature) = (self.index.clone(), self.temperature);
        Self { device, entries: entries.collect(), index, temperature }
    }

    /// The parameter as a tensor in PyTorch's layout.
    ///
    /// # Panics
    /// For a name that the design does not have, or another rank: a bug of the caller.
    pub fn get<const D: usize>(&self, name: &str) -> Tensor<D> {
        let entry = &self.entries[self.id(name)];
        let leaf = entry.leaf.get_or_init(|| {
            let data = TensorData::new(entry.values.clone(), [entry.values.len()]);
            let tensor = Tensor::<1>::from_data(data, &self.device);
            if self.device.is_autodiff() { tensor.require_grad() } else { tensor }
        });
        let shape: [usize; D] = entry.shape[..].try_into().unwrap_or_else(|_| panic!("rank of {name}"));
        leaf.clone().reshape(shape)
    }

    /// The values of a parameter, row-major.
    ///
    /// # Panics
    /// For a name that the design does not have.
    pub fn values(&self, name: &str) -> &[f32] {
        &self.entries[self.id(name)].values
    }

    /// The transpose of a matrix `[outputs, inputs]`, laid out once for all products until its values change.
    ///
    /// # Panics
    /// For a name that the design does not have.
    pub(crate) fn packed(&self, name: &str) -> &Packed {
        let entry = &self.entries[self.id(name)];
        let inputs = entry.shape.last().copied().unwrap_or(1);
        entry.packed.get_or_init(|| Packed::new(View::new(&entry.values, inputs).t()))
    }

    /// Whether there is a parameter of that name.
    pub fn has(&self, name: &str) -> bool {
        self.index.contains_key(name)
    }

    pub(crate) fn id(&self, name: &str) -> usize {
        *self.index.get(name).unwrap_or_else(|| panic!("the design has no parameter {name}"))
    }

    pub(crate) fn name(&self, id: usize) -> &str {
        &self.entries[id].name
    }

    pub(crate) fn rank(&self, id: usize) -> usize {
        self.entries[id].shape.len()
    }

    /// The values, to be changed; tensors handed out before keep the old ones.
    pub(crate) fn values_mut(&mut self, id: usize) -> &mut Vec<f32> {
        let entry = &mut self.entries[id];
        (entry.leaf, entry.packed) = (OnceLock::new(), OnceLock::new());
        &mut entry.values
    }

    /// Adds what autodiff has found for the tensors handed out since the last change.
    pub fn collect(&self, found: &mut Gradients, grads: &mut Grads) {
        for (id, entry) in self.entries.iter().enumerate() {
            let Some(leaf) = entry.leaf.get().filter(|leaf| leaf.is_require_grad()) else { continue };
            if let Some(gradient) = leaf.grad_remove(found) {
                grads.add(id, host(gradient));
            }
        }
    }
}

impl Grads {
    /// No gradients yet, for that many parameters.
    pub fn new(params: &Params) -> Self {
        Self((0..params.len()).map(|_| None).collect())
    }

    /// Adds a gradient.
    pub(crate) fn add(&mut self, id: usize, gradient: Vec<f32>) {
        match &mut self.0[id] {
            Some(sum) => sum.iter_mut().zip(&gradient).for_each(|(s, g)| *s += g),
            empty => *empty = Some(gradient),
        }
    }

    /// Moves towards other gradients, `share` of the way; where nothing has flowed, the gradient is 0.
    pub(crate) fn follow(&mut self, other: &Self, share: f32) {
        for (own, other) in self.0.iter_mut().zip(&other.0) {
            match (own, other) {
                (Some(own), Some(other)) => math::follow(own, other, share),
                (Some(own), None) => own.iter_mut().for_each(|g| *g *= 1.0 - share),
                (own, Some(other)) => *own = Some(other.iter().map(|g| g * share).collect()),
                (None, None) => {}
            }
        }
    }

    /// The gradient of a parameter by its place in [`Params`].
    pub fn get(&self, id: usize) -> Option<&[f32]> {
        self.0[id].as_deref()
    }

    /// Euclidean norm over all gradients.
    pub fn norm(&self) -> f64 {
        self.0.iter().flatten().map(|g| math::sum_of_squares(g)).sum::<f64>().sqrt()
    }
}

/// Tables of learned vectors that are added to, or stand for, tokens.
pub(crate) const PLACES: [&str; 5] =
    ["decoder.position", "bridge.position", "bridge.row", "bridge.column", "bridge.queries"];

/// First values of one parameter.
fn draw(param: &Param, shapes: &HashMap<&str, &[usize]>, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let n = param.len();
    let (stem, leaf) = param.name.rsplit_once('.').unwrap_or(("", &param.name));
    let sibling = |leaf: &str| shapes.get(format!("{stem}.{leaf}").as_str()).copied();
    let fan_in = |shape: &[usize]| shape[1..].iter().product::<usize>();
    let bound = match leaf {
        "weight" if stem.ends_with("decoder.embed") => {
            return normal(n, 1.0 / (param.shape[1] as f32).sqrt(), rng);
        }
        "weight" if PLACES.iter().any(|table| stem.ends_with(table)) => return normal(n, 0.1, rng),
        "weight" if param.shape.len() == 1 => return vec![1.0; n],
        "weight" => fan_in(&param.shape),
        "bias" => match sibling("weight") {
            Some(shape) if shape.len() > 1 => fan_in(shape),
            _ => return vec![0.0; n],
        },
        // ConvNeXt's and CaiT's first value: a block starts as nearly nothing.
        "layer_scale" => return vec![1e-6; n],
        _ => sibling("weight_hh").map_or(n, |shape| shape[1]),
    };
    let bound = 1.0 / (bound.max(1) as f32).sqrt();
    (0..n).map(|_| rng.random_range(-bound..bound)).collect()
}

/// Box and Muller's normal draws.
fn normal(n: usize, deviation: f32, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let draw = |_| {
        let (u, v): (f32, f32) = (1.0 - rng.random::<f32>(), rng.random());
        deviation * (-2.0 * u.ln()).sqrt() * (std::f32::consts::TAU * v).cos()
    };
    (0..n).map(draw).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::sample;
    use crate::testing;
    use capwright_contract::Sampling;

    fn wanted() -> Vec<Param> {
        vec![
            Param::new("encoder.a.weight", &[8, 4, 3, 3]),
            Param::new("encoder.bn.weight", &[8]),
            Param::new("encoder.bn.bias", &[8]),
            Param::new("decoder.rnn.0.weight_ih", &[64, 10]),
            Param::new("decoder.rnn.0.weight_hh", &[64, 16]),
            Param::new("decoder.embed.weight", &[100, 16]),
        ]
    }

    #[test]
    fn first_values_follow_the_kind_of_layer_and_the_seed() {
        let device = Device::flex().autodiff();
        let params = Params::init(&wanted(), 1, &device);
        let largest = |name: &str| params.values(name).iter().fold(0.0f32, |m, v| m.max(v.abs()));
        assert!(largest("encoder.a.weight") <= 1.0 / 6.0 && largest("encoder.a.weight") > 0.14);
        assert!(params.values("encoder.bn.weight").iter().all(|v| *v == 1.0));
        assert!(params.values("encoder.bn.bias").iter().all(|v| *v == 0.0));
        assert!(largest("decoder.rnn.0.weight_ih") <= 0.25 && largest("decoder.rnn.0.weight_ih") > 0.22);
        let embed = params.values("decoder.embed.weight");
        let deviation = (math::sum_of_squares(embed) / embed.len() as f64).sqrt();
        assert!((deviation - 0.25).abs() < 0.03, "{deviation}");
        assert_eq!(
            params.values("encoder.a.weight"),
            Params::init(&wanted(), 1, &device).values("encoder.a.weight")
        );
        assert_ne!(
            params.values("encoder.a.weight"),
            Params::init(&wanted(), 2, &device).values("encoder.a.weight")
        );
        assert_eq!(params.elements(), 288 + 16 + 640 + 1024 + 1600);
    }

    /// Autodiff would keep what a word is computed from until a backward pass that never comes.
    #[test]
    fn decoding_asks_parameters_in_training_for_no_tensor() {
        for spec in testing::families() {
            let (drawn, memory) = testing::images(&spec, 9, 6, 1, 2);
            let values = drawn.tensors().map(|(.., values)| values.to_vec()).collect();
            let wanted = spec.parameters(testing::DIM, 9, 6);
            let params = Params::from_values(&wanted, values, &Device::flex().autodiff());
            sample(&spec, &params, memory, 3, Sampling::default(), 5, &[0, 1]);
            assert!(params.entries.iter().all(|entry| entry.leaf.get().is_none()), "{spec:?}");
        }
    }

    #[test]
    fn gradients_come_back_by_name() {
        let params = Params::init(&wanted(), 1, &Device::flex().autodiff());
        let loss = params.get::<1>("encoder.bn.weight").mul_scalar(3.0).sum();
        let mut grads = Grads::new(&params);
        params.collect(&mut loss.backward(), &mut grads);
        assert_eq!(grads.get(params.id("encoder.bn.weight")), Some(&[3.0f32; 8][..]));
        assert!(grads.get(params.id("encoder.bn.bias")).is_none());
    }

    #[test]
    fn a_file_gives_the_same_values_back_and_another_shape_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (path, device) = (folder.path().join("w.safetensors"), Device::flex());
        let mut params = Params::init(&wanted(), 1, &device);
        params.save(&path).unwrap();
        let load = |wanted: &[Param]| Params::load(&path, "", wanted, &device);
        let back = load(&wanted()).unwrap();
        assert!(params.tensors().eq(back.tensors()) && back.temperature() == 1.0);
        let error = load(&[Param::new("encoder.bn.weight", &[9])]).err().unwrap();
        assert!(error.to_string().contains("encoder.bn.weight"), "{error}");
        params.set_temperature(0.5);
        params.save(&path).unwrap();
        assert_eq!(load(&wanted()).unwrap().temperature(), 0.5);
        for bad in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            params.set_temperature(bad);
            params.save(&path).unwrap();
            let error = load(&wanted()).err().unwrap();
            assert!(error.to_string().contains("decoder.temperature"), "{error}");
        }
    }
}
