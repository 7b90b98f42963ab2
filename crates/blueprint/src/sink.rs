//! One listing of parameters for two uses: by name and shape, or counted without a single name written.

use crate::graph::Param;
use crate::language::Embeddings;
use std::fmt::Arguments;

/// Where a listing goes.
pub(crate) trait Sink {
    /// A parameter.
    fn put(&mut self, name: Arguments<'_>, shape: &[usize]);
}

impl Sink for Vec<Param> {
    fn put(&mut self, name: Arguments<'_>, shape: &[usize]) {
        self.push(Param::new(name.to_string(), shape));
    }
}

/// Learned values so far.
pub(crate) struct Count(pub u64);

impl Sink for Count {
    fn put(&mut self, _: Arguments<'_>, shape: &[usize]) {
        self.0 += shape.iter().product::<usize>() as u64;
    }
}

/// `name.weight` `[output, input]` and `name.bias`.
pub(crate) fn linear(all: &mut impl Sink, name: Arguments<'_>, output: usize, input: usize) {
    all.put(format_args!("{name}.weight"), &[output, input]);
    all.put(format_args!("{name}.bias"), &[output]);
}

/// The weight and bias of a layer norm.
pub(crate) fn norm(all: &mut impl Sink, name: Arguments<'_>, dim: usize) {
    all.put(format_args!("{name}.weight"), &[dim]);
    all.put(format_args!("{name}.bias"), &[dim]);
}

/// The vocabulary layer, whose weight is that of the embeddings where they are tied.
pub(crate) fn vocabulary(all: &mut impl Sink, embeddings: Embeddings, vocab: usize, width: usize) {
    match embeddings {
        Embeddings::Separate => linear(all, format_args!("decoder.out"), vocab, width),
        Embeddings::Tied => all.put(format_args!("decoder.out.bias"), &[vocab]),
    }
}
