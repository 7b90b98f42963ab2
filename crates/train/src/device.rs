//! Where training steps are computed: on the processor, or on a device that the features of this build know.
//!
//! A device computes the steps of bridge and decoder. Frozen features, trained encoders, optimiser and decoding stay on the
//! processor, which has engines of its own for them. What a device computes is equal up to rounding, not bit for bit.

use crate::error::TrainError;
use burn::tensor::Device;
use capwright_study::ComputeDevice;

/// The best device of this build that this machine has. Graphics that are drawn by software are none.
pub fn best() -> ComputeDevice {
    if cuda().is_ok() {
        ComputeDevice::Cuda
    } else if wgpu().is_ok_and(|(_, hardware)| hardware) {
        ComputeDevice::Wgpu
    } else {
        ComputeDevice::Cpu
    }
}

/// burn's device.
///
/// # Errors
/// [`TrainError::Device`] where the build does not know it, or the machine has none.
pub fn open(device: ComputeDevice) -> Result<Device, TrainError> {
    match device {
        ComputeDevice::Cpu => Ok(Device::flex()),
        ComputeDevice::Cuda => cuda(),
        ComputeDevice::Wgpu => wgpu().map(|(device, _)| device),
    }
    .map_err(|reason| TrainError::Device { device, reason })
}

#[cfg(feature = "cuda")]
fn cuda() -> Result<Device, String> {
    let all = Device::enumerate(burn::tensor::DeviceType::Cuda);
    all.first().cloned().ok_or_else(|| "this machine has no NVIDIA GPU with a driver".to_owned())
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> Result<Device, String> {
    Err(not_built("cuda"))
}

/// The device, and whether it is hardware.
#[cfg(feature = "wgpu")]
fn wgpu() -> Result<(Device, bool), String> {
    let all = Device::enumerate(burn::tensor::DeviceType::Wgpu);
    let software = Device::wgpu(burn::tensor::DeviceKind::Cpu);
    let hardware = all.iter().find(|device| **device != software);
    match (hardware, all.first()) {
        (Some(device), _) => Ok((device.clone(), true)),
        (None, Some(device)) => Ok((device.clone(), false)),
        (None, None) => Err("this machine has no GPU with a Vulkan, Metal or DirectX driver".to_owned()),
    }
}

#[cfg(not(feature = "wgpu"))]
fn wgpu() -> Result<(Device, bool), String> {
    Err(not_built("wgpu"))
}

#[cfg(not(all(feature = "cuda", feature = "wgpu")))]
fn not_built(feature: &str) -> String {
    format!(
        "this program was built without it; build with `cargo build --release --locked --features {feature}`"
    )
}

/// Devices that tests run on beside the processor: those of the build that the machine has.
#[cfg(test)]
pub(crate) fn others() -> Vec<Device> {
    let all = [ComputeDevice::Cuda, ComputeDevice::Wgpu];
    let mut found = Vec::new();
    for device in all {
        match open(device) {
            Ok(device) => found.push(device),
            Err(why) => eprintln!("not tested on {device}: {why}"),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_always_there_and_what_is_not_says_why() {
        assert_eq!(open(ComputeDevice::Cpu).unwrap(), Device::flex());
        assert!(open(best()).is_ok());
        for device in [ComputeDevice::Cuda, ComputeDevice::Wgpu] {
            if let Err(error) = open(device) {
                let text = error.to_string();
                assert!(text.starts_with(&format!("{device} cannot be used: this ")), "{text}");
            }
        }
    }
}
