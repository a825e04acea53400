//! The iterates that a run of APGD remembers: nearly every step of a good run is a new best point, so buffers change
//! roles and pixels stay where they are.

use crate::attack::Answer;

/// The present iterate, the one before it and the best, each the position of a buffer; two roles may share one.
#[derive(Debug)]
pub(super) struct Iterates {
    /// One more than roles, so that the next iterate never overwrites one that is needed.
    buffers: [Vec<f32>; 4],
    point: usize,
    previous: usize,
    best: usize,
    /// Gradient at the best point.
    best_gradient: Vec<f32>,
    best_loss: f32,
}

impl Iterates {
    /// From that point.
    pub(super) fn new(start: Vec<f32>) -> Self {
        let room = || vec![0.0; start.len()];
        let (best_gradient, others) = (room(), [room(), room(), room()]);
        let [second, third, fourth] = others;
        let buffers = [start, second, third, fourth];
        Self { buffers, point: 0, previous: 0, best: 0, best_gradient, best_loss: 0.0 }
    }

    /// The iterate that the model is asked about.
    pub(super) fn point(&self) -> &[f32] {
        &self.buffers[self.point]
    }

    /// The iterate before it.
    #[cfg(test)]
    pub(super) fn previous(&self) -> &[f32] {
        &self.buffers[self.previous]
    }

    /// The iterate of highest loss; the first of several.
    pub(super) fn best(&self) -> &[f32] {
        &self.buffers[self.best]
    }

    /// Its loss.
    pub(super) fn best_loss(&self) -> f32 {
        self.best_loss
    }

    /// Makes the present point, where a run starts, the best and the previous one.
    pub(super) fn begin(&mut self, answer: &Answer) {
        self.previous = self.point;
        self.take_best(answer);
    }

    /// Makes the present point the best if its loss is higher than that of all before.
    pub(super) fn record(&mut self, answer: &Answer) {
        if answer.loss > self.best_loss {
            self.take_best(answer);
        }
    }

    fn take_best(&mut self, answer: &Answer) {
        self.best = self.point;
        self.best_gradient.copy_from_slice(answer.gradient);
        self.best_loss = answer.loss;
    }

    /// Makes the best point the present one; the previous stays, so that the next momentum is counted from it.
    pub(super) fn return_to_best(&mut self) {
        self.point = self.best;
    }

    /// Lets `change` move the present point, which is not the best one, given the best one.
    pub(super) fn step_back(&mut self, change: impl FnOnce(&mut [f32], &[f32])) {
        let mut point = self.buffers[self.point].clone();
        change(&mut point, &self.buffers[self.best]);
        self.move_on(|_, _, _, next| next.copy_from_slice(&point));
    }

    /// Goes back to the best point, changed by `project`, to start another run there.
    pub(super) fn restart(&mut self, project: impl FnOnce(&mut [f32])) {
        self.point = self.best;
        project(&mut self.buffers[self.point]);
    }

    /// Moves on to the iterate that `write` makes of these: point, previous point, gradient at the best point.
    pub(super) fn move_on(&mut self, write: impl FnOnce(&[f32], &[f32], &[f32], &mut [f32])) {
        let used = [self.point, self.previous, self.best];
        let free = (0..self.buffers.len()).find(|buffer| !used.contains(buffer)).unwrap_or_default();
        let mut next = std::mem::take(&mut self.buffers[free]);
        write(&self.buffers[self.point], &self.buffers[self.previous], &self.best_gradient, &mut next);
        self.buffers[free] = next;
        (self.previous, self.point) = (self.point, free);
    }
}
