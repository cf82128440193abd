use super::*;

#[test]
fn numbers_are_written_as_people_write_them() {
    let [english, french] = LANGUAGES;
    for (english, french, expected) in [
        (
            english.count(1_234_567.0),
            french.count(1_234_567.0),
            ["1,234,567", "1\u{202f}234\u{202f}567"],
        ),
        (
            english.money(1234.5),
            french.money(1234.5),
            ["$1,234.50", "1\u{202f}234,50\u{a0}$"],
        ),
        (english.money(0.0), french.money(0.0), ["$0.00", "0,00\u{a0}$"]),
        (
            english.money(0.000_012),
            french.money(0.0123),
            ["$0.000012", "0,0123\u{a0}$"],
        ),
        // Not all is not 100 %.
        (
            english.percent(9999.0, 10_000.0),
            french.percent(1.0, 1.0),
            ["99.9%", "100\u{a0}%"],
        ),
        (
            english.percent(1234.567891, 1234.567891),
            french.percent(999_999_999_999.0, 1e12),
            ["100%", "99,9\u{a0}%"],
        ),
        (
            english.percent(0.0, 0.0),
            french.percent(1.0, 3.0),
            ["–", "33,3\u{a0}%"],
        ),
        // A little is not nothing.
        (
            english.percent(1.0, 10_000.0),
            french.percent(1.0, 10_000.0),
            ["<\u{a0}0.1%", "<\u{a0}0,1\u{a0}%"],
        ),
        (
            english.duration(999.0),
            french.duration(1500.0),
            ["999\u{a0}ms", "1,5\u{a0}s"],
        ),
        (
            english.duration(120_000.0),
            french.duration(7_200_000.0),
            ["2.0\u{a0}min", "2,0\u{a0}h"],
        ),
        (
            english.date("2026-11-28"),
            french.date("2026-02-01"),
            ["Nov 28, 2026", "1 févr. 2026"],
        ),
        (
            english.date("2026-13-28"),
            french.date("now"),
            ["2026-13-28", "now"],
        ),
        (
            english.rough(30_370_208.0),
            french.rough(30_370_208.0),
            ["30.4M", "30,4\u{a0}M"],
        ),
    ] {
        assert_eq!([english, french], expected);
    }
}
