//! The typed language of captioner designs: types, shapes, lowering to graphs, cost, diagnostics, canonical hash.
