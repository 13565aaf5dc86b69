//! Where tensors live: `cpu`, `cuda:N`, `metal`.

use std::fmt;
use std::str::FromStr;

use candle_core::Device;

use crate::{Error, ErrorKind, Result};

/// Name of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DeviceName {
    /// The processor.
    #[default]
    Cpu,
    /// An NVIDIA GPU, by its number.
    Cuda(usize),
    /// Apple's GPU.
    Metal,
}

impl DeviceName {
    /// Opens the device.
    ///
    /// # Errors
    /// `Unsupported` if this build or this machine has no such device.
    pub fn open(self) -> Result<Device> {
        let device = match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(number) => Device::new_cuda(number),
            Self::Metal => Device::new_metal(0),
        };
        device.map_err(|error| {
            Error::new(ErrorKind::Unsupported, format!("device {self} cannot be used: {error}"))
                .with_hint("cpu works everywhere; GPUs need a build with the feature cuda or metal")
        })
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
            Self::Metal => f.write_str("metal"),
        }
    }
}

impl FromStr for DeviceName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unknown = || {
            Error::new(ErrorKind::InvalidInput, format!("there is no device {text:?}"))
                .with_hint("devices are cpu, cuda, cuda:N and metal")
        };
        match text.split_once(':') {
            Some(("cuda", number)) => number.parse().map(Self::Cuda).map_err(|_| unknown()),
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(0)),
            None if text == "metal" => Ok(Self::Metal),
            _ => Err(unknown()),
        }
    }
}
