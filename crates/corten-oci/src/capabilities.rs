//! Capability sets as bits, from the names of a bundle.

use libcontainer::oci_spec::runtime::{Capability, LinuxCapabilities};

/// The sets a process shall start with; bits by the kernel's numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CapabilitySets {
    pub(crate) bounding: u64,
    pub(crate) permitted: u64,
    pub(crate) inheritable: u64,
    pub(crate) ambient: u64,
}

/// CAP_SYS_ADMIN, which loading a filter takes.
pub(crate) const SYS_ADMIN: u64 = 1 << 21;

impl CapabilitySets {
    /// Reads the sets of a process. One that names none gets none.
    pub(crate) fn of(capabilities: Option<&LinuxCapabilities>) -> Self {
        let Some(capabilities) = capabilities else { return Self::default() };
        let bits = |set: &Option<std::collections::HashSet<Capability>>| {
            set.iter().flatten().fold(0, |bits, capability| bits | 1 << number(*capability))
        };
        let effective = bits(capabilities.effective());
        Self {
            bounding: bits(capabilities.bounding()),
            // execve makes the effective set from the permitted one: what a bundle wants in either must be in both.
            permitted: bits(capabilities.permitted()) | effective,
            inheritable: bits(capabilities.inheritable()),
            ambient: bits(capabilities.ambient()),
        }
    }

    /// Leaves out what the calling process can never have: a node without CAP_SYS_RESOURCE still runs privileged pods.
    pub(crate) fn within(self, available: u64) -> Self {
        let permitted = self.permitted & available;
        let inheritable = self.inheritable & available;
        Self {
            bounding: self.bounding & available,
            permitted,
            inheritable,
            // The kernel wants an ambient capability in both others.
            ambient: self.ambient & permitted & inheritable,
        }
    }
}

/// The kernel's number. (`linux/capability.h`)
fn number(capability: Capability) -> u32 {
    match capability {
        Capability::Chown => 0,
        Capability::DacOverride => 1,
        Capability::DacReadSearch => 2,
        Capability::Fowner => 3,
        Capability::Fsetid => 4,
        Capability::Kill => 5,
        Capability::Setgid => 6,
        Capability::Setuid => 7,
        Capability::Setpcap => 8,
        Capability::LinuxImmutable => 9,
        Capability::NetBindService => 10,
        Capability::NetBroadcast => 11,
        Capability::NetAdmin => 12,
        Capability::NetRaw => 13,
        Capability::IpcLock => 14,
        Capability::IpcOwner => 15,
        Capability::SysModule => 16,
        Capability::SysRawio => 17,
        Capability::SysChroot => 18,
        Capability::SysPtrace => 19,
        Capability::SysPacct => 20,
        Capability::SysAdmin => 21,
        Capability::SysBoot => 22,
        Capability::SysNice => 23,
        Capability::SysResource => 24,
        Capability::SysTime => 25,
        Capability::SysTtyConfig => 26,
        Capability::Mknod => 27,
        Capability::Lease => 28,
        Capability::AuditWrite => 29,
        Capability::AuditControl => 30,
        Capability::Setfcap => 31,
        Capability::MacOverride => 32,
        Capability::MacAdmin => 33,
        Capability::Syslog => 34,
        Capability::WakeAlarm => 35,
        Capability::BlockSuspend => 36,
        Capability::AuditRead => 37,
        Capability::Perfmon => 38,
        Capability::Bpf => 39,
        Capability::CheckpointRestore => 40,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ambient_needs_permitted_and_inheritable() {
        let wanted = CapabilitySets { bounding: 7, permitted: 3, inheritable: 6, ambient: 7 };
        assert_eq!(wanted.within(u64::MAX).ambient, 2);
        assert_eq!(wanted.within(1), CapabilitySets { bounding: 1, permitted: 1, inheritable: 0, ambient: 0 });
    }

    #[test]
    fn names_become_the_kernels_bits() {
        let capabilities: LinuxCapabilities =
            serde_json::from_str(r#"{"bounding":["CAP_SYS_ADMIN","CAP_CHOWN"],"effective":["CAP_KILL"]}"#).unwrap();
        let sets = CapabilitySets::of(Some(&capabilities));
        assert_eq!(sets.bounding, SYS_ADMIN | 1);
        assert_eq!(sets.permitted, 1 << 5);
        assert_eq!(CapabilitySets::of(None), CapabilitySets::default());
    }
}
