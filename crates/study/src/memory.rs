//! A store that forgets: for tests and dry runs.

use crate::{Event, Recorded, StoreError, TrialStore};

/// Events in memory. It has no clock: each event is one millisecond later than the one before.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    lines: Vec<String>,
}

impl TrialStore for MemoryStore {
    fn append(&mut self, event: &Event) -> Result<u64, StoreError> {
        self.lines.push(event.to_json()?);
        Ok(self.lines.len() as u64)
    }

    fn append_all(&mut self, events: &[Event]) -> Result<(), StoreError> {
        let lines: Vec<String> = events.iter().map(Event::to_json).collect::<Result<_, _>>()?;
        self.lines.extend(lines);
        Ok(())
    }

    fn events(&mut self) -> Result<Vec<Recorded>, StoreError> {
        let numbered = (1u64..).zip(&self.lines);
        numbered
            .map(|(seq, line)| Ok(Recorded { seq, at_unix_ms: seq, event: Event::from_json(line)? }))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_conforms() {
        crate::conformance::run(MemoryStore::default);
    }
}
