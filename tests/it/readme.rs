//! The console blocks of the README, run as they stand: `$ luna ...` and what follows.

#[test]
fn the_readme_tells_the_truth() {
    // The blocks were written at the width of a page without a terminal, whatever terminal runs the tests.
    trycmd::TestCases::new().env("COLUMNS", "100").case("README.md");
}
