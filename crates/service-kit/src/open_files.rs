//! How many files and sockets the process may have open.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Enough for all connections of a service, to clients and to other services.
const WANTED: u64 = 65_536;

/// Raises the soft limit, which shells set to 1,024 for old programs' sake, as far as the hard one
/// allows, and returns what holds now. A limit that cannot be raised stays: it is met as failed
/// accepts, which are logged.
pub fn raise_limit() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 0 };
    let wanted = WANTED.min(hard);
    if wanted <= soft {
        return soft;
    }
    match setrlimit(Resource::RLIMIT_NOFILE, wanted, hard) {
        Ok(()) => wanted,
        Err(error) => {
            tracing::debug!(%error, soft, "the limit of open files stays as it is");
            soft
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_as_far_as_it_may_be() {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert!(raise_limit() >= WANTED.min(hard));
        let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert!(soft >= WANTED.min(hard));
    }
}
