//! The services of a test as processes, each at an address that stays known when it has ended.

use crate::process::{Finished, Process};

/// Services by name.
#[derive(Default)]
pub struct Services {
    all: Vec<Service>,
}

struct Service {
    name: &'static str,
    address: String,
    process: Option<Process>,
}

impl Services {
    /// Takes a service that was started, in place of an earlier one of its name. Its address is the one it logs.
    #[track_caller]
    pub fn put(&mut self, name: &'static str, mut process: Process) {
        let address = process.address_of(name);
        self.all.retain(|known| known.name != name);
        self.all.push(Service { name, address, process: Some(process) });
    }

    /// Whether a service of this name was started.
    pub fn has(&self, name: &str) -> bool {
        self.all.iter().any(|known| known.name == name)
    }

    /// Address of a service.
    pub fn address(&self, name: &str) -> String {
        let found = self.all.iter().find(|known| known.name == name);
        found.unwrap_or_else(|| panic!("{name} was not started")).address.clone()
    }

    fn slot(&mut self, name: &str) -> &mut Option<Process> {
        let found = self.all.iter_mut().find(|known| known.name == name);
        &mut found.unwrap_or_else(|| panic!("{name} was not started")).process
    }

    /// The process of a service that was not stopped.
    pub fn process(&mut self, name: &str) -> &mut Process {
        let process = self.slot(name).as_mut();
        process.unwrap_or_else(|| panic!("{name} was stopped"))
    }

    /// Asks a service to stop, and returns how it ended.
    #[track_caller]
    pub fn stop(&mut self, name: &str) -> Finished {
        let process = self.slot(name).take();
        process.unwrap_or_else(|| panic!("{name} was stopped")).stop()
    }

    /// Kills a service if it runs, and returns the address where it can be started again.
    pub fn end(&mut self, name: &str) -> String {
        drop(self.slot(name).take());
        self.address(name)
    }

    /// Kills all services.
    pub fn clear(&mut self) {
        self.all.clear();
    }
}
