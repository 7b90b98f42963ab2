//! What a design has because it leaves a field out counts as if it were written, in verdicts and in what is possible.

use capwright_blueprint::language::Cut;
use capwright_blueprint::{Conv, Graph, Op, Padding, Shape, Target, Zoo};
use capwright_contract::{Contract, cheapest, impossible, violations};
use std::sync::Arc;

const TARGET: Target = Target { vocab: 500, max_words: 10 };

/// Two backbones of one convolution.
struct ToyZoo;

impl Zoo for ToyZoo {
    fn names(&self) -> Vec<String> {
        ["resnet18", "resnet34"].map(str::to_owned).to_vec()
    }

    fn cuts(&self, name: &str) -> Option<Vec<Cut>> {
        self.names().contains(&name.to_owned()).then(|| vec![Cut::S16])
    }

    fn features(&self, _: &str, _: Cut, size: usize) -> Option<Arc<Graph>> {
        let mut graph = Graph::new(Shape::new(3, size, size));
        let padding = Padding::symmetric(0);
        let conv = Conv { kernel: 16, width: 16, stride: 16, padding, bias: true, ..Conv::same(3, 64, 3) };
        graph.add("patch", Op::Conv(conv), &[0]).ok()?;
        Some(graph.into())
    }
}

fn contract(components: &str) -> Contract {
    Contract::from_toml(&format!("version = 1\n[components]\n{components}")).expect("a contract")
}

#[test]
fn what_can_be_written_instead_of_a_forbidden_default_is_found() {
    for components in [
        "families = [\"transformer\"]\nforbidden = [\"gelu\"]",
        "families = [\"transformer\"]\nforbidden = [\"gelu\", \"learned\", \"pre\", \"separate\"]",
        "families = [\"transformer\"]\nforbidden = [\"cells\"]",
        "families = [\"gru\"]\nforbidden = [\"plain\", \"separate\"]",
        "families = [\"lstm\"]\nrequired = [\"gelu\", \"separate\"]",
        "families = [\"transformer\"]\nrequired = [\"pre\", \"learned\", \"gelu\", \"adamw\"]",
        "required = [\"conv\"]\nforbidden = [\"batch\"]",
        "required = [\"batch\"]",
        "forbidden = [\"adamw\"]",
        "scratch = false\nforbidden = [\"frozen\"]",
        "scratch = false\nrequired = [\"frozen\"]",
        "families = [\"gru\"]\nforbidden = [\"none\"]\nimage_sizes = [64]",
    ] {
        let contract = contract(components);
        assert_eq!(impossible(&contract, &ToyZoo, TARGET), None, "{components}");
        for found in cheapest(&contract, &ToyZoo, TARGET) {
            assert_eq!(violations(found.blueprint(), &found.cost(), &contract), [], "{components}");
        }
    }
}

#[test]
fn where_nothing_else_can_be_written_the_contract_is_refused() {
    for components in [
        "families = [\"transformer\"]\nforbidden = [\"gelu\", \"swiglu\"]",
        "families = [\"transformer\"]\nrequired = [\"pre\", \"post\"]",
        "families = [\"convolution\"]\nrequired = [\"plain\"]",
        "backbones = []\nrequired = [\"frozen\"]",
        "scratch = false\nforbidden = [\"frozen\", \"last_stage\", \"all\", \"last_stage_with_statistics\", \
         \"all_with_statistics\"]",
        // One beside another is frozen, and so is the other.
        "required = [\"resnet18\", \"resnet34\"]\nforbidden = [\"frozen\"]",
    ] {
        let found = impossible(&contract(components), &ToyZoo, TARGET);
        let found = found.unwrap_or_else(|| panic!("{components} is possible"));
        assert!(!found.demands.is_empty(), "{components}");
        assert!(found.ways_out.iter().all(|way| !way.is_empty()), "{components}: {:?}", found.ways_out);
    }
}
