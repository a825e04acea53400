use super::*;
pub(crate) fn uses_margin(_: &mimir_bundle::AttackSpec, _: usize) -> bool {
    false
}
#[derive(Clone, Copy)]
pub(crate) struct WarmStart {
    pub(crate) image: usize,
    pub(crate) target: usize,
    pub(crate) slot: u64,
}
pub(crate) struct WarmStarts;
impl WarmStarts {
    pub(crate) fn new(_: &[WarmStart], _: &crate::journal::CounterexampleStore, _: &Setting) -> Self {
        Self
    }
}
impl Attack for WarmStarts {
    fn queries(&self) -> Vec<Query> {
        vec![]
    }
    fn units(&self) -> usize {
        1
    }
    fn search(&self, _: &Subject, _: usize) -> Box<dyn Search + '_> {
        unreachable!()
    }
}
