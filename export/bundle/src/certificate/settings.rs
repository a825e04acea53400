//! The settings of a run, against the fields that follow from them: whoever reads one of the two is told the same.

use serde::Serialize;
use serde_json::Value;

use super::{Certificate, Extent};
use crate::attack::{Argument, Preset};
use crate::{AttackSpec, Norm};

/// Flags that set a number of every attack that has it, and the name of the number in certificates.
const OF_ATTACKS: [(&str, &str); 7] = [
    ("steps", "steps"),
    ("restarts", "restarts"),
    ("targets", "targets"),
    ("queries", "queries"),
    ("eot", "eot"),
    ("samples", "samples"),
    ("step-size", "step_size"),
];

impl Certificate {
    /// The first setting that says something else than the field that it decides. Settings that are absent were measured
    /// or found.
    pub(super) fn check_settings(&self) -> Option<String> {
        let checks: [fn(&Self) -> Option<String>; 4] =
            [Self::set_numbers, Self::set_words, Self::set_attacks, Self::set_parameters];
        checks.into_iter().find_map(|check| check(self))
    }

    fn setting(&self, key: &str) -> Option<&Value> {
        self.settings.effective.get(key)
    }

    fn set_numbers(&self) -> Option<String> {
        let numbers = [
            ("epsilon", Some(self.threat_model.epsilon)),
            ("seed", Some(self.seed as f64)),
            ("first", self.data.first.map(|first| first as f64)),
            ("sample", self.data.sample.as_ref().map(|sample| sample.count as f64)),
            ("min-attacked-accuracy", self.gate.min_attacked_accuracy),
        ];
        numbers.into_iter().find_map(|(key, wanted)| {
            let (set, wanted) = (self.setting(key)?, wanted?);
            (number_of(set) != Some(wanted)).then(|| contradiction(key, set, &wanted.to_string()))
        })
    }

    fn set_words(&self) -> Option<String> {
        let image = &self.model.image;
        let words = [
            ("norm", word(&self.threat_model.norm)),
            ("pixels", word(&self.threat_model.pixels)),
            ("split", self.data.split.as_ref().and_then(word)),
            ("layout", word(&self.model.layout)),
            ("channels", word(&self.model.channel_order)),
            ("output", word(&self.model.output_name)),
            ("input-shape", word(&[image.channels, image.height, image.width])),
            ("precision", word(&self.execution.precision)),
        ];
        words.into_iter().find_map(|(key, wanted)| {
            let (set, wanted) = (self.setting(key)?, wanted?);
            let shown = || wanted.as_str().map_or_else(|| wanted.to_string(), str::to_owned);
            (*set != wanted).then(|| contradiction(key, set, &shown()))
        })
    }

    /// Those that ran are those that were asked for, less those that need a gradient where the model has none, and after
    /// them what the program itself adds to a preset.
    fn set_attacks(&self) -> Option<String> {
        let set = self.setting("attacks")?;
        let ran = self.attack_specs();
        let refuse = || {
            let names: Vec<&str> = ran.iter().map(AttackSpec::name).collect();
            Some(contradiction("attacks", set, &names.join(", ")))
        };
        let Some(asked) = attacks_of(set, self.threat_model.norm) else { return refuse() };
        let with_gradients = ran.iter().any(|attack| !attack.needs_no_gradient());
        let mut wanted = asked.iter().filter(|attack| with_gradients || attack.needs_no_gradient());
        let mut found = ran.iter();
        let fits = wanted.all(|wanted| match found.next() {
            Some(found) => found.name() == wanted.name(),
            None => self.extent == Extent::GateDecided,
        });
        let added = found.count();
        if fits && (added == 0 || is_preset(set)) { None } else { refuse() }
    }

    fn set_parameters(&self) -> Option<String> {
        let asked = attacks_of(self.setting("attacks")?, self.threat_model.norm)?;
        OF_ATTACKS.into_iter().find_map(|(flag, parameter)| {
            let set = self.setting(flag)?;
            let ran = self.attack_specs().into_iter();
            let ran = ran.filter(|ran| asked.iter().any(|asked| asked.name() == ran.name()));
            let mut values =
                ran.filter_map(|attack| attack.get(parameter).map(|value| (attack.name(), value)));
            let (name, value) = values.find(|(_, value)| number_of(set) != number(*value))?;
            Some(contradiction(flag, set, &format!("{value} in {name}")))
        })
    }
}

fn contradiction(key: &str, set: &Value, wanted: &str) -> String {
    format!("settings.effective.{key} is {set}, but the run had {wanted}")
}

/// As settings spell it: JSON.
fn word(value: &impl Serialize) -> Option<Value> {
    serde_json::to_value(value).ok()
}

/// The attacks that a list of names stands for; `None` where one is unknown.
fn attacks_of(names: &Value, norm: Norm) -> Option<Vec<AttackSpec>> {
    let attacks = names.as_array()?.iter().map(|name| {
        let name = name.as_str()?;
        match Preset::named(name) {
            Some(preset) => Some(preset.attacks(norm)),
            None => AttackSpec::named(name).map(|attack| vec![attack]),
        }
    });
    attacks.collect::<Option<Vec<_>>>().map(|attacks| attacks.concat())
}

fn is_preset(names: &Value) -> bool {
    let names = names.as_array().map_or(&[][..], Vec::as_slice);
    names.iter().filter_map(Value::as_str).any(|name| Preset::named(name).is_some())
}

fn number(argument: Argument) -> Option<f64> {
    match argument {
        Argument::Count(count) => Some(count as f64),
        Argument::Number(number) => Some(number),
        Argument::Point(_) => None,
    }
}

/// A number as settings have it: of JSON, or a text such as `8/255`.
fn number_of(value: &Value) -> Option<f64> {
    let parsed = |text: &str| text.trim().parse::<f64>().ok();
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.split_once('/') {
            Some((above, below)) => Some(parsed(above)? / parsed(below)?),
            None => parsed(text),
        },
        _ => None,
    }
}
