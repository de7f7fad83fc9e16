//! What the clock shows when the domain starts, and what is done about ticks that were missed.

use super::Plan;
use super::element::Element;
use crate::spec::{Accel, Guest};

pub(super) fn add(plan: &Plan<'_>, domain: &mut Element) {
    let offset = match plan.spec.guest {
        Guest::Linux => "utc",
        Guest::Windows => "localtime",
    };
    // Guests that count ticks get missed ones later; the HPET has no such thing, and costs more than it is worth.
    let mut clock = Element::new("clock")
        .with("offset", offset)
        .child(Element::new("timer").with("name", "rtc").with("tickpolicy", "catchup"))
        .child(Element::new("timer").with("name", "pit").with("tickpolicy", "delay"))
        .child(Element::new("timer").with("name", "hpet").with("present", "no"));
    match (plan.spec.guest, plan.host.accel) {
        (Guest::Windows, Accel::Kvm) => {
            clock.push(Element::new("timer").with("name", "hypervclock").with("present", "yes"));
        }
        (Guest::Windows, Accel::Tcg) | (Guest::Linux, Accel::Kvm | Accel::Tcg) => {}
    }
    domain.push(clock);
}

#[cfg(test)]
mod tests {
    use crate::domain::sample::part;
    use crate::spec::{Accel, Guest};

    const TIMERS: &str = "<timer name=\"rtc\" tickpolicy=\"catchup\"/>\
        <timer name=\"pit\" tickpolicy=\"delay\"/><timer name=\"hpet\" present=\"no\"/>";

    #[test]
    fn linux_reads_utc() {
        assert_eq!(part(super::add, |_, _| {}), format!("<clock offset=\"utc\">{TIMERS}</clock>"));
    }

    #[test]
    fn windows_reads_local_time_and_the_clock_of_hyper_v() {
        let shown = |accel| part(super::add, |spec, host| (spec.guest, host.accel) = (Guest::Windows, accel));
        let clock = "<timer name=\"hypervclock\" present=\"yes\"/>";
        assert_eq!(shown(Accel::Kvm), format!("<clock offset=\"localtime\">{TIMERS}{clock}</clock>"));
        assert_eq!(shown(Accel::Tcg), format!("<clock offset=\"localtime\">{TIMERS}</clock>"));
    }
}
