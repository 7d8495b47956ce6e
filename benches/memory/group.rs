//! A control group of Linux with a share of a processor, as Lambda gives it.

use crate::Result;
use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// The memory with which Lambda gives a whole processor.
pub(crate) const MEMORY_OF_A_PROCESSOR: u32 = 1769;
/// The period of the quota, in microseconds. It is Lambda's.
pub(crate) const PERIOD_US: u32 = 20_000;

/// The processor time in a period, in microseconds.
fn quota_us(memory: u32) -> u32 {
    PERIOD_US * memory / MEMORY_OF_A_PROCESSOR
}

/// A group, without processes at first. It is removed when it is dropped.
pub(crate) struct Group {
    /// With version 1, the controllers `cpu` and `cpuacct` may have a folder each.
    folders: Vec<PathBuf>,
    version: Version,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// What the processes of a group have used.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    /// Processor time, in milliseconds.
    pub(crate) processor: f64,
    /// The periods in which the group was throttled.
    pub(crate) throttled: u64,
}

impl Group {
    /// Makes a group with the share that Lambda gives with this memory, in MB.
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

    /// What the processes of the group have used so far.
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
        // A process that has ended leaves its group a moment later.
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
