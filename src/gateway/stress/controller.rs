//! Finds the rate at which this process uses a given share of its cores.

/// The rate to begin with, commands a second.
const RATE_BEGIN: f64 = 10.0;

/// The least rate, commands a second: one that shows what changes.
const RATE_MIN: f64 = 1.0;

/// The most by which a step raises the rate, and lowers it. It rises more slowly, as the effect of a
/// step is seen a step later.
const STEP_UP: f64 = 1.25;
const STEP_DOWN: f64 = 0.6;

/// The share of a deviation that a step makes up for.
const GAIN: f64 = 0.5;

/// A controller. Pure: the measurement is passed in, once a second.
#[derive(Clone, Copy, Debug)]
pub(super) struct RateController {
    target_percent: f64,
    rate_max: f64,
    rate: f64,
}

impl RateController {
    pub(super) fn new(target_percent: f64, rate_max: f64) -> Self {
        Self { target_percent, rate_max, rate: RATE_BEGIN.min(rate_max) }
    }

    /// Commands a second.
    pub(super) fn rate(&self) -> f64 {
        self.rate
    }

    /// Takes what the process used during the last second, in percent of its cores.
    pub(super) fn measured(&mut self, percent: f64) {
        let deviation = (self.target_percent - percent) / self.target_percent;
        let step = (1.0 + GAIN * deviation).clamp(STEP_DOWN, STEP_UP);
        // A measurement that is no number changes nothing.
        let step = if step.is_finite() { step } else { 1.0 };
        self.rate = (self.rate * step).clamp(RATE_MIN.min(self.rate_max), self.rate_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is used after each of `seconds`, by a process that needs `base` for itself and `each`
    /// for a command a second, seen a second late.
    fn used(controller: &mut RateController, base: f64, each: f64, seconds: usize) -> Vec<f64> {
        let mut seen = base;
        let step = |_| {
            let rate = controller.rate();
            controller.measured(seen);
            seen = (base + each * rate).min(100.0);
            seen
        };
        (0..seconds).map(step).collect()
    }

    #[test]
    fn it_comes_to_its_target_whatever_a_command_costs_and_stays_there() {
        for (target, base, each) in
            [(50.0, 2.0, 0.05), (20.0, 5.0, 0.5), (80.0, 30.0, 0.1), (10.0, 0.0, 1.0)]
        {
            let mut controller = RateController::new(target, 10_000.0);
            let used = used(&mut controller, base, each, 90);
            let settled = &used[60..];
            assert!(settled.iter().all(|one| (one - target).abs() < target * 0.1), "{used:?}");
        }
    }

    #[test]
    fn on_its_way_up_it_goes_little_beyond_its_target() {
        let mut controller = RateController::new(60.0, 10_000.0);
        let used = used(&mut controller, 2.0, 0.2, 60);
        assert!(used.iter().all(|one| *one < 60.0 * 1.4), "{used:?}");
    }

    #[test]
    fn others_that_need_the_cores_take_it_to_its_least_rate_and_back() {
        let mut controller = RateController::new(50.0, 500.0);
        used(&mut controller, 5.0, 0.1, 60);
        let (before, others) = (controller.rate(), 95.0);
        used(&mut controller, others, 0.1, 60);
        assert!((controller.rate() - RATE_MIN).abs() < f64::EPSILON, "{}", controller.rate());
        used(&mut controller, 5.0, 0.1, 60);
        assert!((controller.rate() - before).abs() < before * 0.1);
    }

    #[test]
    fn it_stays_within_its_rates_whatever_is_measured() {
        for measured in [0.0, 1e9, -1e9, f64::NAN, f64::INFINITY] {
            let mut controller = RateController::new(1.0, 300.0);
            for _ in 0..100 {
                controller.measured(measured);
                assert!((RATE_MIN..=300.0).contains(&controller.rate()), "{measured}");
            }
        }
        let mut slow = RateController::new(50.0, 0.5);
        slow.measured(0.0);
        assert!((slow.rate() - 0.5).abs() < f64::EPSILON);
    }
}
