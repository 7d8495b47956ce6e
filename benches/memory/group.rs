//! A control group of Linux with the share of a processor that Lambda gives at a memory size.

use crate::Result;
use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// The memory size at which Lambda gives a whole processor, in MB.
pub(crate) const MEMORY_OF_A_PROCESSOR: u32 = 1769;
/// Lambda's period of the quota, in microseconds.
pub(crate) const PERIOD_US: u32 = 20_000;

/// The processor time that a function with this memory has in a period, in microseconds.
fn quota_us(memory: u32) -> u32 {
    PERIOD_US * memory / MEMORY_OF_A_PROCESSOR
}

/// A control group. It has no processes at first. Dropping it removes it.
pub(crate) struct Group {
    /// Version 1 can have a folder for each of the controllers `cpu` and `cpuacct`. Version 2 has one folder.
    folders: Vec<PathBuf>,
    version: Version,
}

/// The version of control groups that the system uses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// The usage of a group's processes.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    /// Processor time, in milliseconds.
    pub(crate) processor: f64,
    /// The number of periods in which the group was throttled.
    pub(crate) throttled: u64,
}

impl Group {
    /// Makes a group with the share that Lambda gives at this memory size, in MB.
    pub(crate) fn new(name: &str, memory: u32) -> io::Result<Self> {
        let root = Path::new("/sys/fs/cgroup");
        let (version, mut parents) = if root.join("cpu/cgroup.procs").exists() {
            (Version::One, vec![fs::canonicalize(root.join("cpu"))?, fs::canonicalize(root.join("cpuacct"))?])
        } else {
            let controllers = fs::read_to_string(root.join("cgroup.controllers"))?;
            if !controllers.split_whitespace().any(|controller| controller == "cpu") {
                return Err(io::Error::new(io::ErrorKind::Unsupported, "the controller `cpu` is missing"));
            }
            fs::write(root.join("cgroup.subtree_control"), "+cpu")?;
            (Version::Two, vec![root.to_owned()])
        };
        parents.dedup();
        let folders: Vec<_> = parents.into_iter().map(|parent| parent.join(name)).collect();
        let group = Self { folders, version };
        for folder in &group.folders {
            fs::create_dir(folder)?;
        }
        let quota = quota_us(memory);
        match version {
            Version::One => {
                fs::write(group.file("cpu.cfs_period_us")?, PERIOD_US.to_string())?;
                fs::write(group.file("cpu.cfs_quota_us")?, quota.to_string())?;
            }
            Version::Two => fs::write(group.file("cpu.max")?, format!("{quota} {PERIOD_US}"))?,
        }
        Ok(group)
    }

    /// The files to which a process writes its id to join the group.
    pub(crate) fn members(&self) -> impl Iterator<Item = PathBuf> {
        self.folders.iter().map(|folder| folder.join("cgroup.procs"))
    }

    /// The usage of the group's processes so far.
    pub(crate) fn usage(&self) -> Result<Usage> {
        let statistics = fs::read_to_string(self.file("cpu.stat")?)?;
        let of = |name: &str| {
            let line = statistics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
            line.ok_or_else(|| format!("cpu.stat has no {name}"))
        };
        let processor = match self.version {
            Version::One => fs::read_to_string(self.file("cpuacct.usage")?)?.trim().parse::<f64>()? / 1e6,
            Version::Two => of("usage_usec")? as f64 / 1e3,
        };
        Ok(Usage { processor, throttled: of("nr_throttled")? })
    }

    fn file(&self, name: &str) -> io::Result<PathBuf> {
        let file = self.folders.iter().map(|folder| folder.join(name)).find(|file| file.exists());
        file.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("the group has no {name}")))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A process leaves its group only a moment after its end. Until then the group cannot be removed.
        for folder in &self.folders {
            for _ in 0..100 {
                if fs::remove_dir(folder).is_ok() {
                    break;
                }
                thread::sleep(Duration::from_millis(10));
            }
        }
    }
}
