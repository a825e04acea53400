//! What the test found, as text.

use std::fmt;

use super::SelfTest;

impl fmt::Display for SelfTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let diagnosed = self.canaries.iter().filter(|canary| canary.fault.is_none()).count();
        let verdict = if self.passed() { "PASS" } else { "FAIL" };
        writeln!(f, "{verdict}  {diagnosed} of {} canaries were diagnosed", self.canaries.len())?;
        for canary in &self.canaries {
            let state = if canary.fault.is_none() { "ok" } else { "WRONG" };
            writeln!(f, "  {state:<6} {:<20} {}: {}", canary.name, canary.model, canary.wanted)?;
            if let Some(fault) = &canary.fault {
                writeln!(f, "         found: {fault}")?;
            }
        }
        if !self.passed() {
            writeln!(
                f,
                "Do not believe what this installation says of other models before this is understood."
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::self_test::CanaryAnswer;

    #[test]
    fn one_canary_that_is_not_diagnosed_fails_the_test() {
        let [good, bad] = [None, Some("image 3: StillRobust".to_owned())].map(|fault| CanaryAnswer {
            name: "linear",
            model: "a linear function",
            wanted: "broken",
            fault,
        });
        let passed = SelfTest { canaries: vec![good.clone()] };
        assert_eq!((passed.exit_code(), passed.to_string().starts_with("PASS  1 of 1")), (0, true));
        let failed = SelfTest { canaries: vec![good, bad] };
        assert_eq!(failed.exit_code(), 70);
        let text = failed.to_string();
        assert!(text.starts_with("FAIL  1 of 2") && text.contains("image 3: StillRobust"), "{text}");
    }
}
