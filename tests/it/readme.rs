//! The console blocks of the README, run as they stand: `$ luna ...` and what follows.

#[test]
fn the_readme_tells_the_truth() {
    trycmd::TestCases::new().case("README.md");
}
