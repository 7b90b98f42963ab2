//! The backbones that a request may name, in the ways in which people write them.

/// Names of the zoo's backbones; a test of the zoo holds the two lists together.
pub const BACKBONES: &[&str] = &[
    "efficientnet_lite0",
    "efficientnet_lite1",
    "efficientnet_lite2",
    "efficientnet_lite3",
    "efficientnet_lite4",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "shufflenet_v2_x0_5",
    "shufflenet_v2_x1_0",
    "mnasnet0_5",
    "mnasnet1_0",
    "lcnet_050",
    "lcnet_075",
    "lcnet_100",
    "squeezenet1_0",
    "squeezenet1_1",
    "efficientnet_b0",
    "efficientnet_b1",
    "efficientnet_b2",
    "efficientnet_b3",
    "efficientnet_b4",
    "efficientnet_v2_s",
    "regnet_y_400mf",
    "regnet_y_1_6gf",
    "regnet_x_400mf",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "wide_resnet50_2",
    "densenet121",
    "densenet161",
    "densenet169",
    "densenet201",
    "convnext_tiny",
    "convnext_small",
    "vit_b_16",
    "vit_b_32",
    "swin_t",
    "inception_v3",
    "googlenet",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
    "alexnet",
];

/// Ways of writing the name of a backbone: with `-`, blanks or nothing between its parts, and before its number.
pub(super) fn spellings(name: &str) -> Vec<String> {
    let mut apart = String::new();
    for c in name.chars() {
        // `resnet50` is also `resnet 50`; a number after a single letter belongs to it, as in `b0` and `v2`.
        let letters = apart.chars().rev().take_while(char::is_ascii_alphabetic).count();
        if c.is_ascii_digit() && letters > 1 {
            apart.push('_');
        }
        apart.push(c);
    }
    let mut all = Vec::new();
    for written in [name, &apart] {
        all.extend([written.to_owned(), written.replace('_', " "), written.replace('_', "-")]);
    }
    // `mobilenet v3 large` is also `mobilenetv3 large` and `mobilenetv3-large`.
    if let Some((family, rest)) = name.split_once('_').filter(|(_, rest)| rest.starts_with('v')) {
        let joined = format!("{family}{rest}");
        all.extend([joined.replace('_', " "), joined.replace('_', "-"), joined]);
    }
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_in_several_ways() {
        assert_eq!(spellings("resnet50"), ["resnet 50", "resnet-50", "resnet50", "resnet_50"]);
        let ways = spellings("mobilenet_v3_large");
        for way in ["mobilenet_v3_large", "mobilenet v3 large", "mobilenetv3-large", "mobilenetv3 large"] {
            assert!(ways.iter().any(|w| w == way), "{way} is not in {ways:?}");
        }
        assert!(spellings("efficientnet_b0").contains(&"efficientnet-b0".to_owned()));
    }
}
