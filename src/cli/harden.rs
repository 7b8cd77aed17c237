//! What the process gives up before it does anything (crypto.md section 6).

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit, umask,
};

/// No core dumps, no tracing by other processes of the user, and files that only the
/// user can read. What the system refuses is gone without: none
/// of it is worth failing for. Says what the file mode mask was before.
pub(super) fn process() -> u32 {
    let before = umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let _core = setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    );
    let _dump = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    before.bits()
}

/// No new privileges, for this process and whatever it starts. Not for verbs that run
/// somebody's program: `sudo` in there must still work.
pub(super) fn privileges() {
    let _privileges = rustix::thread::set_no_new_privs(true);
}

/// Keeps what this process was given beyond its standard streams from the programs it
/// starts: a descriptor with a passphrase behind it, the end of somebody's pipe.
pub(super) fn keep_descriptors() {
    close_fds::set_fds_cloexec_threadsafe(3, &[]);
}
